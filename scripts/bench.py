"""`make bench`: the relay beside others that could do its work, measured from outside by one generator (Sources/RelayBench).

Every case is run round after round, and within each round by every relay, so that a slow minute of the machine is everybody's.
Absolute times move by a factor of two on shared machines: compare only figures of one run, best as the ratios that come first.
Figures are medians of RUNS rounds (five; QUICK=1: three, of fewer cases). Name parts (plain, tls, latency, idle, rooms) for less. What is printed is ready for docs/performance.md; the
numbers themselves go to dist/bench.json, and the picture to dist/bench.svg.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from benchmarks import peers, plot  # noqa: E402

QUICK = bool(os.environ.get("QUICK"))
RUNS = int(os.environ.get("RUNS", "3" if QUICK else "5"))
IDLE_PEERS = int(os.environ.get("IDLE_PEERS", "2000" if QUICK else "10000"))
ROOT = Path(__file__).resolve().parents[1]

# (payload bytes, guests, messages under way)
PLAIN = [(256, 1, 32), (256, 10, 32), (256, 100, 32), (1024, 10, 32), (1024, 100, 32),
         (16384, 1, 32), (16384, 10, 32), (16384, 100, 32), (256, 1, 512), (256, 100, 512)]
TLS = [(1024, 10, 32), (1024, 100, 32), (16384, 10, 32)]
LATENCY = [(200, 1), (1000, 1), (5000, 1), (200, 100), (1000, 100)]
if QUICK:
    PLAIN, TLS, LATENCY = [(256, 1, 32), (256, 100, 32), (16384, 10, 32)], [(1024, 10, 32)], [(1000, 1)]


def installed():
    """The relays that are here; what is missing is fetched where that is possible, and named where it is not."""
    for peer in peers.ALL:
        if peer.missing() and os.geteuid() == 0:
            subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *peer.missing().split()],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    for peer in peers.ALL:
        if peer.missing():
            print(f"Without {peer.name}: install {peer.missing()}.")
    return [peer for peer in peers.ALL if not peer.missing()]


def unsuited(peer, payload):
    """Loads that a relay is known to stall on: they would say nothing about its speed."""
    return peer.name == "Mosquitto" and payload > 4096


def interleaved(running, mode, **options):
    """{name: [reports]} of RUNS rounds."""
    reports = {}
    for _ in range(RUNS):
        for peer in running:
            if unsuited(peer, options["bytes"]):
                continue
            try:
                reports.setdefault(peer.name, []).append(peer.load(mode, **options))
            except RuntimeError as error:
                print(f"({error})", file=sys.stderr)
    return reports


def middle(reports, key):
    return statistics.median(report[key] for report in reports)


def deliveries(title, kinds, cases, tls, results):
    running = [kind(tls) for kind in kinds]
    names = [peer.name for peer in running]
    print(f"\n### {title}\n\nCPU seconds of the relay per million deliveries; in brackets the ratio to Postern, above 1 where Postern is cheaper.\n")
    print("| payload × guests, under way | " + " | ".join(names) + " | Postern's deliveries/s | generator busy |")
    print("|---|" + "---|" * (len(names) + 2))
    try:
        for payload, guests, window in cases:
            frames = max(200, min(40_000, 200_000 // guests // (1 + payload // 2048)))
            reports = interleaved(running, "throughput", guests=guests, bytes=payload, frames=frames, window=window)
            costs = {name: middle(found, "cost") for name, found in reports.items()}
            cells = []
            for name in names:
                if name not in costs:
                    cells.append("–")
                    continue
                lost = max(report["lost"] for report in reports[name])
                spread = max(r["cost"] for r in reports[name]) / min(r["cost"] for r in reports[name])
                ratio = "" if name == "Postern" else f" ({costs[name] / costs['Postern']:.1f})"
                cells.append(f"{costs[name]:.2f}{ratio}{' lossy' if lost else ''}")
                results.append({"case": "deliveries", "tls": tls, "bytes": payload, "guests": guests, "window": window,
                                "relay": name, "cost": costs[name], "rate": middle(reports[name], "rate"),
                                "spread": spread, "lost": lost})
            print(f"| {plot.size(payload)} × {guests}, {window} | " + " | ".join(cells)
                  + f" | {middle(reports['Postern'], 'rate'):,.0f} | {middle(reports['Postern'], 'generatorBusy'):.0%} |", flush=True)
    finally:
        for peer in running:
            peer.close()


def latency(kinds, results):
    running = [kind() for kind in kinds]
    names = [peer.name for peer in running]
    print("\n### Latency\n\nFrom the moment a message was due to be sent until a guest has it, 256 B, p50 / p99 in µs.\n")
    print("| messages/s × guests | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    try:
        for rate, guests in LATENCY:
            reports = interleaved(running, "latency", guests=guests, bytes=256, frames=rate, rate=rate)
            cells = []
            for name in names:
                found = reports.get(name, [])
                if not found or max(r["lost"] for r in found):
                    cells.append("lossy" if found else "–")
                    continue
                p50, p99 = middle(found, "p50"), middle(found, "p99")
                cells.append(f"{p50:,.0f} / {p99:,.0f}")
                results.append({"case": "latency", "rate": rate, "guests": guests, "relay": name, "p50": p50, "p99": p99})
            print(f"| {rate:,} × {guests} | " + " | ".join(cells) + " |", flush=True)
    finally:
        for peer in running:
            peer.close()


def idle(kinds, results):
    print(f"\n### Idle peers\n\nResident memory of the relay per connected peer that says nothing, at {IDLE_PEERS:,} peers, in KiB.\n")
    print("| | " + " | ".join(kind.name for kind in kinds) + " |\n|---|" + "---|" * len(kinds))
    for tls in (False, True):
        cells = []
        for kind in kinds:
            peer = kind(tls)
            try:
                before = peer.rss()
                # Rooms of a hundred: a session has as many seats as its plan allows, and slots for 65,535.
                process = peer.begin("idle", rooms=max(1, IDLE_PEERS // 100), guests=99)
                ready = process.stdout.readline().strip() == "ready"
                each = (peer.rss() - before) / IDLE_PEERS
                process.communicate("\n")
                cells.append(f"{each:.1f}" if ready else "–")
                results.append({"case": "idle", "tls": tls, "relay": kind.name, "kib": each if ready else None})
            finally:
                peer.close()
        print(f"| {'TLS' if tls else 'plain'} | " + " | ".join(cells) + " |", flush=True)


def many_rooms(results):
    print("\n### Rooms\n\nOne host and two guests each, 256 B, the same number of messages in all, eight under way per room.\n")
    print("| rooms | CPU s per million deliveries |\n|---|---|")
    for rooms in ((1, 100) if QUICK else (1, 10, 100, 1000, 3000)):
        peer = peers.Postern()
        try:
            frames = max(20, 60_000 // rooms)
            found = [peer.load("throughput", rooms=rooms, guests=2, bytes=256, frames=frames, window=8) for _ in range(RUNS if rooms < 1000 else 3)]
            print(f"| {rooms:,} | {middle(found, 'cost'):.2f} |", flush=True)
            results.append({"case": "rooms", "rooms": rooms, "cost": middle(found, "cost")})
        finally:
            peer.close()


def main():
    kinds = installed()
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    started = [kind() for kind in kinds]
    versions = ", ".join(f"{peer.name} {peer.version()}" for peer in started)
    [peer.close() for peer in started]
    print(f"{os.cpu_count()} × {cpu}; Linux {platform.release().split('-')[0]}; medians of {RUNS} rounds; the generator shares the machine.\n{versions}.")
    results = []
    wanted = sys.argv[1:]
    if not wanted or "plain" in wanted:
        deliveries("Deliveries", kinds, PLAIN, False, results)
    if not wanted or "tls" in wanted:
        deliveries("Deliveries over TLS", kinds, TLS, True, results)
    if not wanted or "latency" in wanted:
        latency(kinds, results)
    if not wanted or "idle" in wanted:
        idle(kinds, results)
    if not wanted or "rooms" in wanted:
        many_rooms(results)
    (ROOT / "dist").mkdir(exist_ok=True)
    (ROOT / "dist/bench.json").write_text(json.dumps(
        {"machine": cpu, "cores": os.cpu_count(), "runs": RUNS, "versions": versions, "results": results}, indent=1))
    (ROOT / "dist/bench.svg").write_text(plot.deliveries(results))
    print("\nThe numbers: dist/bench.json. The picture: dist/bench.svg.")


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: the relay beside others that could do its work, measured from outside by one generator (Sources/RelayBench).

Every case is run round after round, and within each round by every relay, so that a slow minute of the machine is everybody's.
Absolute times move by a factor of two on shared machines: compare only figures of one run, best as the ratios that come first.
Figures are medians of RUNS rounds (five; QUICK=1: three, of fewer cases). Name parts (plain, tls, latency, slow, idle, cores,
rooms, storm, churn, plans) for less. BEFORE=path adds an older `postern` to every round; ONLY=name,… leaves other relays out.
What is printed is ready for docs/performance.md; the numbers themselves go to dist/bench.json, and the picture to dist/bench.svg.
"""

import contextlib
import http.client
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from benchmarks import compiled, neighbours, peers, plot  # noqa: E402

ALL = [*peers.ALL, compiled.UWebSockets]
QUICK = bool(os.environ.get("QUICK"))
RUNS = int(os.environ.get("RUNS", "3" if QUICK else "5"))
# How long messages are published in each load of deliveries: with less, what is measured is how sockets warm up.
SECONDS = 1 if QUICK else 2
# From here on the generator has no more to give, and a relay might: a share of one core.
GENERATOR_FULL = 0.97
IDLE_PEERS = int(os.environ.get("IDLE_PEERS", "2000" if QUICK else "10000"))
ROOT = Path(__file__).resolve().parents[1]

# (payload bytes, guests, messages under way)
PLAIN = [(256, 1, 32), (256, 10, 32), (256, 100, 32), (1024, 10, 32), (1024, 100, 32),
         (16384, 1, 32), (16384, 10, 32), (16384, 100, 32), (256, 1, 512), (256, 100, 512)]
TLS = [(1024, 10, 32), (1024, 100, 32), (16384, 10, 32)]
LATENCY = [(200, 1), (1000, 1), (5000, 1), (200, 100), (1000, 100), (5000, 100)]
# Two to three minutes, the TLS half included.
QUICK_PARTS = ("plain", "tls", "latency", "idle", "storm")
if QUICK:
    PLAIN, TLS, LATENCY = [(256, 1, 32), (256, 100, 32), (16384, 10, 32)], [(1024, 10, 32)], [(1000, 1)]


def installed():
    """The relays that are here; what is missing is fetched where that is possible, and named where it is not."""
    for peer in filter(wanted, ALL):
        if peer.missing() and os.geteuid() == 0:
            subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *peer.package.split()],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    for peer in filter(wanted, ALL):
        if peer.missing():
            print(f"Without {peer.name}: install {peer.missing()}.")
    return [peer for peer in ALL if not peer.missing() and wanted(peer)]


def wanted(peer):
    return not os.environ.get("ONLY") or peer.name in os.environ["ONLY"].split(",")


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


def spread_of(reports):
    """How far the rounds of Postern and of its most restless peer lie apart: most by least."""
    spreads = {name: max(r["cost"] for r in found) / min(r["cost"] for r in found) for name, found in reports.items()}
    return f"{spreads.pop('Postern'):.1f}, {max(spreads.values(), default=1):.1f}"


@contextlib.contextmanager
def together(kinds, tls=False):
    """A process of each, ended however the measurement does. One that cannot begin here is named and left out."""
    with contextlib.ExitStack() as stack:
        running = []
        for kind in kinds:
            try:
                running.append(stack.enter_context(contextlib.closing(kind(tls))))
            except (RuntimeError, subprocess.CalledProcessError) as error:
                if kind is peers.Postern:
                    raise
                print(f"Without {kind.name}: {error}", file=sys.stderr)
        yield running


def deliveries(title, kinds, cases, tls, results):
    with together(kinds, tls) as running:
        names = [peer.name for peer in running]
        print(f"\n### {title}\n\nCPU seconds of the relay per million deliveries; in brackets the ratio to Postern, above 1 where Postern is cheaper. Spread: most by least of the rounds, Postern's and the most restless other's.\n")
        print("| payload × guests, under way | " + " | ".join(names) + " | spread | Postern's deliveries/s | generator busy |")
        print("|---|" + "---|" * (len(names) + 3))
        for payload, guests, window in cases:
            reports = interleaved(running, "throughput", guests=guests, bytes=payload, seconds=SECONDS, window=window)
            costs = {name: middle(found, "cost") for name, found in reports.items()}
            cells = []
            for name in names:
                if name not in costs:
                    cells.append("–")
                    continue
                lost = max(report["lost"] for report in reports[name])
                spread = max(r["cost"] for r in reports[name]) / min(r["cost"] for r in reports[name])
                ratio = "" if name == "Postern" else f" ({costs[name] / costs['Postern']:.1f})"
                busy = middle(reports[name], "generatorBusy")
                full = " generator full" if busy > GENERATOR_FULL else ""
                cells.append(f"{costs[name]:.2f}{ratio}{' lossy' if lost else ''}{full}")
                results.append({"case": "deliveries", "tls": tls, "bytes": payload, "guests": guests, "window": window,
                                "relay": name, "cost": costs[name], "rate": middle(reports[name], "rate"),
                                "spread": spread, "lost": lost, "generatorBusy": busy})
            print(f"| {plot.size(payload)} × {guests}, {window} | " + " | ".join(cells)
                  + f" | {spread_of(reports)} | {middle(reports['Postern'], 'rate'):,.0f} | {middle(reports['Postern'], 'generatorBusy'):.0%} |", flush=True)


def latency(kinds, results):
    with together(kinds) as running:
        names = [peer.name for peer in running]
        print("\n### Latency\n\nFrom the moment a message was due to be sent until a guest has it, 256 B, p50 / p99 in µs.\n")
        print("| messages/s × guests | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        for rate, guests in LATENCY:
            # Enough messages for a hundredth of them to say something; fewer where the others' queues would grow for minutes.
            seconds = 1 if QUICK or rate * guests > 100_000 else 2 if rate * guests > 20_000 else 5
            reports = interleaved(running, "latency", guests=guests, bytes=256, frames=seconds * rate, rate=rate)
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


def idle(kinds, results):
    print(f"\n### Idle peers\n\nResident memory of the relay per connected peer that says nothing, at {IDLE_PEERS:,} peers, in KiB.\n")
    print("| | " + " | ".join(kind.name for kind in kinds) + " |\n|---|" + "---|" * len(kinds))
    for tls in (False, True):
        cells = []
        for kind in kinds:
            peer = kind(tls)
            try:
                # What serving the first peers costs once, code that is mapped in above all, is nobody's.
                first = peer.begin("idle", rooms=1, guests=99)
                first.stdout.readline()
                first.communicate("\n")
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


def cores(results):
    print("\n### Event loops\n\nSixteen rooms of one host and ten guests, 256 B, 32 under way in each.\n")
    print("| event loops | CPU s per million deliveries | deliveries/s |\n|---|---|---|")
    one, all_of_them = peers.Postern.__new__(peers.Postern), peers.Postern()
    one.more = ("--event-loops", "1")
    one.__init__()
    try:
        found = {1: [], os.cpu_count(): []}
        for _ in range(RUNS):
            for count, peer in ((1, one), (os.cpu_count(), all_of_them)):
                found[count].append(peer.load("throughput", rooms=16, guests=10, bytes=256, seconds=SECONDS, window=32))
        for count, reports in found.items():
            print(f"| {count} | {middle(reports, 'cost'):.2f} | {middle(reports, 'rate'):,.0f} |", flush=True)
            results.append({"case": "cores", "loops": count, "cost": middle(reports, "cost"), "rate": middle(reports, "rate")})
    finally:
        one.close()
        all_of_them.close()


def many_rooms(results):
    print("\n### Rooms\n\nOne host and one guest each, 256 B, the same number of messages in all, eight under way per room.\n")
    print("| rooms | CPU s per million deliveries | resident memory, MiB |\n|---|---|---|")
    # Two connections each: as many hundreds as the system's limit of open files lets be, ten thousand at most.
    most = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 200 * 100)
    for rooms in ((1, 100) if QUICK else (1, 10, 100, 1000, most)):
        peer = peers.Postern()
        try:
            frames = max(20, 60_000 // rooms)
            times = RUNS if rooms < 1000 else 3 if rooms == 1000 else 1
            found = [peer.load("throughput", rooms=rooms, guests=1, bytes=256, frames=frames, window=8) for _ in range(times)]
            memory = peer.rss() / 1024
            print(f"| {rooms:,} | {middle(found, 'cost'):.2f} | {memory:.0f} |", flush=True)
            results.append({"case": "rooms", "rooms": rooms, "cost": middle(found, "cost"), "mib": memory})
        finally:
            peer.close()


def storm(results):
    rooms, guests = (2, 100) if QUICK else (10, 100)
    count = rooms * (guests + 1)
    print(f"\n### Everybody comes back at once\n\nThe server restarts under {count:,} connected peers over TLS ({rooms} rooms); seconds"
          " until all have their seats and a snapshot of 16 KiB, from when somebody listened again and all set out at once.\n")
    print("| | seconds |\n|---|---|")
    peer = peers.Postern(tls=True)
    try:
        back, bare, refused = [], [], 0
        for _ in range(RUNS):
            process = peer.begin("storm", rooms=rooms, guests=guests)
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(process.communicate()[1])
            peer.restart()
            out, errors = process.communicate()
            if process.returncode:
                raise RuntimeError(errors)
            report = json.loads(out.splitlines()[-1])
            back.append(report["sinceListening"])
            refused += report["refused"]
            peer.done()
            bare.append(peer.load("handshakes", rooms=rooms, guests=guests)["seconds"])
        seconds, handshakes = statistics.median(back), statistics.median(bare)
        print(f"| all are back | {seconds:.2f} ({seconds / handshakes:.1f} times as long); {refused} turned away |")
        print(f"| as many TLS handshakes, and nothing else | {handshakes:.2f} |", flush=True)
        results.append({"case": "storm", "peers": count, "seconds": seconds, "handshakes": handshakes, "refused": refused})
    finally:
        peer.close()


def churn(results):
    batches = 10 if QUICK else 100
    print(f"\n### Coming and going\n\nResident memory, in MiB, while {batches * 100:,} sessions of three peers begin, say ten messages and end.\n")
    print("| sessions | resident memory |\n|---|---|")
    peer = peers.Postern()
    try:
        for batch in range(1, batches + 1):
            peer.load("throughput", rooms=100, guests=2, bytes=256, frames=10, window=8)
            if batch * 10 % batches == 0:
                print(f"| {batch * 100:,} | {peer.rss() / 1024:.1f} |", flush=True)
                results.append({"case": "churn", "sessions": batch * 100, "mib": peer.rss() / 1024})
    finally:
        peer.close()


def plans(results):
    """The whole request that a plan's limit refuses, beside one that has no limit to look at and as little to say."""
    calls, sessions = (200, 2_000) if QUICK else (2_000, 20_000)
    print(f"\n### Plans\n\nA request that the limit of share sessions refuses, and `GET /auth/me`: milliseconds of {calls:,} calls, one after the other.\n")
    print("| sessions in the database | refused, median | p99 | `/auth/me`, median | p99 |\n|---|---|---|---|---|")
    peer = peers.Postern()
    try:
        made = json.loads(subprocess.run(
            [peers.POSTERN, "user", "add", "ben", "--plan", "free", "--state", peer.folder / "state", "--json"], check=True,
            capture_output=True, text=True).stdout)
        link = http.client.HTTPConnection("127.0.0.1", peer.port)
        headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/json"}

        def timed(wanted, *request):
            times = []
            for _ in range(calls):
                start = time.perf_counter()
                link.request(*request, headers=headers)
                answer = link.getresponse()
                answer.read()
                times.append((time.perf_counter() - start) * 1000)
                assert answer.status == wanted, answer.status
            return statistics.median(times), statistics.quantiles(times, n=100)[98]

        start = ("POST", "/sessions", '{"hostPublicKey":"k"}')
        link.request(*start, headers=headers)
        assert link.getresponse().read()
        ana = peer.call("GET", "/auth/me")["id"]
        for count in (1, sessions):
            now = int(time.time() * 1000)
            with sqlite3.connect(peer.folder / "state" / "postern.db") as database:
                database.executemany(
                    "INSERT INTO share_sessions (id, host_user_id, organisation_id, host_public_key, started_at, ended_at,"
                    " metered_until) VALUES (?, ?, ?, 'k', ?, ?, ?)",
                    [(f"seed-{number}", ana, ana, now, now if number % 2 else None, now) for number in range(count - 1)])
            refused, me = timed(403, *start), timed(200, "GET", "/auth/me")
            print(f"| {count:,} | {refused[0]:.2f} | {refused[1]:.2f} | {me[0]:.2f} | {me[1]:.2f} |", flush=True)
            results.append({"case": "plans", "sessions": count, "refused": refused, "me": me})
        link.close()
    finally:
        peer.close()


def main():
    begun = time.monotonic()
    kinds = installed()
    if QUICK:
        kinds = [kind for kind in kinds if kind in (peers.Postern, peers.NATS, peers.Nchan)]
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    with together(kinds) as running:
        versions = ", ".join(f"{peer.name} {peer.version()}" for peer in running)
    print(f"{os.cpu_count()} × {cpu}; Linux {platform.release().split('-')[0]}; medians of {RUNS} rounds; the generator shares the machine.\n{versions}.")
    results = []
    floors = [floor for floor in (compiled.Floor, compiled.RingFloor) if not floor.missing() and wanted(floor)]
    parts = {
        "plain": lambda: deliveries("Deliveries", kinds + floors, PLAIN, False, results),
        "tls": lambda: deliveries("Deliveries over TLS", kinds, TLS, True, results),
        "latency": lambda: latency(kinds, results),
        "slow": lambda: neighbours.measure(RUNS, results),
        "idle": lambda: idle(kinds, results),
        "cores": lambda: cores(results),
        "rooms": lambda: many_rooms(results),
        "storm": lambda: storm(results),
        "churn": lambda: churn(results),
        "plans": lambda: plans(results),
    }
    for name in sys.argv[1:] or (QUICK_PARTS if QUICK else parts):
        parts[name]()
    (ROOT / "dist").mkdir(exist_ok=True)
    (ROOT / "dist/bench.json").write_text(json.dumps(
        {"machine": cpu, "cores": os.cpu_count(), "runs": RUNS, "versions": versions, "results": results}, indent=1))
    (ROOT / "dist/bench.svg").write_text(plot.deliveries(results))
    print(f"\nTook {time.monotonic() - begun:.0f} s. The numbers: dist/bench.json. The picture: dist/bench.svg.")


if __name__ == "__main__":
    sys.exit(main())

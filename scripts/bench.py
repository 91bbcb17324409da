"""`make bench`: the relay measured from outside, by a generator in its own process (Sources/RelayBench).

Absolute times move by a factor of two on shared machines: compare only figures of one run. Every figure is the median of
five rounds (RUNS=n for another number). The table goes to standard output, ready for docs/performance.md.
"""

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

POSTERN, BENCH = os.environ["POSTERN"], os.environ["BENCH"]
RUNS = int(os.environ.get("RUNS", "5"))
IDLE_PEERS = int(os.environ.get("IDLE_PEERS", "1000"))


class Relay:
    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.process = subprocess.Popen(
            [POSTERN, "serve", "--state", str(self.folder / "state"), "--https", "off", "--http", "127.0.0.1:0",
             "--joins-per-minute", "1000000", "--connections-per-address", "100000"],
            stdout=subprocess.PIPE, stderr=(self.folder / "log").open("w"), text=True)
        self.url = re.search(r"http://\S+?(?=/$)", self.process.stdout.readline().strip()).group(0)
        made = subprocess.run([POSTERN, "user", "add", "ana", "--state", str(self.folder / "state"), "--json"],
                              check=True, capture_output=True, text=True)
        self.token = json.loads(made.stdout)["token"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), method="POST",
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def delete(self, path):
        request = urllib.request.Request(self.url + path, method="DELETE", headers={"Authorization": f"Bearer {self.token}"})
        urllib.request.urlopen(request).close()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text()).group(1))

    def load(self, mode, **options):
        session = self.post("/sessions", {"hostPublicKey": "k"})["id"]
        code = self.post(f"/sessions/{session}/codes", {"permission": "read"})["code"]
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        command = [BENCH, "--url", self.url, "--session", session, "--code", code, "--mode", mode, *arguments]
        environment = {**os.environ, "POSTERN_TOKEN": self.token}
        if mode == "idle":
            return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        before = self.cpu()
        report = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        report["cpu"] = self.cpu() - before
        # A session whose host just goes waits five minutes for it, with its ring.
        self.delete(f"/sessions/{session}")
        return report


def median(reports, key):
    return statistics.median(report[key] if isinstance(key, str) else key(report) for report in reports)


def throughput(relay):
    print("\n| payload | guests | deliveries/s | CPU s of the relay per million deliveries | generator busy |")
    print("|---|---|---|---|---|")
    for size, name in ((256, "256 B"), (1024, "1 KiB"), (16384, "16 KiB")):
        for guests in (1, 10, 100):
            frames = max(300, min(60_000, 400_000 // guests // (1 + size // 2048)))
            reports = [relay.load("throughput", guests=guests, bytes=size, frames=frames) for _ in range(RUNS)]
            rate = median(reports, lambda r: r["deliveries"] / r["seconds"])
            cost = median(reports, lambda r: r["cpu"] * 1e6 / r["deliveries"])
            print(f"| {name} | {guests} | {rate:,.0f} | {cost:.2f} | {median(reports, 'generatorBusy'):.0%} |", flush=True)


def latency(relay):
    print("\n| frames/s | guests | p50 µs | p99 µs |\n|---|---|---|---|")
    for rate, guests in ((200, 1), (1000, 1), (200, 10), (200, 100)):
        reports = [relay.load("latency", guests=guests, bytes=256, frames=rate * 2, rate=rate) for _ in range(RUNS)]
        print(f"| {rate} | {guests} | {median(reports, 'p50'):,.0f} | {median(reports, 'p99'):,.0f} |", flush=True)


def idle():
    figures = []
    for _ in range(RUNS):
        with Relay() as relay:
            before = relay.rss()
            process = relay.load("idle", guests=IDLE_PEERS)
            assert process.stdout.readline().strip() == "ready"
            figures.append((relay.rss() - before) / IDLE_PEERS)
            process.communicate("\n")
    print(f"\nIdle peers: {statistics.median(figures):.1f} KiB of resident memory each (at {IDLE_PEERS:,} peers).")


def durable(relay):
    rates = []
    for _ in range(RUNS):
        count, threads, start = 100, 8, time.perf_counter()
        def create():
            for _ in range(count):
                relay.post("/sessions", {"hostPublicKey": "k"})
        workers = [threading.Thread(target=create) for _ in range(threads)]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
        rates.append(count * threads / (time.perf_counter() - start))
    print(f"\nShare sessions created durably (fsync before the answer, 8 callers, one connection per call): "
          f"{statistics.median(rates):,.0f} per second.")


def main():
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    version = subprocess.run([POSTERN, "version"], capture_output=True, text=True).stdout.strip()
    print(f"{version}; {os.cpu_count()} × {cpu}; Linux {platform.release().split('-')[0]}; medians of {RUNS} runs; "
          "the generator shares the machine; 32 frames under way")
    with Relay() as relay:
        before = relay.rss()
        throughput(relay)
        latency(relay)
        durable(relay)
        print(f"\nResident memory of the relay: {before / 1024:.0f} MiB after start, {relay.rss() / 1024:.0f} MiB after all of this.")
    idle()


if __name__ == "__main__":
    sys.exit(main())

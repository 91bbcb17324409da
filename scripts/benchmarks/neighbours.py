"""What a guest that has stopped reading, and a session at full speed beside it, do to others.

The table compares within a round, and takes the median of the rounds' ratios: a busy minute of the machine is in both.
"""

import statistics
import subprocess

from . import compiled, peers

# More than every buffer on the way to a guest that does not read holds: it must fall behind, not just sleep.
CROWD = {"guests": 100, "bytes": 2048, "frames": 8000, "rate": 1000}
PAIR = {"guests": 1, "bytes": 256, "frames": 3000, "rate": 1000}
BULK = {"guests": 1, "bytes": 16384, "frames": 1_000_000, "window": 32}
# Runs the generator of the measured session before everything else, as it would run on a machine of its own; the bulk's does not.
FIRST = ("chrt", "--fifo", "10")


class Pair:
    """Two loads that are compared, round after round, each of them first in every other round."""

    def __init__(self, name, other, key):
        self.name, self.other, self.key, self.rounds = name, other, key, []

    def round(self, usual, disturbed):
        loads = [usual, disturbed] if len(self.rounds) % 2 == 0 else [disturbed, usual]
        reports = {load: load() for load in loads}
        self.rounds.append((reports[usual], reports[disturbed]))

    def show(self, results):
        for index, name in enumerate((self.name, self.other)):
            found = [reports[index] for reports in self.rounds]
            p50, p99 = (statistics.median(report[key] for report in found) for key in ("p50", "p99"))
            ratio = statistics.median(reports[index]["p99"] / reports[0]["p99"] for reports in self.rounds)
            lost = max(report["lost"] for report in found)
            compared = f"{ratio:.2f}" if index else ""
            print(f"| {name} | {p50:,.0f} / {p99:,.0f} | {compared} | {lost} |", flush=True)
            results.append({"case": "neighbours", "which": f"{self.key} {'disturbed' if index else 'usual'}", "p50": p50, "p99": p99,
                            "ratio": ratio, "lost": lost, "rounds": [report["p99"] for report in found]})


def crowd(peer, pair):
    def stopped():
        before = peer.metric("postern_relay_slow_consumers_total")
        report = peer.load("latency", stalled=1, **CROWD)
        if peer.metric("postern_relay_slow_consumers_total") == before:
            raise RuntimeError("the guest that does not read has not fallen behind: the row says nothing")
        return report

    pair.round(lambda: peer.load("latency", **CROWD), stopped)


def beside(peer, carrier, pair, ahead=()):
    """One session by itself, and with a bulk session that `carrier` carries: the same relay, or another process."""
    def measured():
        peer.ahead = ahead
        report = peer.load("latency", **PAIR)
        peer.ahead = ()
        return report

    def disturbed():
        bulk = carrier.begin("throughput", **BULK)
        sessions = carrier.sessions
        try:
            bulk.stdout.readline()
            return measured()
        finally:
            bulk.kill()
            bulk.communicate()
            carrier.sessions = sessions
            carrier.done()

    pair.round(measured, disturbed)


def may_go_first():
    return subprocess.run([*FIRST, "true"], capture_output=True).returncode == 0


def measure(runs, results):
    print("\n### Bad neighbours\n\n1,000 messages/s, 2 KiB to the hundred and 256 B to the others; p50 / p99 in µs of everybody else.\n")
    print("| | p50 / p99 | p99, times | lost |\n|---|---|---|---|")
    stopped = Pair("100 guests, all read", "100 guests, one of which reads nothing: the other 99", "one stopped")
    shared = Pair("a session by itself", "the same, beside one that moves 16 KiB messages as fast as it can", "beside bulk")
    first = Pair("the same session, its generator before everything else: by itself", "beside bulk", "generator first")
    apart = Pair("(floor), likewise: by itself", "beside bulk that another process carries", "floor")
    pairs = [stopped, shared]
    peer = peers.Postern()
    floors = [] if compiled.Floor.missing() or not may_go_first() else [compiled.Floor(), compiled.Floor()]
    try:
        for _ in range(runs):
            crowd(peer, stopped)
            beside(peer, peer, shared)
            if floors:
                beside(peer, peer, first, FIRST)
                beside(floors[0], floors[1], apart, FIRST)
        for pair in pairs + ([first, apart] if floors else []):
            pair.show(results)
    finally:
        for running in [peer, *floors]:
            running.close()

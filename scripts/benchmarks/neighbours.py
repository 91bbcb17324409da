"""What a guest that has stopped reading, and a session at full speed beside it, do to others.

The table compares within a round, and takes the median of the rounds' ratios: a busy minute of the machine is in both.
"""

import contextlib
import os
import shutil
import statistics
import subprocess

from . import compiled, peers

# More than every buffer on the way to a guest that does not read holds: it must fall behind, not just sleep.
CROWD = {"guests": 100, "bytes": 2048, "frames": 8000, "rate": 1000}
PAIR = {"guests": 1, "bytes": 256, "frames": 3000, "rate": 1000}
# Until it is stopped, in seconds: far longer than what is measured beside it.
BULK = {"guests": 1, "bytes": 16384, "seconds": 600, "window": 32}
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
            ratios = [reports[index]["p99"] / reports[0]["p99"] for reports in self.rounds]
            ratio, lost = statistics.median(ratios), max(report["lost"] for report in found)
            compared = f"{ratio:.2f} ({min(ratios):.1f} to {max(ratios):.1f})" if index else ""
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


def measured(peer, ahead):
    peer.ahead = ahead
    try:
        return peer.load("latency", **PAIR)
    finally:
        peer.ahead = ()


@contextlib.contextmanager
def bulk(carrier):
    """A session at full speed, on the relay that is measured or another one."""
    process = carrier.begin("throughput", **BULK)
    sessions = carrier.sessions
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the bulk session does not begin: {process.communicate()[1].strip()[-300:]}")
        yield
        if process.poll() is not None:
            raise RuntimeError("the bulk session ended before what was measured beside it")
    finally:
        process.kill()
        process.communicate()
        carrier.sessions = sessions
        carrier.done()


@contextlib.contextmanager
def busy():
    """As many programs that never rest as there are cores."""
    programs = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def beside(peer, neighbour, pair, ahead=()):
    def disturbed():
        with neighbour():
            return measured(peer, ahead)

    pair.round(lambda: measured(peer, ahead), disturbed)


def may_go_first():
    return bool(shutil.which(FIRST[0])) and subprocess.run([*FIRST, "true"], capture_output=True).returncode == 0


class OneLoop(peers.Postern):
    more = ("--event-loops", "1")


def measure(runs, results):
    print("\n### Bad neighbours\n\n1,000 messages/s, 2 KiB to the hundred and 256 B to the others; p50 / p99 in µs of everybody else.\n")
    first = may_go_first()
    if not first:
        print("Without the rows whose generator runs before everything else: that needs chrt and the right to real-time priority.\n")
    stopped = Pair("100 guests, all read", "100 guests, one of which reads nothing: the other 99", "one stopped")
    plain = Pair("a session by itself", "beside one that moves 16 KiB messages as fast as it can (bulk)", "beside bulk")
    pairs, rounds = [stopped, plain], []
    with contextlib.ExitStack() as stack:
        def started(kind):
            peer = kind()
            stack.callback(peer.close)
            return peer

        peer = started(peers.Postern)
        rounds += [lambda: crowd(peer, stopped), lambda: beside(peer, lambda: bulk(peer), plain)]

        def add(name, other, key, relay, neighbour):
            pairs.append(pair := Pair(name, other, key))
            rounds.append(lambda: beside(relay, neighbour, pair, FIRST))

        if first:
            add("a session whose generator runs before everything else", "beside bulk", "generator first", peer, lambda: bulk(peer))
            add("again", "beside a program on each core that never rests", "busy", peer, busy)
            single = started(OneLoop)
            add("with one event loop", "beside bulk on the same loop", "one loop", single, lambda: bulk(single))
        if first and not compiled.Floor.missing():
            one, other = started(compiled.Floor), started(compiled.Floor)
            add("(floor)", "beside bulk that another process carries", "floor", one, lambda: bulk(other))
        # Each load is the first of its round as often as the second.
        for _ in range(runs + runs % 2):
            for go in rounds:
                go()
    print("| | p50 / p99 | p99, times (rounds) | lost |\n|---|---|---|---|")
    for pair in pairs:
        pair.show(results)

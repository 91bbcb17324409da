"""Sockets drop and come back; the shared command does not notice."""

import asyncio
import glob
import os
import re
import signal
import subprocess
import threading
import urllib.request

import pytest

from conftest import POSTERN, wait_for


class Gate:
    """A TCP proxy in front of the server that can cut every connection and refuse new ones."""

    def __init__(self, target):
        self.target = target
        self.open = True
        # The address that the server sees.
        self.source = "127.0.0.1"
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.ready.wait()

    def _run(self):
        async def main():
            self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
            self.ready.set()
            self.stopped = asyncio.Event()
            await self.stopped.wait()
        self.loop.run_until_complete(main())

    async def _accept(self, reader, writer):
        if not self.open:
            return writer.transport.abort()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target, local_addr=(self.source, 0))
        except OSError:
            return writer.transport.abort()
        self.writers |= {writer, far_writer}

        async def copy(source, sink):
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            sink.transport.abort()
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    def _on_loop(self, body):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (body(), done.set()))
        done.wait()

    def cut(self):
        def body():
            self.open = False
            for writer in self.writers:
                writer.transport.abort()
            self.writers.clear()
        self._on_loop(body)

    def mend(self):
        self._on_loop(lambda: setattr(self, "open", True))

    def close(self):
        self.cut()
        self._on_loop(self.stopped.set)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def gate(server):
    host, port = server.address.split(":")
    gates = []

    def make():
        gates.append(Gate((host, int(port))))
        return gates[-1]
    yield make
    for gate in gates:
        gate.close()


def through(gate, user):
    return {**user.environment, "POSTERN_URL": f"http://127.0.0.1:{gate.port}"}


def start(tmux, host_environment, guest_environment):
    host = tmux.pane("host", f"{POSTERN} share -- bash --norc", host_environment)
    host.wait("to type along")
    text = tmux.run("capture-pane", "-p", "-J", "-t", "host")
    code = re.search(r"type along:\s+postern join (\S+)", text).group(1)
    host.type("clear\n")  # The codes stand on the host's screen only.
    guest = tmux.pane("guest", f"{POSTERN} join {code}", guest_environment)
    guest.wait("$")
    return host, guest, code


def same(host, *guests):
    wait_for(lambda: all(guest.cells == host.cells for guest in guests),
             lambda: "equal screens:\n" + "\n----\n".join(pane.screen for pane in (host, *guests)))


def test_a_guest_comes_back_to_what_it_missed(tmux, ana, ben, gate):
    way = gate()
    host, guest, _ = start(tmux, ana.environment, through(way, ben))
    for round in range(3):
        way.cut()
        guest.wait("the connection was lost")
        host.type(f"echo missed {round}; seq 1 50\n")
        host.wait("50\n$")
        way.mend()
        same(host, guest)
        guest.type(f"echo back {round}\n")
        host.wait(f"back {round}\n")
        same(host, guest)


def test_a_guest_that_missed_more_than_the_ring_gets_a_snapshot_and_no_use_is_counted(tmux, ana, ben, gate):
    way = gate()
    host, guest, _ = start(tmux, ana.environment, through(way, ben))
    way.cut()
    guest.wait("the connection was lost")
    host.type("seq 1 1000000; echo do''ne\n")
    host.wait("done")
    way.mend()
    same(host, guest)
    uses = [code["currentUses"] for code in ana.call("GET", "/sessions")[1][0]["codes"]]
    assert sum(uses) == 1


def test_the_command_goes_on_while_the_host_is_away(tmux, ana, ben, gate):
    way = gate()
    host, guest, _ = start(tmux, through(way, ana), ben.environment)
    for round in range(3):
        way.cut()
        guest.wait("the host is disconnected")
        host.type(f"echo alone {round}; seq 1 30\n")
        host.wait("30\n$")
        way.mend()
        same(host, guest)
        guest.type(f"echo together {round}\n")
        host.wait(f"together {round}\n")
        same(host, guest)


def test_a_restarted_server_finds_host_and_guest_again(tmux, server, ana, ben):
    host, guest, _ = start(tmux, ana.environment, ben.environment)
    for how in (signal.SIGTERM, signal.SIGKILL):
        server.restart(how)
        guest.type("")
        same_after(host, guest)
        guest.type(f"echo after {how.name}\n")
        host.wait(f"after {how.name}\n")
        same(host, guest)


def family(pid):
    """A process and all that come from it."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            found = open(path).read()
        except OSError:
            continue
        parents.setdefault(int(found.rpartition(")")[2].split()[1]), []).append(int(found.split()[0]))
    return [pid] + [one for child in parents.get(pid, []) for one in family(child)]


def peers(server):
    text = urllib.request.urlopen(server.url + "/metrics").read().decode()
    return float(re.search(r"^postern_relay_peers (\S+)$", text, re.M).group(1))


@pytest.mark.parametrize("window, who", [("120", ("host", "guest")), ("1", ("guest",))])
def test_machines_that_slept_go_on_where_they_were(tmux, make_server, window, who):
    """They stand still until the server has given them up; the guest comes back to its seat, or joins again."""
    server = make_server("--guest-return", window, "--public-numbers", "yes")
    ana, ben = server.user("ana"), server.user("ben")
    host, guest, _ = start(tmux, ana.environment, ben.environment)
    guest.type("echo be''fore\n")
    host.wait("before\n")
    # Not the pane's own shell: tmux wakes what it sees stopped.
    asleep = [pid for name in who
              for pid in family(int(tmux.run("display-message", "-p", "-t", name, "#{pane_pid}")))[1:]]
    try:
        for pid in asleep:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: peers(server) == 2 - len(who), "the server to give them up")
        if "host" not in who:
            host.type("seq 1 200; echo mis''sed\n")
            host.wait("missed\n")
    finally:
        # What stands still does not hear that the test has ended.
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    same_after(host, guest)
    for number in (1, 2):
        # Typed twice, it would count twice.
        guest.type("n=$((n + 1)); echo $n awa''ke\n")
        host.wait(f"{number} awake\n")
        same(host, guest)


def test_a_guest_that_comes_from_another_address_is_the_same_guest(tmux, ana, ben, gate):
    way = gate()
    host, guest, _ = start(tmux, ana.environment, through(way, ben))
    for number, source in enumerate(["127.0.0.2", "127.0.0.3"]):
        way.cut()
        guest.wait("the connection was lost")
        host.type(f"echo moved {number}; seq 1 50\n")
        host.wait("50\n$")
        way.source = source
        way.mend()
        same(host, guest)
        guest.type(f"echo from there {number}\n")
        host.wait(f"from there {number}\n")
        same(host, guest)
    # Resumed, and not joined again.
    assert sum(code["currentUses"] for code in ana.call("GET", "/sessions")[1][0]["codes"]) == 1


def same_after(host, guest):
    """The guest is back once what it types arrives; until then it says that somebody is away."""
    wait_for(lambda: "lost" not in guest.screen and "away" not in guest.screen and "waiting" not in guest.screen,
             lambda: f"the guest's return:\n{guest.screen}")


def test_lossless_output_survives_cut_connections(ana, ben, shares, children, gate):
    way = gate()
    host = {**ana.environment, "POSTERN_URL": f"http://127.0.0.1:{way.port}"}
    count = 4_000_000
    process = subprocess.Popen(
        [POSTERN, "share", "--json", "--lossless", "--", "sh", "-c", f"stty raw -echo; read go; seq 1 {count}; sleep 1"],
        env=host, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    children.append(process)
    import json
    code = json.loads(process.stdout.readline())["codes"][0]["join"].split()[-1]
    guest = subprocess.Popen([POSTERN, "join", code], env=through(way, ben), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    children.append(guest)
    assert "guest_joined" in process.stdout.readline()
    received = bytearray()
    marks = [2_000_000, 8_000_000, 15_000_000]
    guest.stdin.write(b"go\n")
    guest.stdin.flush()
    while data := guest.stdout.read1(1 << 16):
        received += data
        if marks and len(received) > marks[0]:
            marks.pop(0)
            way.cut()
            way.mend()
    assert not marks, "the output was over before the last cut"
    assert received == b"".join(b"%d\n" % number for number in range(1, count + 1))

"""A lot of output: lossless to three guests, lossy past a guest that does not read, and Ctrl-C in the middle of it."""

import hashlib
import os
import signal
import subprocess
import threading

import pyte

from conftest import POSTERN, rss, wait_for

# A gibibyte takes a minute or so; CI and `make test` send a quarter of it, `make bulk` all of it.
MEBIBYTES = int(os.environ.get("POSTERN_BULK_MIB", "256"))

# Raw, so that what the program writes is what arrives; it starts when the guests are there.
LOSSLESS = ("stty raw -echo; read go; head -c {bytes} /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 2>/dev/null"
            " | base64 -w0; sleep 1")


def expected(count):
    """SHA-256 of what the command above writes."""
    line = (f"head -c {count} /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 2>/dev/null | base64 -w0 | sha256sum")
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout.split()[0]


class Peaks(threading.Thread):
    """Watches processes and keeps the most memory each has held, in MiB, until all have ended."""

    def __init__(self, **pids):
        super().__init__(daemon=True)
        self.pids, self.most, self.stopped = pids, dict.fromkeys(pids, 0), threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(0.1):
            for name, pid in self.pids.items():
                try:
                    self.most[name] = max(self.most[name], rss(pid, "VmHWM"))
                except FileNotFoundError:
                    pass  # It has ended.


class Digest(threading.Thread):
    """Reads a guest's output to its end."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.hash, self.bytes = stream, hashlib.sha256(), 0
        self.start()

    def run(self):
        while data := self.stream.read1(1 << 20):
            self.hash.update(data)
            self.bytes += len(data)


def test_lossless_output_arrives_whole_at_three_guests(server, ana, ben, shares, children):
    count = MEBIBYTES * (1 << 20) * 3 // 4
    share = ana.share("--lossless", "--", "sh", "-c", LOSSLESS.format(bytes=count))
    shares.append(share)
    guests = [ben.join(share.invitation(), stdin=subprocess.PIPE) for _ in range(3)]
    children.extend(guests)
    digests = [Digest(guest.stdout) for guest in guests]
    for _ in guests:
        share.wait("guest_joined")
    # The guest that joined last may not have its snapshot yet: only then does the command start.
    for guest in guests:
        # On a busy machine it may have to wait for its host first, and says so.
        while b"joined" not in (line := guest.stderr.readline()):
            assert b"waiting" in line, line
    # What it holds, without the code that its first session maps in.
    held = lambda: rss(server.process.pid, "RssAnon")
    before = held()
    peaks = Peaks(server=server.process.pid, host=share.process.pid,
                  **{f"guest{number}": guest.pid for number, guest in enumerate(guests)})
    guests[0].stdin.write(b"go\n")
    guests[0].stdin.flush()
    assert share.wait("exited")["status"] == 0
    for digest in digests:
        digest.join()
    peaks.stopped.set()
    peaks.join()
    want = expected(count)
    assert [digest.hash.hexdigest() for digest in digests] == [want] * 3
    print(f"\n{MEBIBYTES} MiB to three guests; most memory in MiB: " + ", ".join(f"{k} {v:.0f}" for k, v in peaks.most.items()))
    assert all(most < 150 for most in peaks.most.values()), peaks.most
    # Nothing of it stays: what the allocator keeps for the next session is about two rings, whatever went by.
    shares.remove(share)
    share.end()
    wait_for(lambda: held() <= before + 8, lambda: f"memory to be given back: {before} before, {held()} after")
    print(f"held by the server, in MiB: {before:.1f} before, {held():.1f} after")


def test_without_lossless_the_host_is_not_held_up_and_all_end_with_its_screen(server, ana, ben, tmux, children):
    host = tmux.pane("host", f"{POSTERN} share -- bash --norc", ana.environment)
    host.wait("to type along")
    import re
    text = tmux.run("capture-pane", "-p", "-J", "-t", "host")
    code = re.search(r"type along:\s+postern join (\S+)", text).group(1)
    slow = ben.join(code, stdin=subprocess.PIPE)
    children.append(slow)
    quick = tmux.pane("quick", f"{POSTERN} join {code}", ben.environment)
    quick.wait("$")
    # On a busy machine the guest may be there before its host.
    while b"joined" not in (line := slow.stderr.readline()):
        assert line, "the guest ended"
    # Stopped: it reads nothing at all while 40 MB go by, far more than every buffer on the way.
    slow.send_signal(signal.SIGSTOP)
    host.type("seq 1 6000000; echo do''ne\n")
    host.wait("done")
    assert server.rss() < 150
    collected = bytearray()
    reader = threading.Thread(target=lambda: [collected.extend(data) for data in iter(lambda: slow.stdout.read1(1 << 16), b"")])
    reader.start()
    slow.send_signal(signal.SIGCONT)
    wait_for(lambda: quick.cells == host.cells, "the quick guest's screen")
    wait_for(lambda: b"done" in collected[-3000:], "the slow guest's last snapshot")
    host.type("exit\n")
    host.wait("STATUS")
    slow.wait()
    reader.join()
    assert len(collected) < 40_000_000, "it skipped"
    screen = pyte.Screen(80, 24)
    # From the last snapshot on: its first sequence is a soft reset.
    pyte.ByteStream(screen).feed(bytes(collected[collected.rindex(b"\x1b[!p"):]))
    assert any("6000000" in line for line in screen.display) and any("done" in line for line in screen.display)


def test_control_c_of_a_guest_stops_an_endless_yes(server, ana, ben, tmux):
    host = tmux.pane("host", f"{POSTERN} share -- bash --norc", ana.environment)
    host.wait("to type along")
    import re
    text = tmux.run("capture-pane", "-p", "-J", "-t", "host")
    code = re.search(r"type along:\s+postern join (\S+)", text).group(1)
    guest = tmux.pane("guest", f"{POSTERN} join {code}", ben.environment)
    guest.wait("$")
    guest.type("yes\n")
    guest.wait("y\ny\ny")
    guest.key("C-c")
    host.wait("^C")
    guest.type("echo st''opped\n")
    host.wait("stopped")
    wait_for(lambda: guest.cells == host.cells, "the guest's screen")

"""The server restarts under a running session, again and again: no byte is lost, none comes twice."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from conftest import wait_for

RESTARTS = int(os.environ.get("POSTERN_RESTARTS", "100"))

# Numbered records of 16 bytes, 10 MB a second, until it is told to stop.
NUMBERS = """
import os, sys, time, tty
tty.setraw(0)
sys.stdin.buffer.raw.read(3)
number, start = 0, time.monotonic()
while not os.path.exists({stop!r}):
    os.write(1, b"".join(b"%015d\\n" % n for n in range(number, number + 6250)))
    number += 6250
    time.sleep(max(0, start + number * 16 / 10e6 - time.monotonic()))
os.write(1, b"end\\n")
time.sleep(1)
"""


class Records(threading.Thread):
    """Reads a guest's output, and stops at the first record that is not the next."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.next, self.wrong, self.ended = stream, 0, None, False
        self.start()

    def run(self):
        rest = b""
        while data := self.stream.read1(1 << 20):
            rest += data
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line == b"end":
                    self.ended = True
                elif line != b"%015d" % self.next and not self.wrong:
                    self.wrong = (self.next, line)
                self.next += 1


def state(share, guests, readers):
    """What a person would look at first when output stops."""
    said = []
    for process, stream in [(guest, guest.stderr) for guest in guests] + [(share.process, share.process.stdout.buffer)]:
        os.set_blocking(stream.fileno(), False)
        said.append((process.poll(), (stream.read() or b"")[-2000:]))
    return [reader.next for reader in readers], said


@pytest.mark.parametrize("how, times", [(signal.SIGTERM, RESTARTS), (signal.SIGKILL, max(1, RESTARTS // 5))])
def test_restarts_under_ten_megabytes_a_second_lose_and_repeat_nothing(server, ana, ben, shares, children, tmp_path, how, times):
    stop = tmp_path / "stop"
    share = ana.share("--lossless", "--", sys.executable, "-c", NUMBERS.format(stop=str(stop)))
    shares.append(share)
    guests = [ben.join(share.invitation(), stdin=subprocess.PIPE) for _ in range(2)]
    children.extend(guests)
    for _ in guests:
        share.wait("guest_joined")
    for guest in guests:
        # On a busy machine it may have to wait for its host first, and says so.
        while b"joined" not in (line := guest.stderr.readline()):
            assert b"waiting" in line, line
    readers = [Records(guest.stdout) for guest in guests]
    guests[0].stdin.write(b"go\n")
    guests[0].stdin.flush()
    for _ in range(times):
        reached = [reader.next for reader in readers]
        # Half a second's worth, so that the session runs and is not just coming back.
        wait_for(lambda: all(reader.next > before + 300_000 for reader, before in zip(readers, reached)) or
                 any(reader.wrong for reader in readers), lambda: state(share, guests, readers))
        assert not any(reader.wrong for reader in readers), [reader.wrong for reader in readers]
        server.restart(how)
    stop.touch()
    for reader in readers:
        wait_for(lambda: reader.ended or reader.wrong, "the end")
    assert [reader.wrong for reader in readers] == [None, None]
    assert readers[0].next == readers[1].next
    # Nobody had to come in through the front door again.
    uses = ana.call("GET", f"/sessions/{share.session_id}/codes")[1]
    assert sum(code["currentUses"] for code in uses) == 2

"""More input than may wait anywhere: from a file, from a pipe, pasted, and at the host. All of it arrives, in order."""

import hashlib
import os
import pty
import subprocess
import termios
import threading
import tty

import pytest

from conftest import POSTERN, wait_for

# Above every bound on the way, of which the largest is 1 MiB.
LINES = 400_000
DATA = b"".join(b"%08d\n" % number for number in range(LINES))
# Raw, so that what is typed is what arrives.
SINK = "stty raw -echo; echo ready; head -c {count} > {file}; echo taken; sleep 1"


def check(file):
    taken = file.read_bytes()
    assert (len(taken), hashlib.sha256(taken).digest()) == (len(DATA), hashlib.sha256(DATA).digest())


@pytest.fixture
def sink(ana, shares, tmp_path):
    file = tmp_path / "taken"
    share = ana.share("--", "sh", "-c", SINK.format(count=len(DATA), file=file))
    shares.append(share)
    wait_for(file.exists, "the command")
    return share, file


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_input_of_any_length_arrives_whole(sink, ben, children, tmp_path, way):
    share, file = sink
    given = tmp_path / "given"
    given.write_bytes(DATA)
    source = given.open("rb") if way == "file" else subprocess.Popen(["cat", given], stdout=subprocess.PIPE).stdout
    guest = ben.join(share.invitation(), stdin=source)
    children.append(guest)
    assert share.wait("exited")["status"] == 0
    check(file)


def test_a_paste_of_any_length_arrives_whole_and_its_progress_is_shown(sink, ben, children):
    share, file = sink
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    tty.setraw(terminal)
    guest = subprocess.Popen([POSTERN, "join", share.invitation()], env=ben.environment, stdin=terminal, stdout=terminal,
                             stderr=terminal, start_new_session=True)
    children.append(guest)
    os.close(terminal)
    shown = bytearray()

    def read():
        try:
            while data := os.read(control, 1 << 16):
                shown.extend(data)
        except OSError:
            pass  # The guest has ended.

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wait_for(lambda: b"ready" in shown, "the host's screen")
    rest = DATA
    while rest:
        rest = rest[os.write(control, rest[:4096]):]
    assert share.wait("exited")["status"] == 0
    check(file)
    assert b"sending what you typed" in shown
    guest.wait()
    reader.join()
    os.close(control)


def test_a_file_as_the_hosts_own_input_arrives_whole(ana, tmp_path, children):
    given, file = tmp_path / "given", tmp_path / "taken"
    given.write_bytes(DATA)
    with given.open("rb") as source:
        host = subprocess.Popen([POSTERN, "share", "--", "sh", "-c", SINK.format(count=len(DATA), file=file)],
                                env=ana.environment, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    children.append(host)
    _, error = host.communicate(timeout=60)
    assert host.returncode == 0, error
    check(file)

"""Recorded sessions of real programs: what a guest gets, live or as a late joiner's snapshot, makes the same screen in a terminal
that nobody here wrote (pyte) as the program's own bytes do there."""

import os
import subprocess
import threading

import pexpect
import pyte
import pytest

from conftest import wait_for

ROWS, COLUMNS = 24, 80

BROKEN = """
#include <stdio.h>
int main(void) { int *number = "ten"; undeclared = 3; printf("%s\\n", number) return 0; }
"""

# Nothing is written over half a wide character: there pyte keeps the other half, and no terminal that people use does.
WIDE = ("日本語のテキスト|\r\n한국어|ascii\r\ne\u0301 a\u0308 n\u0303 |combining\r\n"
        "🚀🎉😀|emoji\r\n\x1b[31m漢\x1b[44m字\x1b[0m|colours\r\n" + "漢" * 45 + "\r\n\x1b[9;5Hx")


def record(folder, command, *steps, environment=None):
    """What a program wrote to a terminal while these (keys, what to wait for) were gone through."""
    written = (folder / "recording").open("wb")
    program = pexpect.spawn(
        "/bin/sh", ["-c", command], dimensions=(ROWS, COLUMNS), timeout=60, cwd=folder,
        # Without `rep` and the alternate character set, which pyte does not know.
        env={**os.environ, "TERM": "screen-256color", "LC_ALL": "C.UTF-8", **(environment or {})})
    program.logfile_read = written
    for keys, seen in steps:
        if keys:
            program.send(keys)
        program.expect(seen)
    try:
        program.read_nonblocking(1 << 20, timeout=0)
    except (pexpect.TIMEOUT, pexpect.EOF):
        pass
    program.close(force=True)
    written.close()
    return folder / "recording"


def vim(folder):
    return record(folder, "vim -n -u NONE -c 'set nu hls nottyfast' /etc/services", (None, "tcpmux"), ("/tcp\r", "/tcp"),
                  ("\x04", "/udp"), (":set list\r", r"\$"), ("5jdd:echo 'the end'\r", "\rthe end"))


def less(folder):
    return record(folder, "less -N /etc/services", (None, "tcpmux"), (" ", ":"), ("/udp\r", "udp"), ("k", ":"))


def htop(folder):
    return record(folder, "htop -d 5", (None, "PID"), ("S", "Categories|Setup"), ("\x1b[B\x1b[B", "Colors"))


def compiler(folder):
    (folder / "broken.c").write_text(BROKEN)
    return record(folder, "cc -fdiagnostics-color=always broken.c; echo done $?", (None, "done 1"))


def progress(folder):
    (folder / "big").write_bytes(bytes(8 << 20))
    return record(folder, f"curl -# -o /dev/null file://{folder}/big && echo done", (None, "done"))


def wide(folder):
    path = folder / "recording"
    path.write_bytes(WIDE.encode())
    return path


def drawn(written):
    """What pyte shows: every cell with its colours and attributes, and the cursor."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(written)
    rows = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        # The right half of a wide character is nothing by itself.
        rows.append([(cell.data, cell.fg, cell.bg, cell.bold, cell.reverse, cell.underscore) for cell in cells if cell.data])
    return rows, (screen.cursor.x, screen.cursor.y)


class Heard(threading.Thread):
    """Everything a guest writes to its standard output."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.bytes = stream, b""
        self.start()

    def run(self):
        while data := self.stream.read1(1 << 16):
            self.bytes += data


def first_difference(expected, got):
    for row, (ours, theirs) in enumerate(zip(expected[0], got[0])):
        if ours != theirs:
            column = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            return f"row {row}, cell {column}: {ours[column:column + 3]} became {theirs[column:column + 3]}"
    return f"cursor {expected[1]} became {got[1]}"


@pytest.mark.parametrize("program", [vim, less, htop, compiler, progress, wide], ids=lambda program: program.__name__)
def test_a_recorded_session_looks_the_same_to_a_guest_live_and_as_a_snapshot(ana, ben, shares, children, tmp_path, program):
    recording = program(tmp_path)
    expected = drawn(recording.read_bytes())
    begin, end = tmp_path / "begin", tmp_path / "end"
    # The recording has been through a terminal already: this one adds nothing to it.
    share = ana.share("--", "sh", "-c", f"stty -opost; until [ -e {begin} ]; do sleep 0.02; done; "
                                        f"cat {recording}; touch {end}; exec sleep 1000")
    shares.append(share)

    def guest():
        process = ben.join(share.invitation("read"), stdin=subprocess.DEVNULL)
        children.append(process)
        share.wait("guest_joined")
        return Heard(process.stdout)

    live = guest()
    begin.touch()
    wait_for(end.exists, "the end of the recording")
    for name, heard in (("live", live), ("snapshot", guest())):
        wait_for(lambda: drawn(heard.bytes) == expected, lambda: f"{name}: {first_difference(expected, drawn(heard.bytes))}")

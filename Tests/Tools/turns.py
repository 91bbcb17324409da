"""How long the turns are that the kernel gives a process's threads."""

import ctypes
import platform
import struct
from pathlib import Path

GETATTR = {"x86_64": 315, "aarch64": 275}
RESET_ON_FORK = 1


def turn(thread=0):
    """Nanoseconds of a thread's turn, by default our own, and whether what it starts gets the usual ones; None once it has ended.
    Before Linux 6.12 all turns are of one length, said as 0."""
    libc, attributes = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(56)
    if libc.syscall(GETATTR[platform.machine()], thread, attributes, len(attributes), 0) != 0:
        return None
    _, _, flags, _, _, nanoseconds = struct.unpack_from("IIQiIQ", attributes)
    return nanoseconds, bool(flags & RESET_ON_FORK)


def turns(pid):
    """The turns of a process's event loops, and those of its other threads."""
    loops, others = set(), set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text()
        except OSError:
            continue
        (loops if name.startswith("NIO-ELT-") else others).add(turn(int(task.name)))
    return loops - {None}, others - {None}


def short():
    """What an event loop's turn should be."""
    return 100_000 if turn()[0] else 0, True

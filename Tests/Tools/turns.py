"""How long the turns are that the kernel gives a process's threads."""

import ctypes
import platform
import struct
from pathlib import Path

GETATTR = {"x86_64": 315, "aarch64": 275}
SCHED_OTHER = 0


def turn(thread=0):
    """Nanoseconds of a thread's turn, by default our own; 0 before Linux 6.12, which has one length for all."""
    libc, attributes = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(56)
    assert libc.syscall(GETATTR[platform.machine()], thread, attributes, len(attributes), 0) == 0, ctypes.get_errno()
    _, policy, _, _, _, nanoseconds = struct.unpack_from("IIQiIQ", attributes)
    assert policy == SCHED_OTHER
    return nanoseconds


def turns(pid):
    """Names of a process's threads, and their turns."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        found.setdefault((task / "comm").read_text().strip(), []).append(turn(int(task.name)))
    return found

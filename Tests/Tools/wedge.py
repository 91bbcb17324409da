"""Stopping one thread of a process, for tests of what notices that."""

import ctypes
import os
from pathlib import Path


class Wedge:
    """Stops one thread of a process, as a thread that hangs would be stopped; the others go on."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, pid, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
                   if (task / "comm").read_text().strip().startswith(name)]
        assert threads, [(task / "comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        self.thread = threads[0]
        assert self.libc.ptrace(self.SEIZE, self.thread, None, None) == 0, os.strerror(ctypes.get_errno())
        assert self.libc.ptrace(self.INTERRUPT, self.thread, None, None) == 0, os.strerror(ctypes.get_errno())

    def forget(self):
        # The tracer must take note of the end, or the process stays a zombie.
        try:
            os.waitpid(self.thread, 0x40000000)
        except ChildProcessError:
            pass

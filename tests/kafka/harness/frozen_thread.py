"""One thread of another process stops, as if it hung, while the others go on."""

import ctypes
import os
import threading
from pathlib import Path

_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 17, 0x4206, 0x4207
_WALL = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _ptrace(request: int, tid: int) -> None:
    _LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if _LIBC.ptrace(request, tid, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request:#x} of thread {tid}: {os.strerror(error)}")


class FrozenThread:
    """Freezes the thread `name` of `pid` from the constructor's return to `thaw`, or to the end of
    its process. Both from one thread of this process: it is the tracer.
    """

    def __init__(self, pid: int, name: str):
        (self._tid,) = [
            int(task.name)
            for task in Path(f"/proc/{pid}/task").iterdir()
            if (task / "comm").read_text().strip() == name
        ]
        _ptrace(_PTRACE_SEIZE, self._tid)
        _ptrace(_PTRACE_INTERRUPT, self._tid)
        os.waitpid(self._tid, _WALL)
        # A process whose thread is traced has ended for nobody before the tracer has taken note.
        threading.Thread(target=self._take_note, name="tracer", daemon=True).start()

    def _take_note(self) -> None:
        try:
            os.waitpid(self._tid, _WALL)
        except ChildProcessError:
            pass  # thawed

    def thaw(self) -> None:
        _ptrace(_PTRACE_DETACH, self._tid)

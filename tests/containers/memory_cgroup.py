"""A memory cgroup, of version 1 or 2, whichever this machine lets its root make."""

import os
import shlex
import time
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class MemoryCgroup:
    """`within` runs a process in it. Raises OSError where none can be made."""

    def __init__(self, limit: int):
        v1 = (_V1 / "memory.limit_in_bytes").exists()
        self._path = (_V1 if v1 else _V2) / f"kfast-test-{os.getpid()}-{time.monotonic_ns()}"
        if not v1:
            (_V2 / "cgroup.subtree_control").write_text("+memory")
        self._path.mkdir()
        self._used = self._path / ("memory.usage_in_bytes" if v1 else "memory.current")
        limits = ["memory.limit_in_bytes"] if v1 else ["memory.max"]
        # Without swap, or the limit would be none.
        swap = "memory.memsw.limit_in_bytes" if v1 else "memory.swap.max"
        (self._path / limits[0]).write_text(str(limit))
        if (self._path / swap).exists():
            (self._path / swap).write_text(str(limit) if v1 else "0")
        script = f'echo $$ >{shlex.quote(str(self._path / "cgroup.procs"))} && exec "$@"'
        self.within = ("sh", "-c", script, "sh")

    def __enter__(self) -> "MemoryCgroup":
        return self

    def __exit__(self, *_) -> None:
        self._path.rmdir()

    @property
    def used(self) -> int:
        """Bytes that are charged to it."""
        return int(self._used.read_text())

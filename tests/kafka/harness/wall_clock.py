"""Clocks for a test's own processes, which it sets while the machine's go on."""

import mmap
import struct
import time

from . import paths
from .process import temporary_directory


class WallClock:
    """`environment`, and the command `within`, give a process this clock; see settable_clock.c."""

    def __init__(self):
        self._file = temporary_directory("clock") / "offset"
        self._file.write_bytes(bytes(mmap.PAGESIZE))
        with open(self._file, "r+b") as file:
            self._offset = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {
            "LD_PRELOAD": str(paths.built("tests/kafka/libsettable_clock.so")),
            "KFAST_TEST_CLOCK": str(self._file),
        }
        self.within = ("env", *(f"{name}={value}" for name, value in self.environment.items()))

    def set(self, hours: float) -> None:
        """So many hours ahead of the machine's."""
        struct.pack_into("<q", self._offset, 0, int(hours * 3_600_000))

    def stand(self) -> None:
        """From now on the time of kfastd's rounds passes by `pass_ms` alone."""
        self._stand_at(time.monotonic_ns() // 1_000_000)

    def pass_ms(self, ms: int) -> None:
        self._stand_at(struct.unpack_from("<q", self._offset, 8)[0] + ms)

    def _stand_at(self, ms: int) -> None:
        struct.pack_into("<q", self._offset, 8, ms)

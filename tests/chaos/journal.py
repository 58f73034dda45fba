"""What a load worker knows of its records, in a file that outlives it."""

import mmap
import struct
import tempfile
from typing import Optional

# The words of the first page. The worker writes all but the last two.
ACCEPTED, POLLS, REPORTED_TWICE, REPORTED_UNSENT, FLUSHED_UNTOLD, PHASE, BEGUN = range(7)
LIFE, WISH = 64, 65

STARTING, SENDING, SENT, CLOSED = range(4)
GO_ON, FINISH = range(2)


class Journal:
    """A page of words, then for each record: the kfastd life in which it was sent, the one in which
    its report was read, the error in it (two bytes each), and its outcome (0: none read yet).

    ACCEPTED counts the records that it knows to be accepted, BEGUN those and what the call handles
    that it is in: a killed worker may have sent no more than those.

    A life is how many kfastds there were, counted by whoever starts them, before each start. So
    what a worker reads before it sends is the first life that can have taken the record, or an
    earlier one, and what it reads after it has got a report is the life that wrote it, or a later
    one.
    """

    def __init__(self, capacity: int, descriptor: Optional[int] = None):
        self.capacity = capacity
        size = mmap.PAGESIZE + 7 * capacity
        self._file = None
        if descriptor is None:
            self._file = tempfile.TemporaryFile()
            self._file.truncate(size)
            descriptor = self._file.fileno()
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, size)
        page = memoryview(self._map)
        self.words = page[: mmap.PAGESIZE].cast("Q")
        lives = page[mmap.PAGESIZE : mmap.PAGESIZE + 4 * capacity].cast("H")
        self.sent_in = lives[:capacity]
        self.reported_in = lives[capacity:]
        self.errors = page[mmap.PAGESIZE + 4 * capacity : mmap.PAGESIZE + 6 * capacity].cast("h")
        self.outcomes = page[mmap.PAGESIZE + 6 * capacity :]

    @property
    def accepted(self) -> int:
        return self.words[ACCEPTED]

    def outcome_count(self, outcome: int) -> int:
        return bytes(self.outcomes[: self.accepted]).count(outcome)

    def numbers_with(self, outcome: int) -> list:
        """The records below `accepted` that have this outcome."""
        known = bytes(self.outcomes[: self.accepted])
        numbers, at = [], known.find(outcome)
        while at >= 0:
            numbers.append(at)
            at = known.find(outcome, at + 1)
        return numbers


def value_of(number: int) -> bytes:
    """A record's value, in many sizes, so that frames end everywhere in a ring."""
    return struct.pack("<Q", number) + b"." * (number * 37 % 181)

"""What a process holds that it could forget to give back."""

import os
import re
from collections import Counter
from typing import NamedTuple


class Holdings(NamedTuple):
    descriptors: Counter  # by what they are, as "memfd:kfast-c2d"
    threads: int
    segments: int  # mappings of shared memory without a name in the file system


def holdings(pid: int) -> Holdings:
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        segments = sum("memfd:" in line for line in maps)
    return Holdings(descriptors(pid), len(os.listdir(f"/proc/{pid}/task")), segments)


def descriptors(pid: int) -> Counter:
    """Without TCP sockets and pipes: kfastd's are librdkafka's, which come and go with its broker
    connections.
    """
    with open(f"/proc/{pid}/net/unix", encoding="ascii", errors="replace") as table:
        unix_sockets = {line.split()[6] for line in table}
    kinds: Counter = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        numbered = re.fullmatch(r"(\w+):\[(\d+)\]", target)
        kind = numbered[1] if numbered else target.removeprefix("/").removesuffix(" (deleted)")
        if kind == "socket" and numbered[2] in unix_sockets:
            kinds["unix socket"] += 1
        elif kind not in ("socket", "pipe"):
            kinds[kind] += 1
    return kinds


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGESIZE")

"""However many workers come and go, kfastd and its keeper hold afterwards what they held before."""

import re
import struct
import subprocess
import time
from typing import NamedTuple

import pytest

from harness import kfastctl, paths
from harness.daemon import Kfastd, config_for
from harness.holdings import Holdings, holdings, resident_bytes
from harness.process import Process, remove_directory, temporary_directory

# Of the first rounds is what is kept on purpose: threads, a topic, lists as long as they ever were.
WARM_UP = 2_000
ROUNDS = 10_000
KEEPER_ROUNDS = 1_000
# What is left of that: a list that grows once more where more workers happen to be there at once.
KEPT_BYTES, KEPT_BLOCKS = 32 * 1024, 64
# What malloc keeps for itself, and the stats segment's pages: one page a round would be 35 MiB.
KEPT_RESIDENT = 8 << 20
GAUGES = (
    "kfast_sessions",
    "kfast_channels",
    "kfast_ring_allocated_bytes",
    "kfast_shard_channels",
    "kfast_profile_in_flight_messages",
    "kfast_produce_in_flight_messages",
    "kfast_ring_bytes",
)


class Ended(NamedTuple):
    killed: int
    left: int
    closed: int
    read: int
    accepted: int
    uncounted: int  # records at most that the killed did not count any more


class Allocated(NamedTuple):
    bytes: int
    blocks: int


class Counted:
    """kfastds that count what they have allocated: see counting_malloc.c."""

    def __init__(self):
        self.directory = temporary_directory("allocated")

    def start(self, kafka, **more) -> Kfastd:
        config = config_for(kafka.bootstrap)
        # Of those who died there are as many as Kafka has not answered for yet.
        config["limits"] = {"default": {"sessions": 100_000, "channels": 100_000}}
        environment = {
            "KFAST_KILL_AT": "",
            "KFAST_ALLOCATED": str(self.directory),
            "LD_PRELOAD": str(paths.built("tests/chaos/libcounting_malloc.so")),
        }
        return Kfastd(config, environment=environment, **more)

    def allocated(self, pid: int) -> Allocated:
        return Allocated(*struct.unpack("qq", (self.directory / str(pid)).read_bytes()))


@pytest.fixture
def counted():
    counted = Counted()
    yield counted
    remove_directory(counted.directory)


def short_lives(kfastd: Kfastd, topic: str, rounds: int, at_once: int, seed: int) -> Ended:
    arguments = [kfastd.socket_dir, topic, rounds, at_once, seed]
    process = Process(
        [paths.built("tests/chaos/short_lives"), *arguments], stdout=subprocess.PIPE
    )
    line = process.stdout.read().decode()
    assert process.wait() == 0
    return Ended(*map(int, re.findall(r"\d+", line)))


def wait_gauges_at_rest(kfastd: Kfastd) -> None:
    """Waits until the last record has its outcome and everything is given back."""
    kfastctl.wait_stat(
        kfastd.socket_dir,
        lambda stats: not any(stats.value(name) for name in GAUGES),
        f"all of {', '.join(GAUGES)} to be 0",
    )


def assert_held_again(pid: int, before: Holdings, timeout: float = 60) -> None:
    """A gauge goes down a moment before or after what it counts."""
    deadline = time.monotonic() + timeout
    while (now := holdings(pid)) != before and time.monotonic() < deadline:
        pass
    assert now == before


def wait_nothing_kept(keeper: int, timeout: float = 60) -> None:
    """kfastd tells its keeper, and does not wait for it."""
    deadline = time.monotonic() + timeout
    while any("memfd:" in kind for kind in holdings(keeper).descriptors):
        assert time.monotonic() < deadline, holdings(keeper)


def assert_all_delivered(kafka, topic: str, *ended: Ended) -> None:
    accepted = sum(each.accepted for each in ended)
    uncounted = sum(each.uncounted for each in ended)
    assert accepted <= kafka.witness.count(topic) <= accepted + uncounted


def test_ten_thousand_short_lives_leave_nothing_behind(kafka, counted):
    topic = kafka.topic("short-lives", partitions=2)
    with counted.start(kafka) as kfastd:
        first = short_lives(kfastd, topic, WARM_UP, at_once=32, seed=1)
        wait_gauges_at_rest(kfastd)
        before, allocated = holdings(kfastd.pid), counted.allocated(kfastd.pid)
        resident = resident_bytes(kfastd.pid)

        rest = short_lives(kfastd, topic, ROUNDS, at_once=8, seed=2)
        assert min(rest.killed, rest.left, rest.closed, rest.read) > ROUNDS / 10
        wait_gauges_at_rest(kfastd)
        assert_held_again(kfastd.pid, before)
        now = counted.allocated(kfastd.pid)
        assert now.bytes - allocated.bytes < KEPT_BYTES, (allocated, now)
        assert now.blocks - allocated.blocks < KEPT_BLOCKS, (allocated, now)
        assert resident_bytes(kfastd.pid) - resident < KEPT_RESIDENT
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.value("kfast_violations_total") == 0
        assert_all_delivered(kafka, topic, first, rest)


def test_a_thousand_short_lives_leave_nothing_with_the_keeper(kafka, counted):
    topic = kafka.topic("short-lives-kept", partitions=2)
    with counted.start(kafka, arguments=("--keeper",)) as keeper:
        child = int((keeper.socket_dir / "kfastd.lock").read_text())
        pids = [keeper.pid, child]
        first = short_lives(keeper, topic, 200, at_once=16, seed=3)
        wait_gauges_at_rest(keeper)
        wait_nothing_kept(keeper.pid)
        before, allocated = [holdings(p) for p in pids], [counted.allocated(p) for p in pids]

        rest = short_lives(keeper, topic, KEEPER_ROUNDS, at_once=8, seed=4)
        wait_gauges_at_rest(keeper)
        for pid, held, had in zip(pids, before, allocated):
            assert_held_again(pid, held)
            now = counted.allocated(pid)
            assert now.blocks - had.blocks < KEPT_BLOCKS, (had, now)
            assert now.bytes - had.bytes < KEPT_BYTES, (had, now)
        assert_all_delivered(kafka, topic, first, rest)

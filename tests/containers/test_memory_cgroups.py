"""Who pays for the pages of a ring, and what a limit does that is too small for it."""

import signal

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, default_binary
from harness.worker import Worker

from memory_cgroup import MemoryCgroup
from place import program_within

MIB = 1 << 20


def test_a_memory_cgroup_pays_for_the_ring_of_its_worker(kfastd, delivers):
    with MemoryCgroup(limit=256 * MIB) as worker_group:
        with Worker(kfastd.socket_dir, {"ring.bytes": "4m"}, within=worker_group.within) as worker:
            small = worker_group.used
            assert delivers(worker)
        with Worker(kfastd.socket_dir, {"ring.bytes": "64m"}, within=worker_group.within) as worker:
            assert worker_group.used - small >= 55 * MIB
            assert delivers(worker)


def test_a_memory_cgroup_of_kfastd_does_not_pay_for_rings(config, delivers):
    with MemoryCgroup(limit=96 * MIB) as daemon_group:
        inside = program_within(daemon_group.within, default_binary())
        with Kfastd(config, binary=inside) as kfastd:
            with Worker(kfastd.socket_dir, {"ring.bytes": "256m", "report.bytes": "1m"}) as worker:
                assert delivers(worker)
                assert daemon_group.used < 96 * MIB


def test_a_memory_cgroup_smaller_than_the_ring_ends_its_worker_at_the_opening_and_nobody_else(
    kfastd, delivers
):
    """The kernel does not refuse memory that a cgroup has not got, it kills; never in a send, since
    the ring's pages are all there when it is open.
    """
    with Worker(kfastd.socket_dir) as other, MemoryCgroup(limit=48 * MIB) as worker_group:
        with pytest.raises(RuntimeError, match=f"ended with status {-signal.SIGKILL}"):
            Worker(kfastd.socket_dir, {"ring.bytes": "64m"}, within=worker_group.within)
        kfastd.wait_log("channel closed channel=2")
        assert delivers(other)
        stats = kfastctl.stat(kfastd.socket_dir)
        assert (stats.value("kfast_channels"), stats.value("kfast_sessions")) == (1, 1)

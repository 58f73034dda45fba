"""A worker hands its channel back to a new kfastd, and cannot take the answer."""

import itertools
import os
import resource

import pytest

from harness import kfastctl
from harness.kfast import DELIVERED
from harness.worker import Worker


def descriptors(pid: int) -> set:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def leave_one_descriptor(pid: int) -> None:
    """From now on the process can have one descriptor more than it has now."""
    held = descriptors(pid)
    _, second_free = itertools.islice((fd for fd in itertools.count() if fd not in held), 2)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (second_free, hard))


def more_descriptors(pid: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
def stuck(kafka, kfastd):
    """A worker with records that no kfastd has seen, whose hand-over fails again and again."""
    topic = kafka.topic("stuck")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"warm")
        worker.wait_reports(1)
        connected = len(descriptors(worker.pid))
        kfastd.kill()
        for n in range(500):
            worker.send(topic, None, b"%d" % n)
        while len(descriptors(worker.pid)) >= connected:
            worker.reports()  # until it has closed its socket
        leave_one_descriptor(worker.pid)
        kfastd.start()
        while kfastctl.stat(kfastd.socket_dir).value("kfast_sessions_opened_total") < 5:
            worker.reports()
        yield worker, topic


def values_in(kafka, topic):
    return [record.value for record in kafka.witness.read(topic)]


EVERYTHING = [b"warm", *(b"%d" % n for n in range(500))]


def test_nothing_is_taken_before_the_worker_has_what_it_needs(kafka, kfastd, stuck):
    worker, topic = stuck
    stats = kfastctl.stat(kfastd.socket_dir)
    assert stats.value("kfast_channels_resumed_total") == stats.value("kfast_channels") == 0
    assert values_in(kafka, topic) == [b"warm"]
    more_descriptors(worker.pid)
    reports = worker.wait_reports(500)
    assert all(report.outcome == DELIVERED and report.offset >= 0 for report in reports)
    assert values_in(kafka, topic) == EVERYTHING
    stats = kfastctl.stat(kfastd.socket_dir)
    assert stats.value("kfast_channels_resumed_total") == stats.value("kfast_sessions") == 1


def test_a_worker_that_dies_before_it_can_confirm_is_delivered(kafka, kfastd, stuck):
    worker, topic = stuck
    worker.kill()
    kfastd.wait_log("channel taken back")
    kfastd.wait_log("channel closed")
    assert values_in(kafka, topic) == EVERYTHING


def test_a_hand_over_that_never_succeeds_leaves_nothing_behind(kafka, kfastd, stuck):
    worker, _ = stuck
    before = len(os.listdir(f"/proc/{kfastd.pid}/fd"))
    opened = kfastctl.stat(kfastd.socket_dir).value("kfast_sessions_opened_total")
    while kfastctl.stat(kfastd.socket_dir).value("kfast_sessions_opened_total") < opened + 10:
        worker.reports()
    assert kfastctl.stat(kfastd.socket_dir).value("kfast_sessions") <= 2
    assert len(os.listdir(f"/proc/{kfastd.pid}/fd")) <= before + 8

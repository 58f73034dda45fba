"""Limits, of kfastd's configuration and of the system: who is refused is told which one and what to
do, and it is counted; all others go on.
"""

import os
import resource

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import (
    DELIVERED,
    FAILED,
    LIMIT,
    NO_MEMORY,
    TOO_MANY_TOPICS,
    KfastError,
    Producer,
)
from harness.raw_session import RawSession
from harness.refusals import code_of, report_of


@pytest.fixture(scope="module")
def shared(kafka):
    """kfastd for the tests of this file that leave it as it is."""
    with Kfastd(config_for(kafka.bootstrap)) as daemon:
        yield daemon


def limited(kafka, **limits):
    config = config_for(kafka.bootstrap, log_level="debug")
    config["limits"] = {"default": limits}
    return Kfastd(config)


def test_the_limit_of_sessions_names_its_key(kafka):
    with limited(kafka, sessions=2) as daemon:
        first, second = Producer(daemon.socket_dir), Producer(daemon.socket_dir)
        match = r"limits\.default\.sessions = 2 reached \(2 in use by .*\); raise it"
        assert code_of(Producer, daemon.socket_dir, match=match) == LIMIT
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.value("kfast_sessions_refused_total", reason="limit") == 1
        first.close()
        daemon.wait_log("session closed")
        with Producer(daemon.socket_dir):
            pass
        second.close()


def test_the_limit_of_channels_names_its_key(kafka):
    with limited(kafka, channels=1) as daemon:
        first = Producer(daemon.socket_dir)
        match = r"limits\.default\.channels = 1 reached"
        assert code_of(Producer, daemon.socket_dir, match=match) == LIMIT
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.value("kfast_channels_refused_total", reason="limit") == 1
        first.close()
        daemon.wait_log("channel closed")
        with Producer(daemon.socket_dir):
            pass


def test_the_limit_of_memory_names_its_key(kafka):
    with limited(kafka, ring_bytes=1 << 20) as daemon:
        match = r"limits\.default\.ring_bytes = 1048576 reached .*more asked for"
        assert code_of(Producer, daemon.socket_dir, match=match) == LIMIT
        with Producer(daemon.socket_dir, {"ring.bytes": "64k"}, topics=8):
            pass
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.value("kfast_channels_refused_total", reason="limit") == 1


def test_the_limit_of_topics_names_its_key(kafka):
    topics = [kafka.topic("limited") for _ in range(3)]
    with limited(kafka, topics=2) as daemon, Producer(daemon.socket_dir) as producer:
        for topic in topics[:2]:
            producer.send(topic, None, b"v")
            assert producer.wait_reports(1)[0].outcome == DELIVERED
        report = report_of(producer, producer.send(topics[2], None, b"v"))
        assert (report.outcome, report.error_name) == (FAILED, "POLICY_VIOLATION")
        match = rf'"{topics[2]}" is one more than .*raise `topics`'
        assert code_of(producer.send, topics[2], None, b"v", match=match) == TOO_MANY_TOPICS
        daemon.wait_log(rf"topic={topics[2]}: limits\.default\.topics = 2 reached")
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.discarded("(refused)") == {"not_allowed": 1}
    assert [kafka.witness.count(topic) for topic in topics] == [1, 1, 0]


def open_descriptors(pid) -> set:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def limit_that_leaves(pid, count) -> int:
    """The RLIMIT_NOFILE under which a process may open `count` descriptors more."""
    used, number = open_descriptors(pid), 0
    while count > 0 or number in used:
        count -= number not in used
        number += 1
    return number


def test_kfastd_without_descriptors_refuses_with_words_and_recovers(kafka):
    topic = kafka.topic("descriptors")
    with limited(kafka) as daemon, Producer(daemon.socket_dir) as before:
        limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        used = open_descriptors(daemon.pid)
        ceilings = [limit_that_leaves(daemon.pid, count) for count in range(16)]
        refused = 0
        for ceiling in ceilings:
            mark = daemon.mark()
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (ceiling, limits[1]))
            try:
                Producer(daemon.socket_dir).close()
                break
            except KfastError as error:
                assert error.code == LIMIT, error.message
                assert "LimitNOFILE" in error.message, error.message
                refused += 1
        assert 3 <= refused < 16
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
        daemon.wait_log("channel closed", since=mark)
        before.send(topic, None, b"v")
        assert before.wait_reports(1)[0].outcome == DELIVERED
        stats = kfastctl.stat(daemon.socket_dir)
        system = stats.value("kfast_sessions_refused_total", reason="system")
        system += stats.value("kfast_channels_refused_total", reason="system")
        assert system == refused
        with RawSession(daemon.socket_dir) as session:
            session.greet()
            # librdkafka may have opened its connection to the broker since.
            assert len(open_descriptors(daemon.pid)) <= len(used) + 3


def test_a_worker_without_descriptors_is_told_and_leaks_none(shared):
    with Producer(shared.socket_dir):
        pass
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = open_descriptors(os.getpid())
    ceilings, refused = [limit_that_leaves(os.getpid(), count) for count in range(16)], 0
    try:
        for ceiling in ceilings:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, limits[1]))
            try:
                Producer(shared.socket_dir).close()
                break
            except KfastError as error:
                assert error.code == NO_MEMORY, error.message
                assert "RLIMIT_NOFILE" in error.message, error.message
                refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert 4 <= refused < 16
    assert open_descriptors(os.getpid()) == used
    with Producer(shared.socket_dir):
        pass


@pytest.mark.parametrize("limit", ["RLIMIT_FSIZE", "RLIMIT_AS"])
def test_kfastd_without_memory_for_a_channel_refuses_it_and_goes_on(kafka, limit):
    topic = kafka.topic("memory")
    with Kfastd(config_for(kafka.bootstrap)) as daemon, Producer(daemon.socket_dir) as before:
        number = getattr(resource, limit)
        limits = resource.prlimit(daemon.pid, number)
        ceiling = 32 << 20
        if limit == "RLIMIT_AS":
            with open(f"/proc/{daemon.pid}/statm") as file:
                ceiling += int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(daemon.pid, number, (ceiling, limits[1]))
        code = code_of(Producer, daemon.socket_dir, {"ring.bytes": "256m"}, match="kfastd refuses")
        assert code == LIMIT
        resource.prlimit(daemon.pid, number, limits)
        before.send(topic, None, b"v")
        assert before.wait_reports(1)[0].outcome == DELIVERED
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.value("kfast_channels_refused_total", reason="system") == 1
        assert stats.value("kfast_channels") == 1

"""The host's wall clock is set by a day while records are under way."""

import contextlib

import pytest

from harness import ports
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, FAILED
from harness.wall_clock import WallClock
from harness.worker import Worker

DAY = 24
# More records than are handed to librdkafka at once (a 64th of the ring): the rest waits in it.
MANY, SIZE = 2500, 16
RINGS = {"ring.bytes": "128k", "report.bytes": "128k"}


@pytest.fixture
def clock():
    """The clock of the test's kfastd and worker."""
    return WallClock()


@contextlib.contextmanager
def running(config, clock):
    with Kfastd(config, environment=clock.environment) as kfastd:
        with Worker(kfastd.socket_dir, RINGS, within=clock.within) as worker:
            yield kfastd, worker


@pytest.mark.parametrize("hours, word", [(DAY, "forward"), (-DAY, "back")])
def test_records_that_wait_for_a_broker_are_delivered_though_the_clock_was_set(
    kafka, paused, clock, hours, word
):
    topic = kafka.topic("clock-waits")
    with running(config_for(kafka.bootstrap), clock) as (kfastd, worker):
        worker.send_numbered(topic, b"p", 1)
        worker.wait_reports(1)
        paused()
        worker.send_numbered(topic, b"p", MANY - 1, first=1, size=SIZE)
        clock.set(hours)
        kfastd.wait_log(f"the wall clock went {word} by 86400... ms")
        kafka.resume(1)
        reports = worker.wait_reports(MANY - 1)
    assert {report.outcome for report in reports} == {DELIVERED}
    tally = kafka.witness.digest(topic, expected=MANY).producers[b"p"]
    assert (tally.missing, tally.duplicates, tally.out_of_order) == (0, 0, 0), tally


@pytest.mark.parametrize("hours", [DAY, -DAY])
def test_records_that_nobody_takes_time_out_though_the_clock_was_set(clock, hours):
    (port,) = ports.free_ports(1)
    config = config_for(f"127.0.0.1:{port}", {"message.timeout.ms": 4000})
    with running(config, clock) as (kfastd, worker):
        worker.send_numbered("orders", b"p", MANY, size=SIZE)
        clock.set(hours)
        kfastd.wait_log("the wall clock went")
        reports = worker.wait_reports(MANY, timeout=60)
    assert {(report.outcome, report.error_name) for report in reports} == {
        (FAILED, "_MSG_TIMED_OUT")
    }


def test_what_was_sent_by_a_clock_that_was_ahead_is_delivered_by_the_next_kfastd(kafka, clock):
    """Kafka would refuse a timestamp that lies a day ahead, with all that is in its batch."""
    topic = kafka.topic("clock-ahead")
    with running(config_for(kafka.bootstrap), clock) as (kfastd, worker):
        worker.send_numbered(topic, b"p", 1)
        worker.wait_reports(1)
        kfastd.kill()
        clock.set(DAY)
        worker.send_numbered(topic, b"p", 99, first=1)
        clock.set(0)
        kfastd.start()
        reports = worker.wait_reports(99)
    assert {report.outcome for report in reports} == {DELIVERED}
    assert kafka.witness.digest(topic, expected=100).producers[b"p"].missing == 0


def test_a_clock_that_is_ahead_fails_records_with_kafkas_error_until_it_is_right(kafka, clock):
    topic = kafka.topic("clock-wrong")
    clock.set(DAY)
    with running(config_for(kafka.bootstrap), clock) as (kfastd, worker):
        worker.send(topic, None, b"by the wrong clock")
        (report,) = worker.wait_reports(1)
        assert (report.outcome, report.error_name) == (FAILED, "INVALID_TIMESTAMP")
        clock.set(0)
        worker.send(topic, None, b"by the right clock")
        (report,) = worker.wait_reports(1)
        assert report.outcome == DELIVERED
        kfastd.wait_log("the wall clock went back")
    assert kafka.witness.count(topic) == 1


def test_records_of_a_worker_that_was_alone_when_the_clock_was_set_are_delivered(kafka, clock):
    topic = kafka.topic("clock-alone")
    with running(config_for(kafka.bootstrap), clock) as (kfastd, worker):
        worker.send_numbered(topic, b"p", 1)
        worker.wait_reports(1)
        kfastd.kill()
        worker.send_numbered(topic, b"p", 99, first=1)
        clock.set(DAY)
        kfastd.start()
        reports = worker.wait_reports(99)
    assert {report.outcome for report in reports} == {DELIVERED}
    assert kafka.witness.digest(topic, expected=100).producers[b"p"].missing == 0


def test_drains_and_restarts_end_though_the_clock_is_set_before_each(kafka, clock):
    topic = kafka.topic("clock-lives")
    with running(config_for(kafka.bootstrap), clock) as (kfastd, worker):
        for n, hours in enumerate((-DAY, 0, DAY)):
            worker.send_numbered(topic, b"p", 100, first=100 * n)
            worker.wait_reports(100)
            clock.set(hours)
            kfastd.restart()
    assert kafka.witness.digest(topic, expected=300).producers[b"p"].missing == 0

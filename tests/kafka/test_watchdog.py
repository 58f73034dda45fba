"""Signs of life for the service manager: given only while the shard's thread makes rounds."""

import pytest

from harness.daemon import Kfastd, config_for
from harness.frozen_thread import FrozenThread
from harness.raw_session import RawSession
from harness.worker import Worker


def told(kfastd, field, value) -> bool:
    return kfastd.notify.wait(field, value, 60, lambda: kfastd.running)


@pytest.fixture
def watched(kafka):
    """A kfastd that is to give a sign of life every 100 ms."""
    with Kfastd(config_for(kafka.bootstrap), environment={"WATCHDOG_USEC": "300000"}) as kfastd:
        yield kfastd


def test_signs_of_life_come_with_how_kfastd_stands(watched):
    assert told(watched, "WATCHDOG", "1")
    assert told(watched, "STATUS", "serving: 1 of 1 clusters up, 0 records wait")


def test_records_that_wait_are_in_the_status(kafka, watched, paused):
    topic = kafka.topic("status")
    with Worker(watched.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        paused()
        for _ in range(3):
            worker.send(topic, None, b"v")
        assert told(watched, "STATUS", "serving: 1 of 1 clusters up, 3 records wait")
        kafka.resume(1)
        worker.wait_reports(3)
    assert told(watched, "STATUS", "serving: 1 of 1 clusters up, 0 records wait")


def test_a_shard_that_hangs_gives_no_sign_of_life(watched):
    assert told(watched, "WATCHDOG", "1")
    frozen = FrozenThread(watched.pid, "kfast-shard0")
    watched.wait_log("the shard does not answer")
    watched.notify.settle()
    watched.notify.clear()
    with RawSession(watched.socket_dir) as session:
        session.greet()  # the main thread lives
    watched.notify.settle()
    assert "WATCHDOG" not in watched.notify.state
    frozen.thaw()
    assert told(watched, "WATCHDOG", "1")


def test_without_a_manager_that_watches_no_timer_is_kept(kafka):
    with Kfastd(config_for(kafka.bootstrap), environment={"WATCHDOG_PID": "1"}) as kfastd:
        kfastd.wait_log("serves")
        assert "WATCHDOG" not in kfastd.notify.state

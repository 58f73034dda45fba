"""What happens to kfastd on a host while a worker sends: nothing that it accepted is lost."""

from pathlib import Path

import pytest

from harness import kfastctl
from harness.daemon import config_for
from harness.frozen_thread import FrozenThread
from harness.kfast import DELIVERED
from harness.worker import Worker
from host import CONFIGURATION

COUNT = 60_000


def reload_other_properties(host, kfastd, kafka):
    kfastd.write_config(config_for(kafka.bootstrap, {"linger.ms": "1"}))
    kfastd.reload()


def restart(host, kfastd, kafka):
    kfastd.restart()


def kill(host, kfastd, kafka):
    kfastd.kill(hold=False)


def hang(host, kfastd, kafka):
    FrozenThread(kfastd.pid, "kfast-shard0")


def upgrade(host, kfastd, kafka):
    written, before = CONFIGURATION.read_bytes(), (kfastd.pid, host.version("kfast-daemon"))
    host.install("new")
    assert CONFIGURATION.read_bytes() == written
    pid, version = kfastd.pid, host.version("kfast-daemon")
    assert pid != before[0] and version != before[1]


def downgrade(host, kfastd, kafka):
    upgrade(host, kfastd, kafka)
    host.install("old")


# What is done, and whether another kfastd serves afterwards.
EVENTS = {
    reload_other_properties: False,
    restart: True,
    kill: True,
    hang: True,
    upgrade: True,
    downgrade: True,
}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_a_worker_sends_on_and_new_ones_are_served(host, kafka, running, event):
    topic, others_topic = kafka.topic("load"), kafka.topic("new-workers")
    kfastd = running(**({"WatchdogSec": "2s"} if event is hang else {}))
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", COUNT, mark_at=10_000)
        worker.wait_mark()
        assert kfastd.stored == 4
        mark = kfastd.mark()
        event(host, kfastd, kafka)
        with Worker(kfastd.socket_dir, {"connect.timeout.ms": "60000"}) as other:
            other.send(others_topic, None, b"v")
            assert [each.outcome for each in other.wait_reports(1)] == [DELIVERED]
        reports = worker.result()
        reports += worker.wait_reports(COUNT - len(reports))
    assert len({report.position for report in reports}) == COUNT
    assert all(report.outcome == DELIVERED for report in reports)
    assert ("channel adopted" in kfastd.log(mark)) == EVENTS[event]
    tally = kafka.witness.digest(topic, expected=COUNT).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally
    # Two lives count what they submit again each for themselves.
    if event is not downgrade:
        stats = kfastctl.stat(kfastd.socket_dir)
        assert tally.duplicates <= stats.value("kfast_resubmitted_messages_total"), tally


def wait_delivered(kafka, kfastd, topic, accepted, mark) -> None:
    kfastd.wait_log("channel closed channel=1", mark)
    tally = kafka.witness.digest(topic, expected=accepted).producers[b"p"]
    # One more may have been accepted than the worker could count.
    assert tally.missing == 0 and tally.unexpected <= 1, tally


@pytest.mark.parametrize("dead", ["worker", "kfastd-and-worker"])
def test_what_the_dead_leave_behind_is_delivered(kafka, running, dead):
    topic, kfastd = kafka.topic("left"), running()
    mark = kfastd.mark()
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", 1_000_000, mark_at=10_000)
        worker.wait_mark()
        if dead == "kfastd-and-worker":
            kfastd.kill(hold=False)
        worker.kill()
        accepted = worker.accepted
    wait_delivered(kafka, kfastd, topic, accepted, mark)


def test_removal_keeps_the_configuration_and_the_next_kfastd_delivers_what_is_left(host, kafka, running):
    topic, kfastd = kafka.topic("removed"), running()
    written = CONFIGURATION.read_bytes()
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", COUNT, mark_at=10_000)
        worker.wait_mark()
        process = Path("/proc", str(kfastd.pid))
        host.remove()
        assert not process.exists()
        assert kfastd.show("LoadState") != "loaded"
        assert not (kfastd.socket_dir / "kfastd.sock").exists()
        host.install("old")
        assert CONFIGURATION.read_bytes() == written
        assert kfastd.socket.show("ActiveState") == "active"
        assert kfastd.show("UnitFileState") == "enabled"
        reports = worker.result()
        reports += worker.wait_reports(COUNT - len(reports))
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=COUNT).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally

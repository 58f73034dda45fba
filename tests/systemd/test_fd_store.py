"""Segments that a real systemd keeps: kfastd is killed and restarted, its workers die or live."""

import pytest

from harness import kfastctl, many_channels
from harness.kfast import DELIVERED
from harness.worker import Worker


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def numbers(count, first=0):
    return [b"%d" % n for n in range(first, first + count)]


def resubmitted(service, topic) -> int:
    return kfastctl.stat(service.socket_dir).value(
        "kfast_resubmitted_messages_total", topic=topic, reason="daemon_restart"
    )


def send_numbers(worker, topic, count, first):
    for value in numbers(count, first):
        worker.send(topic, None, value)


def test_what_kfastd_and_worker_left_behind_is_delivered(kafka, service):
    topic, kfastd = kafka.topic("both-dead"), service()
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        assert kfastd.stored == 4, "c2d, d2c, bell, pidfd"
        kfastd.kill()
        send_numbers(worker, topic, 999, first=1)
        worker.kill()
    assert kfastd.stored == 4
    kfastd.restart()
    kfastd.wait_log(r"channel adopted channel=1 .*worker=gone")
    kfastd.wait_log("channel closed channel=1")
    assert values_of(kafka, topic, 1000) == numbers(1000)
    assert kafka.witness.count(topic) == 1000, "nothing is delivered twice"
    # A new channel's barrier comes back after the removals.
    with Worker(kfastd.socket_dir):
        assert kfastd.stored == 4


def test_systemd_starts_a_killed_kfastd_which_delivers_by_itself(kafka, service):
    topic, kfastd, rounds = kafka.topic("again"), service(RestartSec="100ms"), 5
    for n in range(rounds):
        mark = kfastd.mark()
        with Worker(kfastd.socket_dir) as worker:
            send_numbers(worker, topic, 500, first=500 * n)
            kfastd.kill(hold=False)
            worker.kill()
        kfastd.wait_log("channel closed", since=mark)
    values = values_of(kafka, topic, 500 * rounds)
    assert set(values) >= set(numbers(500 * rounds))
    assert int(kfastd.show("NRestarts")) == rounds


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_worker_sends_on_over_a_restart(kafka, service, end):
    topic, kfastd, count = kafka.topic("sends-on"), service(RestartSec="100ms"), 60_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=10_000)
        worker.wait_mark()
        if end == "kill":
            kfastd.kill(hold=False)
        else:
            kfastd.restart()
        kfastd.wait_log("channel taken back")
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
        assert worker.reports() == []
        assert kfastd.stored == 4
    assert len(reports) == len({report.position for report in reports}) == count
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally
    assert tally.duplicates <= resubmitted(kfastd, topic), tally


def test_a_stop_empties_the_store_and_a_worker_that_lives_loses_nothing(kafka, paused, service):
    topic, kfastd = kafka.topic("stopped"), service()
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        paused()
        kfastd.stop()
        assert kfastd.stored == 0
        send_numbers(worker, topic, 499, first=1)
        kafka.resume(1)
        kfastd.start()
        # It hands its segments back at its next call; these are kept again.
        assert len(worker.wait_reports(499)) == 499
        assert kfastd.stored == 4
    kfastd.wait_log("channel closed")
    assert values_of(kafka, topic, 500) == numbers(500)


def test_a_store_that_is_too_small_keeps_the_oldest_and_disturbs_nobody(kafka, service):
    topics = [kafka.topic("kept"), kafka.topic("not-kept")]
    kfastd = service(FileDescriptorStoreMax="4")
    with Worker(kfastd.socket_dir) as first, Worker(kfastd.socket_dir) as second:
        for worker, topic in zip((first, second), topics):
            worker.send(topic, None, b"0")
            worker.wait_reports(1)
        assert kfastd.stored == 4
        kfastd.kill()
        for worker, topic in zip((first, second), topics):
            send_numbers(worker, topic, 99, first=1)
        first.kill()
        kfastd.restart()
        kfastd.wait_log("channel adopted channel=1 ")
        second.flush()
    for topic in topics:
        assert values_of(kafka, topic, 100) == numbers(100)


def test_hundreds_of_channels_come_back(kafka, service):
    topic, channels, records = kafka.topic("many", partitions=3), 200, 20
    kfastd = service(LimitNOFILE="65536")
    worker = many_channels.start(kfastd.socket_dir, topic, channels)
    assert kfastd.stored == 4 * channels
    kfastd.kill()
    many_channels.send(worker, records)
    worker.kill()
    kfastd.restart()
    for number in range(1, channels + 1):
        kfastd.wait_log(f"channel closed channel={number}$")
    read = [(each.key, each.value) for each in kafka.witness.read(topic, count=channels * records)]
    for n in range(channels):
        mine = [value for key, value in read if key == b"%d" % n]
        assert mine == [b"%d.%d" % (n, i) for i in range(records)]
    assert kafka.witness.count(topic) == channels * records


def test_no_more_is_kept_than_systemd_can_hand_to_the_next_start(kafka, service):
    topic, channels = kafka.topic("too-many"), 200
    kfastd = service(LimitNOFILE="1024:65536")
    worker = many_channels.start(kfastd.socket_dir, topic, channels)
    kfastd.wait_log("is not kept.* 512, half of the soft RLIMIT_NOFILE")
    assert 0 < kfastd.stored <= 512
    kfastd.kill()
    worker.kill()
    kfastd.restart()
    kfastd.wait_log("channel adopted channel=1 ")

"""Waiting for one record's outcome, opaques, and one producer used by several threads."""

import collections
import threading

import pytest

from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.kfast import (
    DELIVERED,
    FAILED,
    INVALID,
    TIMED_OUT,
    KfastError,
    Producer,
    numbered_values,
)
from harness.witness import crc_sum, sequence_value
from harness.worker import Worker


@pytest.fixture(scope="module")
def own_kafka(witness):
    """A broker that the tests of this file may stop."""
    with KafkaCluster(witness) as cluster:
        yield cluster


@pytest.fixture
def producer(kfastd):
    with Producer(kfastd.socket_dir) as producer:
        yield producer


def in_threads(*calls, meanwhile):
    """Runs the calls at the same time, and `meanwhile` on this thread; raises what one of them
    raised.
    """
    errors = []

    def run(call):
        try:
            call()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        meanwhile()
    finally:
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


# One record


def test_send_wait_says_where_the_record_is(kafka, producer):
    topic = kafka.topic("sendwait", partitions=4)
    reports = {
        b"%d" % n: producer.send_wait(topic, b"key %d" % n, b"%d" % n) for n in range(40)
    }
    records = kafka.witness.read(topic)
    assert len(records) == 40
    for record in records:
        report = reports[record.value]
        assert (report.outcome, report.error) == (DELIVERED, 0)
        assert (report.partition, report.offset) == (record.partition, record.offset)
    assert producer.reports() == []


def test_waiting_for_some_leaves_the_other_reports(kafka, producer):
    topic = kafka.topic("some", partitions=3)
    sent = [producer.send(topic, b"%d" % n, b"%d" % n) for n in range(2000)]
    waited = [producer.wait(position) for position in reversed(sent[::7])]
    assert [report.position for report in waited] == sent[::7][::-1]
    rest = producer.wait_reports(2000 - len(waited))
    assert sorted(r.position for r in rest + waited) == sent
    assert all(report.outcome == DELIVERED for report in rest + waited)
    with pytest.raises(KfastError, match="no report will come for position") as again:
        producer.wait(sent[0])
    assert again.value.code == INVALID


def test_a_topic_that_does_not_exist_fails_with_kafkas_error(kafka):
    properties = {"topic.metadata.propagation.max.ms": 500}
    with Kfastd(config_for(kafka.bootstrap, properties)) as daemon:
        with Producer(daemon.socket_dir) as producer:
            report = producer.send_wait("there-is-none", None, b"v")
    assert report.outcome == FAILED and report.offset == -1
    assert report.error_name in ("_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART")


def test_the_time_is_over_while_the_broker_is_away_and_the_report_comes_later(own_kafka):
    topic = own_kafka.topic("late")
    with Kfastd(config_for(own_kafka.bootstrap)) as daemon:
        with Producer(daemon.socket_dir) as producer:
            assert producer.send_wait(topic, None, b"0").outcome == DELIVERED
            own_kafka.stop(1)
            late = []
            for n in (1, 2):
                with pytest.raises(KfastError, match="no outcome yet.*brokers away") as over:
                    producer.send_wait(topic, None, b"%d" % n, timeout_ms=50)
                assert over.value.code == TIMED_OUT and over.value.position > 0
                late.append(over.value.position)
            own_kafka.start(1)
            assert producer.wait(late[1]).outcome == DELIVERED
            (first,) = producer.wait_reports(1)
            assert (first.position, first.outcome) == (late[0], DELIVERED)
    assert [record.value for record in own_kafka.witness.read(topic)] == [b"0", b"1", b"2"]


# kfastd is killed


def test_a_wait_goes_on_when_kfastd_is_killed(kafka, kfastd, paused):
    topic = kafka.topic("killed")
    with Worker(kfastd.socket_dir) as worker:
        before = worker.send(topic, None, b"before")
        assert worker.wait(before).outcome == DELIVERED
        paused()
        other = worker.send(topic, None, b"other")
        worker.begin("send_wait", topic, None, b"waited for")
        mark = kfastd.mark()
        kfastd.kill()
        kfastd.start()
        # The worker is in its wait, and comes back out of it.
        kfastd.wait_log("channel taken back", since=mark)
        kafka.resume(1)
        report = worker.result()
        assert report.outcome == DELIVERED
        assert worker.wait(other).outcome == DELIVERED
    values = [record.value for record in kafka.witness.read(topic)]
    assert set(values) == {b"before", b"other", b"waited for"}


def test_opaques_come_back_once_each_over_restarts(kafka, kfastd):
    topic, count = kafka.topic("opaques", partitions=3), 20_000
    got = []
    with Producer(kfastd.socket_dir, {"ring.bytes": "256k"}) as producer:
        sent = {}
        for n in range(count):
            if n in (5_000, 12_000):
                kfastd.restart(kill=True)
            opaque = n + 1 if n % 3 else None
            while True:
                try:
                    position = producer.send_one(
                        topic, b"%d" % (n % 16), b"%d" % n, opaque=opaque, timeout_ms=100
                    )
                    break
                except KfastError as error:
                    assert error.code not in (INVALID,), error
                    got += producer.reports_opaque()
            sent[position] = opaque
        producer.flush()
        got += producer.reports_opaque(count)
        assert producer.reports_opaque() == []
    assert len(got) == count
    assert {report.position: opaque for report, opaque in got} == sent


# Threads


def test_threads_share_a_producer_and_each_keeps_its_order(kafka, kfastd):
    topic, count, names = kafka.topic("threads", partitions=4), 3_000, (b"a", b"b", b"c")
    waited, read = [], collections.Counter()
    over = threading.Event()
    options = {"thread.safe": "true", "ring.bytes": "64k"}
    with Producer(kfastd.socket_dir, options) as producer:
        producer.topic(topic)

        def send(name):
            for n in range(count):
                producer.send_record(
                    topic, name, sequence_value(n, b"." * 92), timeout_ms=60_000
                )
                if n % 500 == 0:
                    producer.flush()

        def send_and_wait():
            for n in range(200):
                waited.append(producer.send_wait(topic, b"waits", sequence_value(n)))

        def send_wrong():
            for n in range(300):
                with pytest.raises(KfastError, match=f"name {n}!"):
                    producer.topic(f"name {n}!")

        def read_reports():
            while not over.is_set():
                for report in producer.reports():
                    assert report.outcome == DELIVERED
                    read[report.position] += 1

        reader = threading.Thread(target=read_reports)
        reader.start()
        try:
            in_threads(
                *[lambda name=name: send(name) for name in names],
                send_and_wait,
                send_wrong,
                meanwhile=lambda: kfastd.restart(kill=True),
            )
            producer.flush()
        finally:
            over.set()
            reader.join()
        for report in producer.reports():
            read[report.position] += 1
    assert all(report.outcome == DELIVERED for report in waited)
    assert len({report.position for report in waited}) == 200
    assert len(read) == len(names) * count and set(read.values()) == {1}
    tallies = kafka.witness.digest(topic).producers
    assert set(tallies) == {*names, b"waits"}
    for name in names:
        tally = tallies[name]
        assert (tally.distinct, tally.missing, tally.out_of_order) == (count, 0, 0), tally
        assert tally.crc_sum == crc_sum(numbered_values(count))
    assert (tallies[b"waits"].distinct, tallies[b"waits"].out_of_order) == (200, 0)

"""What a worker sends is in Kafka, with all of its content, and its reports say where."""

import random
import select
import signal
import time

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import (
    DELIVERED,
    FAILED,
    KfastError,
    Producer,
    numbered_values,
)
from harness.process import temporary_directory
from harness.witness import Record, crc_sum, sequence_value
from harness.worker import Worker

EVERY_BYTE = bytes(range(256))


@pytest.fixture(scope="module")
def shared(kafka):
    """kfastd for the tests of this file that leave it as it is."""
    config = config_for(kafka.bootstrap, profiles={"fast": {"linger.ms": 0}})
    with Kfastd(config) as daemon:
        yield daemon


@pytest.fixture
def producer(shared):
    with Producer(shared.socket_dir) as producer:
        yield producer


def assert_reports_say_where(reports, positions, records):
    """Every position once, each delivered where the witness found its record (`records` by
    position).
    """
    assert sorted(report.position for report in reports) == sorted(positions)
    for report in reports:
        assert (report.outcome, report.error) == (DELIVERED, 0), report
        found = records[report.position]
        assert (report.partition, report.offset) == (found.partition, found.offset)


CONTENTS = {
    "key and value": dict(key=b"key", value=b"value"),
    "null key": dict(key=None, value=b"value"),
    "empty key": dict(key=b"", value=b"value"),
    "binary": dict(key=EVERY_BYTE, value=EVERY_BYTE * 100),
    "tombstone": dict(key=b"gone", value=None),
    "empty value": dict(key=b"key", value=b""),
    "nothing at all": dict(key=None, value=None),
    "empty key and value": dict(key=b"", value=b""),
    "one header": dict(key=b"k", value=b"v", headers=[("name", b"data")]),
    "many headers": dict(
        key=b"k",
        value=b"v",
        headers=[
            ("twice", b"1"),
            ("other", EVERY_BYTE),
            ("twice", b"2"),
            ("empty", b""),
            ("null", None),
            ("", b"no name"),
            ("größe", b"non-ASCII"),
            ("twice", b"1"),
        ],
    ),
    "headers on a tombstone": dict(key=None, value=None, headers=[("why", b"expired")]),
    "as many headers as fit": dict(
        key=b"k", value=b"v", headers=[(f"h{n}", str(n).encode()) for n in range(1024)]
    ),
    "longest header name": dict(key=b"k", value=b"v", headers=[("n" * 32767, b"data")]),
    "explicit timestamp": dict(key=b"k", value=b"v", timestamp=1_700_000_000_123),
    "old timestamp": dict(key=b"k", value=b"v", timestamp=1),
}


def test_all_content_arrives_unchanged(kafka, producer):
    topic = kafka.topic("content", partitions=3)
    before = int(time.time() * 1000)
    sent = {}
    for n, content in enumerate(CONTENTS.values()):
        sent[producer.send_record(topic, partition=n % 3, **content)] = (n % 3, content)
    reports = {report.position: report for report in producer.wait_reports(len(sent))}
    after = int(time.time() * 1000)
    assert reports.keys() == sent.keys()
    found = {(record.partition, record.offset): record for record in kafka.witness.read(topic)}
    assert len(found) == len(sent)
    for position, (partition, content) in sent.items():
        report = reports[position]
        assert (report.outcome, report.partition) == (DELIVERED, partition)
        record = found[report.partition, report.offset]
        assert record == Record(
            partition,
            report.offset,
            content.get("timestamp", record.timestamp),
            "CreateTime",
            content["key"],
            content["value"],
            content.get("headers", []),
        )
        if "timestamp" not in content:
            # The clock of the record is a coarse one: it may be a tick late.
            assert before - 20 <= record.timestamp <= after


def test_a_plain_send_has_key_value_and_the_time_of_now(kafka, producer):
    topic = kafka.topic("plain")
    before = int(time.time() * 1000)
    positions = [
        producer.send(topic, key, value)
        for key in (None, b"", EVERY_BYTE)
        for value in (None, b"", EVERY_BYTE)
    ]
    producer.wait_reports(len(positions))
    records = kafka.witness.read(topic)
    after = int(time.time() * 1000)
    assert [(record.key, record.value, record.headers) for record in records] == [
        (key, value, []) for key in (None, b"", EVERY_BYTE) for value in (None, b"", EVERY_BYTE)
    ]
    assert all(before - 20 <= record.timestamp <= after for record in records)


def test_timestamp_zero_is_refused_because_librdkafka_means_now_by_it(kafka, producer):
    topic = kafka.topic("epoch")
    with pytest.raises(KfastError, match="timestamp_ms 0: it is 1 or more"):
        producer.send_record(topic, key=b"k", value=b"v", timestamp=0)


def test_each_key_lands_where_the_java_client_puts_it(kafka, producer):
    chance = random.Random(4)
    keys = [b"", EVERY_BYTE, "größe".encode()]
    keys += [f"user-{n}".encode() for n in range(497)]
    keys += [chance.randbytes(chance.randrange(1, 40)) for _ in range(500)]
    keys = list(dict.fromkeys(keys))
    assert len(keys) >= 1000
    topic = kafka.topic("murmur", partitions=12)
    for key in keys:
        producer.send(topic, key, b"v")
    producer.wait_reports(len(keys))
    found = {record.key: record.partition for record in kafka.witness.read(topic)}
    assert found == kafka.witness.partitions_for(keys, 12)


def test_records_of_a_key_stay_in_order(kafka, producer):
    topic = kafka.topic("order", partitions=6)
    keys = [f"key-{n}".encode() for n in range(40)]
    for n in range(100):
        for key in keys:
            producer.send(topic, key, sequence_value(n))
    producer.wait_reports(100 * len(keys))
    digest = kafka.witness.digest(topic, expected=100)
    assert set(digest.producers) == set(keys)
    for tally in digest.producers.values():
        assert (tally.records, tally.missing, tally.duplicates, tally.out_of_order) == (100, 0, 0, 0)


def test_reports_say_where_each_record_is(kafka, producer):
    topics = [kafka.topic("where", partitions=5) for _ in range(3)]
    sent = {}
    for n in range(3000):
        topic = topics[n % 3]
        sent[producer.send(topic, str(n % 200).encode(), str(n).encode())] = (topic, n)
    reports = producer.wait_reports(len(sent))
    by_value = {
        (topic, record.value): record for topic in topics for record in kafka.witness.read(topic)
    }
    assert len(by_value) == len(sent)
    records = {
        position: by_value[topic, str(n).encode()] for position, (topic, n) in sent.items()
    }
    assert_reports_say_where(reports, sent, records)
    for report in reports:
        assert producer.topic_name(report.topic) == sent[report.position][0]


def test_the_largest_record_arrives(kafka, shared):
    topic = kafka.topic("large", configs={"max.message.bytes": 2_000_000})
    value = random.Random(1).randbytes(1_000_000)
    config = config_for(kafka.bootstrap, {"message.max.bytes": 1_000_000})
    with Kfastd(config) as daemon, Producer(daemon.socket_dir, {"ring.bytes": "8m"}) as producer:
        largest = None
        for size in range(1_000_000, 0, -1):
            try:
                producer.send(topic, b"key", value[:size])
            except KfastError as error:
                assert "message.max.bytes" in error.message
                continue
            largest = size
            break
        report = producer.wait_reports(1)[0]
        assert report.outcome == DELIVERED, report.error_name
        assert largest == 1_000_000 - 3 - 36
        assert [record.value for record in kafka.witness.read(topic)] == [value[:largest]]


@pytest.mark.parametrize("ring", [4096, 65536])
def test_a_record_as_large_as_the_ring_allows_arrives_at_every_offset(kafka, shared, ring):
    topic = kafka.topic("quarter")
    # The frame's head takes 24 bytes.
    largest = ring // 4 - 24
    with Producer(shared.socket_dir, {"ring.bytes": ring}) as producer:
        with pytest.raises(KfastError) as refused:
            producer.send(topic, None, b"x" * (largest + 1))
        assert "raise ring.bytes" in refused.value.message
        values = []
        for n in range(60):
            for size in (largest, n + 1):
                values.append(bytes([n]) * size)
                producer.send_record(topic, value=values[-1], timeout_ms=30000)
                producer.reports()
        producer.flush()
    assert [record.value for record in kafka.witness.read(topic)] == values


def test_a_hundred_thousand_records_arrive_once_and_in_order(kafka, producer):
    topic = kafka.topic("many", partitions=3)
    count = 100_000
    reports = producer.send_numbered(topic, b"p", count, keys=64)
    reports += producer.wait_reports(count - len(reports))
    assert len({report.position for report in reports}) == count == len(reports)
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=count, producer_bytes=1).producers[b"p"]
    assert (tally.records, tally.missing, tally.duplicates) == (count, 0, 0)
    assert (tally.out_of_order, tally.unexpected) == (0, 0)
    assert tally.crc_sum == crc_sum(numbered_values(count))
    assert producer.used_bytes() == 0


def test_a_small_ring_wraps_many_times_and_loses_nothing(kafka, shared):
    topic = kafka.topic("wrap")
    options = {"ring.bytes": "4k", "report.bytes": "4k"}
    with Producer(shared.socket_dir, options, profile="fast") as producer:
        reports = producer.send_numbered(topic, b"p", 500, size=333)
        reports += producer.wait_reports(500 - len(reports))
    positions = [report.position for report in reports]
    assert len(set(positions)) == 500 and max(positions) > 40 * 4096
    tally = kafka.witness.digest(topic, expected=500).producers[b"p"]
    assert (tally.records, tally.missing, tally.out_of_order) == (500, 0, 0)
    assert tally.crc_sum == crc_sum(numbered_values(500, size=333))


def test_reports_can_be_left_to_errors_or_none(kafka, shared):
    good = kafka.topic("modes")
    seen = {}
    for mode in ("all", "errors", "none"):
        with Producer(shared.socket_dir, reports=mode) as producer:
            sent = [producer.send_record(good, value=str(n).encode()) for n in range(100)]
            # More than an hour in the future: kfastd refuses it by itself.
            ahead = int(time.time() * 1000) + 2 * 3600 * 1000
            late = producer.send_record(good, value=b"late", timestamp=ahead)
            producer.flush()
            reports = producer.reports()
            failed = [report.position for report in reports if report.outcome == FAILED]
            seen[mode] = len(reports)
            if mode == "all":
                assert {report.position for report in reports} == {*sent, late}
            assert failed == ([] if mode == "none" else [late])
    assert seen == {"all": 101, "errors": 1, "none": 0}
    assert kafka.witness.count(good) == 300
    stats = kfastctl.stat(shared.socket_dir)
    assert stats.outcomes(good) == {"delivered": 300, "failed": 3}
    assert stats.discarded(good) == {"invalid": 3}


def test_many_workers_send_at_once(kafka, shared):
    topic = kafka.topic("workers", partitions=4)
    count, names = 5000, [bytes([ord("a") + n]) for n in range(8)]
    workers = []
    try:
        for _ in names:
            workers.append(Worker(shared.socket_dir))
        for worker, name in zip(workers, names):
            worker.begin("send_numbered", topic, name, count, keys=16)
        for worker in workers:
            reports = worker.result()
            reports += worker.wait_reports(count - len(reports))
            assert len({report.position for report in reports}) == count
            assert all(report.outcome == DELIVERED for report in reports)
    finally:
        for worker in workers:
            worker.kill()
    digest = kafka.witness.digest(topic, expected=count, producer_bytes=1)
    assert set(digest.producers) == set(names)
    for tally in digest.producers.values():
        assert (tally.records, tally.missing, tally.out_of_order) == (count, 0, 0)
        assert tally.crc_sum == crc_sum(numbered_values(count))


def test_many_producers_of_one_process_send_at_once(kafka, shared):
    topic = kafka.topic("handles")
    producers = [Producer(shared.socket_dir, {"ring.bytes": "64k"}) for _ in range(20)]
    try:
        for n in range(50):
            for number, producer in enumerate(producers):
                producer.send(topic, bytes([number]), sequence_value(n))
        for producer in producers:
            assert len(producer.wait_reports(50)) == 50
    finally:
        for producer in producers:
            producer.close()
    digest = kafka.witness.digest(topic, expected=50)
    assert set(digest.producers) == {bytes([number]) for number in range(20)}
    assert all(
        (tally.records, tally.out_of_order) == (50, 0) for tally in digest.producers.values()
    )


def test_a_channel_sends_to_many_topics(kafka, producer):
    topics = [kafka.topic("multi") for _ in range(50)]
    for n in range(20):
        for topic in topics:
            producer.send(topic, b"k", f"{topic} {n}".encode())
    assert len({producer.topic(topic) for topic in topics}) == 50
    producer.wait_reports(20 * len(topics))
    for topic in topics:
        values = [record.value for record in kafka.witness.read(topic)]
        assert values == [f"{topic} {n}".encode() for n in range(20)]


def test_flush_returns_when_every_outcome_can_be_read(kafka, producer):
    topic = kafka.topic("flush")
    producer.flush(0)
    for burst in range(5):
        sent = [producer.send(topic, None, b"v") for _ in range(200)]
        producer.flush()
        assert producer.used_bytes() == 0
        assert [report.position for report in producer.reports()] == sent
        assert kafka.witness.count(topic) == 200 * (burst + 1)


def test_an_event_loop_loses_no_wake_up(kafka, shared):
    topic = kafka.topic("rounds")
    with Producer(shared.socket_dir, profile="fast") as producer:
        for n in range(4000):
            position = producer.send(topic, b"p", sequence_value(n))
            report = None
            while report is None:
                got = producer.reports()
                if got:
                    (report,) = got
                else:
                    # Well above any delivery, far below the test's end.
                    assert select.select([producer.fd()], [], [], 30)[0], f"no wake-up, round {n}"
            assert (report.position, report.outcome, report.offset) == (position, DELIVERED, n)


def test_the_descriptor_is_silent_when_there_is_nothing(kafka, producer):
    topic = kafka.topic("silent")
    producer.send(topic, None, b"v")
    producer.wait_reports(1)
    # A call that finds nothing takes the rest of the ring off the descriptor.
    while producer.reports():
        pass
    assert select.select([producer.fd()], [], [], 0)[0] == []


# kfastctl produce


def produce(shared, *arguments, stdin):
    done = kfastctl.run(shared.socket_dir, "produce", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done


def contents(kafka, topic):
    return [(record.key, record.value) for record in kafka.witness.read(topic)]


def test_lines_become_records(kafka, shared):
    topic = kafka.topic("lines")
    done = produce(shared, "-t", topic, stdin=b"one\n\nthree\r\n\xff\x00four\nno newline")
    expected = [b"one", b"", b"three\r", b"\xff\x00four", b"no newline"]
    assert contents(kafka, topic) == [(None, value) for value in expected]
    assert b"5 records: 5 delivered, 0 failed, 0 unknown" in done.stderr


def test_keys_headers_and_partitions_of_lines(kafka, shared):
    topic = kafka.topic("keyed", partitions=3)
    flags = ["-K", ":", "-p", "2", "-H", "source=shell", "-H", "null", "-H", "empty="]
    done = produce(shared, "-t", topic, "--reports", *flags, stdin=b"a:1\nb:2:3\n:4\nalone\nc:\n")
    records = kafka.witness.read(topic)
    assert [(record.key, record.value) for record in records] == [
        (b"a", b"1"),
        (b"b", b"2:3"),
        (b"", b"4"),
        (None, b"alone"),
        (b"c", b""),
    ]
    headers = [("source", b"shell"), ("null", None), ("empty", b"")]
    assert all(record.headers == headers and record.partition == 2 for record in records)
    lines = done.stdout.decode().splitlines()
    assert lines == [f"delivered {topic} [2] @ {n}" for n in range(5)]


def test_empty_values_and_keys_become_null(kafka, shared):
    topic = kafka.topic("nulls")
    produce(shared, "-t", topic, "-Z", "-K", ":", stdin=b"a:\n:b\nc:d\n")
    assert contents(kafka, topic) == [(b"a", None), (None, b"b"), (b"c", b"d")]


def test_one_key_and_another_delimiter(kafka, shared):
    topic = kafka.topic("delimited")
    produce(shared, "-t", topic, "-k", "same", "-D", r"\0", stdin=b"a\nb\0c\0")
    assert contents(kafka, topic) == [(b"same", b"a\nb"), (b"same", b"c")]


def test_long_lines_are_whole(kafka, shared):
    topic = kafka.topic("long")
    lines = [random.Random(n).randbytes(900_000).replace(b"\n", b" ") for n in range(8)]
    produce(shared, "-t", topic, stdin=b"\n".join(lines))
    assert contents(kafka, topic) == [(None, line) for line in lines]


def test_many_lines_through_a_small_ring(kafka, shared):
    topic = kafka.topic("pipe")
    lines = [b"%d" % n for n in range(20_000)]
    produce(shared, "-t", topic, "-X", "ring.bytes=64k", stdin=b"\n".join(lines) + b"\n")
    assert contents(kafka, topic) == [(None, line) for line in lines]


def test_a_line_that_is_too_long_is_named_and_the_rest_is_sent(kafka, shared):
    topic = kafka.topic("cut")
    stdin = b"first\n" + b"x" * 40_000 + b"\nlast\n"
    done = kfastctl.run(
        shared.socket_dir, "produce", "-t", topic, "-X", "ring.bytes=64k", stdin=stdin
    )
    assert done.returncode == 1
    assert b"record 2 was not accepted" in done.stderr and b"raise ring.bytes" in done.stderr
    assert b"3 records: 2 delivered, 0 failed, 0 unknown, 1 not accepted" in done.stderr
    assert contents(kafka, topic) == [(None, b"first"), (None, b"last")]


def test_producing_without_kfastd_says_how_to_start_it():
    directory = temporary_directory("nobody")
    done = kfastctl.run(directory, "produce", "-t", "t", stdin=b"x\n")
    assert done.returncode == 1
    assert f"{directory}/kfastd.sock" in done.stderr.decode()
    assert b"systemctl start kfastd" in done.stderr


def test_a_record_that_kfastd_takes_late_has_the_time_of_its_send(kafka, shared):
    topic = kafka.topic("late", partitions=1)
    with Producer(shared.socket_dir) as producer:
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        shared.pause()
        try:
            before = int(time.time() * 1000)
            late = [producer.send(topic, None, b"late %d" % n) for n in range(500)]
            after = int(time.time() * 1000)
            while time.time() * 1000 < after + 300:
                pass  # until they are late
        finally:
            shared.signal(signal.SIGCONT)
        young = producer.send(topic, None, b"young")
        producer.wait_reports(len(late) + 1)
        assert young > late[-1]
    records = kafka.witness.read(topic)[1:]
    assert [record.value for record in records] == [b"late %d" % n for n in range(500)] + [b"young"]
    assert all(before - 20 <= record.timestamp <= after for record in records[:-1])
    assert records[-1].timestamp >= after + 300 - 20

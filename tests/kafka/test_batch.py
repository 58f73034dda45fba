"""Batches, and records whose value is made in the ring: what is accepted is in Kafka, whole and in
order, and nothing else is.
"""

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import (
    DELIVERED,
    INVALID,
    QUEUE_FULL,
    TIMED_OUT,
    TOO_LARGE,
    TOPIC_NOT_ALLOWED,
    KfastError,
    Producer,
)
from harness.worker import Worker

EVERY_BYTE = bytes(range(256))

CONTENTS = [
    dict(key=b"key", value=b"value"),
    dict(key=None, value=b"value"),
    dict(key=b"", value=b""),
    dict(key=b"gone", value=None),
    dict(key=None, value=None),
    dict(key=EVERY_BYTE, value=EVERY_BYTE * 100),
    dict(key=b"k", value=b"v", headers=[("one", b"1"), ("null", None), ("", b"")]),
    dict(key=None, value=None, headers=[("why", b"expired")]),
    dict(key=b"k", value=b"v", timestamp=1_700_000_000_123),
]


@pytest.fixture(scope="module")
def shared(kafka):
    """kfastd for the tests of this file that leave it as it is."""
    with Kfastd(config_for(kafka.bootstrap)) as daemon:
        yield daemon


@pytest.fixture
def producer(shared):
    with Producer(shared.socket_dir) as producer:
        yield producer


def numbered(first, count, size=500):
    return [dict(value=b"%d" % n + b"." * size) for n in range(first, first + count)]


def numbers_in(kafka, topic):
    return [int(record.value.split(b".")[0]) for record in kafka.witness.read(topic)]


# Batches


def test_a_batch_arrives_whole_and_in_order(kafka, producer):
    topic = kafka.topic("batch")
    batch = [{**content, "partition": 0} for content in CONTENTS] * 20
    positions = producer.send_batch(topic, batch)
    assert len(positions) == len(batch) and positions == sorted(positions)
    reports = producer.wait_reports(len(batch))
    assert [report.position for report in reports] == positions
    assert {report.outcome for report in reports} == {DELIVERED}
    assert [report.offset for report in reports] == list(range(len(batch)))
    for record, content in zip(kafka.witness.read(topic), batch):
        assert (record.key, record.value) == (content["key"], content["value"])
        assert record.headers == content.get("headers", [])
        assert record.timestamp == content.get("timestamp", record.timestamp)


def test_a_batch_goes_to_many_topics(kafka, producer):
    topics = [kafka.topic("many") for _ in range(3)]
    batch = [dict(topic=topics[n % 3], value=b"%d" % n) for n in range(300)]
    positions = producer.send_batch(topics[0], batch)
    names = {r.position: producer.topic_name(r.topic) for r in producer.wait_reports(300)}
    assert [names[position] for position in positions] == [record["topic"] for record in batch]
    for n, topic in enumerate(topics):
        assert numbers_in(kafka, topic) == list(range(n, 300, 3))


def test_a_full_ring_takes_a_prefix_and_a_batch_that_waits_the_rest(kafka, shared, paused):
    topic = kafka.topic("prefix")
    with Worker(shared.socket_dir, {"ring.bytes": "64k"}) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        paused()
        *accepted, code = worker.send_batch(topic, numbered(1, 1000))
        assert code == QUEUE_FULL and 100 < len(accepted) < 1000
        assert "the ring is full" in worker.last_error()
        count = 1 + len(accepted)
        with pytest.raises(KfastError, match="the ring is full") as refused:
            worker.send_batch(topic, numbered(count, 2), timeout_ms=100)
        assert refused.value.code == TIMED_OUT
        # Many times what the ring holds.
        worker.begin("send_batch", topic, numbered(count, 1000), timeout_ms=-1)
        kafka.resume(1)
        assert len(worker.result()) == 1000
        worker.wait_reports(count - 1 + 1000)
    assert numbers_in(kafka, topic) == list(range(count + 1000))


def test_a_batch_many_times_the_ring_goes_through(kafka, shared):
    topic = kafka.topic("long")
    with Producer(shared.socket_dir, {"ring.bytes": "4k", "reports": "none"}) as producer:
        positions = producer.send_batch(topic, numbered(0, 3000, size=50), timeout_ms=-1)
        assert len(positions) == 3000 and min(positions) == 0
        producer.flush()
    assert numbers_in(kafka, topic) == list(range(3000))


def test_a_record_that_kfastd_does_not_allow_ends_the_batch(kafka):
    allowed, other = kafka.topic("allowed"), kafka.topic("other")
    config = config_for(kafka.bootstrap)
    config["allow"] = [{**rule, "produce": [allowed]} for rule in config["allow"]]
    with Kfastd(config) as daemon, Producer(daemon.socket_dir) as producer:
        producer.send(other, None, b"the first one is reported")
        producer.wait_reports(1)
        batch = [dict(value=b"0"), dict(topic=other, value=b"1"), dict(value=b"2")]
        *accepted, code = producer.send_batch(allowed, batch)
        assert len(accepted) == 1 and code == TOPIC_NOT_ALLOWED
        assert other in producer.last_error()
        producer.flush()
    assert numbers_in(kafka, allowed) == [0] and kafka.witness.count(other) == 0


# Values that are made in the ring


def test_what_is_made_in_place_arrives(kafka, producer):
    topic = kafka.topic("place")
    contents = [content for content in CONTENTS if content["value"] is not None]
    for content in contents:
        for spare in (0, 1, 1000):
            producer.send_in_place(topic, spare=spare, partition=0, **content)
    producer.flush()
    expected = [content for content in contents for _ in range(3)]
    records = kafka.witness.read(topic)
    assert len(records) == len(expected)
    for record, content in zip(records, expected):
        assert (record.key, record.value) == (content["key"], content["value"])
        assert record.headers == content.get("headers", [])
        assert record.timestamp == content.get("timestamp", record.timestamp)


def test_values_shrink_and_are_cancelled_everywhere_in_a_ring(kafka, shared):
    topic, largest = kafka.topic("shrink"), 4096 // 4 - 24
    values = []
    with Producer(shared.socket_dir, {"ring.bytes": "4k", "reports": "none"}) as producer:
        assert producer.ring_bytes() == 4096
        for n in range(600):
            # In turn: much is given back, nothing is, all is.
            size = n * 37 % largest
            values.append(b"%d" % n + b"." * size)
            value = values[-1][:largest]
            values[-1] = value
            while True:
                try:
                    if n % 5 == 0:
                        producer.reserve(topic, largest)[:] = b"x" * largest
                        producer.cancel()
                    spare = (largest - len(value)) if n % 2 else 0
                    producer.send_in_place(topic, value, spare=spare)
                    break
                except KfastError as full:
                    assert full.code == QUEUE_FULL
                    producer.flush()
        producer.flush()
        assert producer.used_bytes() == 0
    assert [record.value for record in kafka.witness.read(topic)] == values


def test_while_one_is_reserved_nothing_else_is_sent(kafka, producer):
    topic = kafka.topic("alone")
    with pytest.raises(KfastError, match="max.message.bytes|ring.bytes") as refused:
        producer.reserve(topic, 2_000_000)
    assert refused.value.code == TOO_LARGE
    producer.reserve(topic, 10)[:] = b"0123456789"
    for send in (
        lambda: producer.send(topic, None, b"v"),
        lambda: producer.send_record(topic, value=b"v", timeout_ms=-1),
        lambda: producer.send_batch(topic, [dict(value=b"v")], timeout_ms=-1),
        lambda: producer.reserve(topic, 1),
    ):
        with pytest.raises(KfastError, match="kfast_commit or kfast_cancel") as refused:
            send()
        assert refused.value.code == INVALID
    producer.flush()
    assert kafka.witness.count(topic) == 0
    position = producer.commit(4)
    (report,) = producer.wait_reports(1)
    assert (report.position, report.outcome) == (position, DELIVERED)
    assert [record.value for record in kafka.witness.read(topic)] == [b"0123"]


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_reservation_outlives_kfastd(kafka, kill):
    topic = kafka.topic("outlives")
    with Kfastd(config_for(kafka.bootstrap)) as daemon, Producer(daemon.socket_dir) as producer:
        producer.send(topic, None, b"before")
        producer.wait_reports(1)
        memory = producer.reserve(topic, 100)
        memory[:4] = b"half"
        daemon.restart(kill=kill)

        def is_back(stats):
            # It comes back inside of a call.
            return producer.used_bytes() == stats.value("kfast_channels_resumed_total") - 1 == 0

        kfastctl.wait_stat(daemon.socket_dir, is_back, "the channel is back")
        producer.flush()
        assert [record.value for record in kafka.witness.read(topic)] == [b"before"]
        memory[4:10] = b" whole"
        producer.commit(10)
        producer.send(topic, None, b"after")
        assert {report.outcome for report in producer.wait_reports(2)} == {DELIVERED}
    values = [record.value for record in kafka.witness.read(topic)]
    assert values == [b"before", b"half whole", b"after"]


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_reservation_ends_with_its_worker(kafka, shared, end):
    topic = kafka.topic("ends")
    with Worker(shared.socket_dir) as worker:
        worker.send_batch(topic, [dict(value=b"%d" % n) for n in range(10)])
        worker.leave_reserved(topic, b"never")
        getattr(worker, end)()
    with Producer(shared.socket_dir) as fresh:
        fresh.send(topic, None, b"10")
        fresh.flush()
    kfastctl.wait_stat(shared.socket_dir, lambda s: s.value("kfast_channels") == 0, "no channel")
    assert sorted(numbers_in(kafka, topic)) == list(range(11))

"""Workers that are trusted: librdkafka reads their records in their rings, and nothing else differs."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, QUEUE_FULL, KfastError
from harness.raw_session import RawSession, record_frame
from harness.worker import Worker

LARGE = 100_000
RECORDS = 300
RING = {"ring.bytes": "64m"}


def trusting(kafka, trusted=True, properties=None, **daemon) -> dict:
    config = config_for(kafka.bootstrap, properties, **daemon)
    config["allow"][0]["trusted"] = trusted
    return config


@pytest.fixture
def trusted(kafka):
    with Kfastd(trusting(kafka)) as kfastd:
        yield kfastd


def in_flight(kfastd, topic, count) -> None:
    kfastctl.wait_stat(
        kfastd.socket_dir,
        lambda stats: stats.value("kfast_produce_in_flight_messages", topic=topic) == count,
        f"{count} records in flight",
    )


def own_bytes(kfastd) -> int:
    """Of memory that kfastd shares with nobody: rings are not in it."""
    for line in Path(f"/proc/{kfastd.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def grown_by(kfastd, worker, topic) -> int:
    """By how much kfastd's own memory grows with large records that wait for the broker."""
    before = own_bytes(kfastd)
    for n in range(RECORDS):
        worker.send(topic, None, bytes([n % 251]) * LARGE)
    in_flight(kfastd, topic, RECORDS)
    return own_bytes(kfastd) - before


def leave_waiting(kfastd, worker, topic, paused) -> int:
    """Sends one record, stops the broker, and sends RECORDS more; by how much kfastd's memory grew."""
    worker.send(topic, None, b"warm")
    worker.wait_reports(1)
    paused()
    return grown_by(kfastd, worker, topic)


def sent(count) -> list:
    return [bytes([n % 251]) * LARGE for n in range(count)]


def values(kafka, topic, count) -> list:
    return [record.value for record in kafka.witness.read(topic, count=count)]


def test_only_records_of_trusted_workers_are_not_copied(kafka, paused):
    topic = kafka.topic("trusted-memory")
    grown = {}
    for trusted in (False, True):
        with Kfastd(trusting(kafka, trusted)) as kfastd:
            with Worker(kfastd.socket_dir, RING) as worker:
                grown[trusted] = leave_waiting(kfastd, worker, topic, paused)
                kafka.resume(1)
                assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}
    assert grown[False] > RECORDS * LARGE
    assert grown[True] < RECORDS * LARGE / 2
    assert values(kafka, topic, 2 * RECORDS + 2) == 2 * [b"warm", *sent(RECORDS)]


def test_records_that_snappy_compresses_are_copied(kafka, paused):
    topic = kafka.topic("trusted-snappy")
    with Kfastd(trusting(kafka, properties={"compression.type": "snappy"})) as kfastd:
        with Worker(kfastd.socket_dir, RING) as worker:
            assert leave_waiting(kfastd, worker, topic, paused) > RECORDS * LARGE
            kafka.resume(1)
            assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}


def test_who_is_not_trusted_any_more_after_a_reload_is_copied(kafka, trusted, paused):
    topic = kafka.topic("trusted-no-more")
    with Worker(trusted.socket_dir, RING) as worker:
        worker.send(topic, None, b"warm")
        worker.wait_reports(1)
        trusted.write_config(trusting(kafka, False))
        mark = trusted.mark()
        trusted.signal(signal.SIGHUP)
        trusted.wait_log("configuration read again and applied", since=mark)
        paused()
        assert grown_by(trusted, worker, topic) > RECORDS * LARGE
        kafka.resume(1)
        assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}


def test_keys_headers_and_values_arrive_as_they_were_sent(kafka, trusted):
    topic = kafka.topic("trusted-whole")
    records = [
        {"key": b"k", "value": b"v" * 900_000, "headers": [(b"a", b"1"), (b"b", None)]},
        {"key": None, "value": b""},
        {"key": b"", "value": None},
        {"key": b"k", "value": b"small"},
    ]
    with Worker(trusted.socket_dir, RING) as worker:
        for record in records:
            worker.send_record(topic, **record, partition=0)
        assert {each.outcome for each in worker.wait_reports(len(records))} == {DELIVERED}
    found = kafka.witness.read(topic, count=len(records))
    assert [(record.key, record.value) for record in found] == [
        (record["key"], record["value"]) for record in records
    ]


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_records_that_wait_at_a_reload_are_delivered_by_the_next_producer(kafka, paused, codec):
    topic = kafka.topic("trusted-reload")
    with Kfastd(trusting(kafka, properties={"compression.type": codec})) as kfastd:
        with Worker(kfastd.socket_dir, RING) as worker:
            leave_waiting(kfastd, worker, topic, paused)
            kfastd.write_config(trusting(kafka, properties={"linger.ms": 7}))
            mark = kfastd.mark()
            kfastd.signal(signal.SIGHUP)
            kfastd.wait_log("configuration read again and applied", since=mark)
            kafka.resume(1)
            kfastd.wait_log("Kafka producer replaced profile=default", since=mark)
            assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}
    found = values(kafka, topic, RECORDS + 1)
    assert set(found) == {b"warm", *sent(RECORDS)}


def test_nothing_is_lost_where_kfastd_is_killed(kafka, trusted, paused):
    topic = kafka.topic("trusted-killed")
    with Worker(trusted.socket_dir, RING) as worker:
        leave_waiting(trusted, worker, topic, paused)
        trusted.restart(kill=True)
        kafka.resume(1)
        assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}
    assert set(values(kafka, topic, RECORDS + 1)) == {b"warm", *sent(RECORDS)}


def test_rings_of_killed_workers_are_there_until_their_records_are_delivered(kafka, trusted, paused):
    topic = kafka.topic("trusted-dead")
    with Worker(trusted.socket_dir, RING) as worker:
        leave_waiting(trusted, worker, topic, paused)
        worker.kill()
        mark = trusted.mark()
        kafka.resume(1)
        trusted.wait_log("channel closed", since=mark)
    assert values(kafka, topic, RECORDS + 1) == [b"warm", *sent(RECORDS)]


def test_the_ring_of_a_violator_is_there_until_its_records_are_delivered(kafka, trusted, paused):
    topic = kafka.topic("trusted-violator")
    value = b"v" * 10_000
    with RawSession(trusted.socket_dir) as session:
        session.greet()
        channel = session.open()
        channel.name_topic(0, topic.encode())
        channel.write_frame(record_frame(0, int(time.time() * 1000), b"k", b"warm"))
        in_flight(trusted, topic, 0)
        paused()
        channel.write_frame(record_frame(0, int(time.time() * 1000), b"k", value, ordinal=1))
        in_flight(trusted, topic, 1)
        channel.set_tail(1 << 40)
        os.eventfd_write(channel.doorbell, 1)
        session.wait_end()
    kafka.resume(1)
    assert values(kafka, topic, 2) == [b"warm", value]


def stamped(number) -> bytes:
    return b"%08d" % number * (LARGE // 8)


def fill(worker, topic, number) -> int:
    """Records with that key and the ones that follow, until the ring is full; the key of the next."""
    for key in range(number, number + 1_000):
        try:
            worker.send(topic, b"%d" % key, stamped(key))
        except KfastError as refused:
            assert refused.code == QUEUE_FULL
            return key
    raise AssertionError("the ring is never full")


def test_what_times_out_on_its_way_is_no_record_of_the_bytes_that_follow_it(kafka, paused):
    topic = kafka.topic("trusted-timed-out", partitions=4)
    properties = {
        "compression.type": "none",
        "message.timeout.ms": 2_000,
        "socket.send.buffer.bytes": 65_536,
    }
    with Kfastd(trusting(kafka, properties=properties)) as kfastd:
        with Worker(kfastd.socket_dir, RING) as worker:
            worker.send(topic, b"0", stamped(0))
            worker.wait_reports(1)
            paused()
            middle = fill(worker, topic, 1)
            assert DELIVERED not in {each.outcome for each in worker.wait_reports(middle - 1)}
            kfastd.wait_log("[1-9] out-queue, [0-9]+ partially-sent requests")
            end = fill(worker, topic, middle)
            kafka.resume(1)
            worker.wait_reports(end - middle)
    found = kafka.witness.read(topic)
    assert len(found) > 1
    assert all(record.value == stamped(int(record.key)) for record in found)


def test_a_stop_in_the_midst_of_records_ends_in_order(kafka, paused):
    topic = kafka.topic("trusted-stop")
    kfastd = Kfastd(trusting(kafka, drain_timeout_ms=0))
    with kfastd:
        with Worker(kfastd.socket_dir, RING) as worker:
            leave_waiting(kfastd, worker, topic, paused)
            kfastd.terminate()
            assert kfastd.wait() == 0
            assert "their workers hand them to the next kfastd" in kfastd.log_text()
            kafka.resume(1)
            kfastd.start()
            assert {each.outcome for each in worker.wait_reports(RECORDS)} == {DELIVERED}
    assert set(values(kafka, topic, RECORDS + 1)) == {b"warm", *sent(RECORDS)}


def scribble(channel, frame_bytes, values_at, frames) -> int:
    """A process that writes over the values of frames in the channel's ring until it is killed; its pid."""
    child = os.fork()
    if child != 0:
        return child
    try:
        dice = random.Random(1)
        while True:
            frame = channel.c2d_ring + dice.randrange(frames) * frame_bytes
            at = frame + dice.randrange(values_at, frame_bytes - 8)
            channel.c2d[at : at + 8] = dice.randbytes(8)
    finally:
        os._exit(1)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_who_writes_over_what_it_has_sent_harms_no_other_topic(kafka, codec):
    own, other = kafka.topic("trusted-scribbled"), kafka.topic("trusted-beside")
    # Smaller values librdkafka copies when it makes a batch (message.copy.max.bytes).
    frames, value, beside = 160, b"value " * 16_000, 2_000
    frame_bytes = (24 + 1 + len(value) + 7) // 8 * 8
    config = trusting(kafka, properties={"compression.type": codec, "message.timeout.ms": 10_000})
    with Kfastd(config) as kfastd, RawSession(kfastd.socket_dir) as session:
        session.greet()
        channel = session.open(ring=16 << 20)
        channel.name_topic(0, own.encode())
        for n in range(frames):
            frame = record_frame(0, int(time.time() * 1000), b"k", value, ordinal=n)
            at = channel.c2d_ring + n * frame_bytes
            channel.c2d[at : at + len(frame)] = frame
        child = scribble(channel, frame_bytes, 25, frames)
        try:
            channel.set_tail(frames * frame_bytes)
            os.eventfd_write(channel.doorbell, 1)
            with Worker(kfastd.socket_dir) as worker:
                for n in range(beside):
                    worker.send(other, None, b"%d" % n)
                assert {each.outcome for each in worker.wait_reports(beside)} == {DELIVERED}
            kfastctl.wait_stat(
                kfastd.socket_dir,
                lambda stats: sum(stats.outcomes(own).values()) == frames,
                f"the outcomes of {frames} records",
            )
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert values(kafka, other, beside) == [b"%d" % n for n in range(beside)]

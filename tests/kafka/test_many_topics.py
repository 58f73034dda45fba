"""Hundreds of topics: several producers of librdkafka behind one profile, and records that stay in
their rings for a while.
"""

import collections
import os
import signal
import time

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.kfast import DELIVERED, FAILED
from harness.raw_session import RawSession, record_frame
from harness.wall_clock import WallClock
from harness.worker import Worker

TOPICS = 300
PARTITIONS = 2
PRODUCERS = 3

LINGER_MS = 5
MOST_LINGER_MS = 500
DRAIN_MS = 1500


@pytest.fixture(scope="module")
def cluster(witness):
    with KafkaCluster(witness, nodes=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def topics(cluster):
    names = [f"many-{n}" for n in range(TOPICS)]
    cluster.witness.create_topics(names, PARTITIONS)
    return names


def profile_gauge(kfastd, name) -> int:
    return kfastctl.stat(kfastd.socket_dir).value(f"kfast_profile_{name}")


def send_to_all(worker, topics, values, key=None) -> None:
    records = [{"topic": name, "key": key, "value": value} for value in values for name in topics]
    assert len(worker.send_batch(topics[0], records)) == len(records)


class Staying:
    """A kfastd with several producers, whose records stay in their rings when the test wants it,
    and for as long: the time of its rounds stands still.
    """

    def __init__(self, cluster, topics):
        self.topics = topics
        self.clock = WallClock()
        self.clock.stand()
        self.config = config_for(
            cluster.bootstrap,
            {"linger.ms": LINGER_MS},
            max_linger_ms=MOST_LINGER_MS,
            drain_timeout_ms=DRAIN_MS,
        )
        self.kfastd = Kfastd(self.config, environment=self.clock.environment)

    def _gauge(self) -> int:
        return profile_gauge(self.kfastd, "ring_linger_milliseconds")

    def _round(self) -> None:
        """Returns when a round is over that saw what time it is now."""
        rounds = "kfast_shard_rounds_total"
        before = kfastctl.stat(self.kfastd.socket_dir).value(rounds)
        while kfastctl.stat(self.kfastd.socket_dir).value(rounds) < before + 2:
            # A channel that comes and goes makes rounds.
            with RawSession(self.kfastd.socket_dir) as session:
                session.greet()
                session.open().close()

    def begin(self) -> None:
        """Records that are sent from now on stay."""
        deadline = time.monotonic() + 60
        self.end()
        self._round()
        # How long records stay follows from the requests in the window before.
        while self._gauge() != 0:
            assert time.monotonic() < deadline, "records stay though there are no requests"
            self.end()
            self._round()
        with Worker(self.kfastd.socket_dir) as worker:
            send_to_all(worker, self.topics, [b"costly"])
            worker.wait_reports(len(self.topics))
        self.clock.pass_ms(LINGER_MS)
        self._round()
        assert self._gauge() != 0

    def end(self) -> None:
        """What stays is taken now."""
        self.clock.pass_ms(MOST_LINGER_MS)


@pytest.fixture(scope="module")
def staying(cluster, topics):
    staying = Staying(cluster, topics)
    with staying.kfastd:
        yield staying


@pytest.fixture
def found(cluster, topics):
    """found(prefix): topic -> its records whose values begin with the prefix."""

    def read(prefix: bytes) -> dict:
        return {
            topic: [record for record in every if record.value.startswith(prefix)]
            for topic, every in cluster.witness.read_topics(topics).items()
        }

    return read


def values_of(records: dict) -> dict:
    return {topic: [record.value for record in each] for topic, each in records.items()}


def everywhere(topics, *values) -> dict:
    return {topic: list(values) for topic in topics}


def test_each_record_arrives_once_and_in_the_order_of_its_partition(staying, topics, found):
    rounds = 4
    socket_dir = staying.kfastd.socket_dir
    with Worker(socket_dir) as plain, Worker(socket_dir) as keyed:
        for n in range(rounds):
            staying.begin()
            send_to_all(plain, topics, [b"order:p%d" % (2 * n), b"order:p%d" % (2 * n + 1)])
            send_to_all(keyed, topics, [b"order:k%d" % (2 * n), b"order:k%d" % (2 * n + 1)], b"k")
            assert (plain.reports(), keyed.reports()) == ([], [])
            staying.end()
            for worker in (plain, keyed):
                reports = worker.wait_reports(2 * TOPICS)
                assert {each.outcome for each in reports} == {DELIVERED}
    assert profile_gauge(staying.kfastd, "producers") == PRODUCERS
    for topic, records in found(b"order:").items():
        by_partition = collections.defaultdict(list)
        for record in records:
            by_partition[record.partition, record.key].append(record.value)
        for values in by_partition.values():
            assert values == sorted(set(values)), topic
        assert len(records) == 4 * rounds, topic


@pytest.mark.parametrize("end", ["kill", "close"])
def test_what_a_worker_leaves_is_delivered_and_waits_no_longer(staying, topics, found, end):
    value = b"left by " + end.encode()
    with Worker(staying.kfastd.socket_dir) as worker:
        staying.begin()
        send_to_all(worker, topics, [value])
        mark = staying.kfastd.mark()
        getattr(worker, end)()
        staying.kfastd.wait_log("channel closed", since=mark)
    assert values_of(found(value)) == everywhere(topics, value)


def test_records_that_stay_can_be_given_up(staying, topics, found):
    with Worker(staying.kfastd.socket_dir) as worker:
        staying.begin()
        send_to_all(worker, topics, [b"purged"])
        worker.purge()
        reports = worker.wait_reports(TOPICS)
        assert {(r.outcome, r.error_name) for r in reports} == {(FAILED, "_PURGE_QUEUE")}
    assert values_of(found(b"purged")) == everywhere(topics)


def test_what_fills_half_of_a_ring_is_taken(staying, topics):
    with Worker(staying.kfastd.socket_dir, {"ring.bytes": "64k"}) as worker:
        staying.begin()
        for _ in range(3):
            worker.send(topics[1], None, bytes(15_000))
        assert {each.outcome for each in worker.wait_reports(3)} == {DELIVERED}


def test_a_worker_that_rings_while_its_record_stays_does_not_keep_the_shard_awake(staying, topics):
    rings = 100_000
    with RawSession(staying.kfastd.socket_dir) as session:
        session.greet()
        channel = session.open()
        staying.begin()
        channel.name_topic(0, topics[2].encode())
        channel.write_frame(record_frame(0, int(time.time() * 1000), b"k", b"rings"))
        before = kfastctl.stat(staying.kfastd.socket_dir)
        for _ in range(rings):
            os.eventfd_write(channel.doorbell, 1)
        after = kfastctl.stat(staying.kfastd.socket_dir)
        assert channel.head == 0
        name = "kfast_shard_rounds_total"
        assert after.value(name) - before.value(name) < rings // 50
        name = "kfast_shard_doorbells_muted_total"
        assert after.value(name) > before.value(name)
    assert "rings its doorbell again and again" not in staying.kfastd.log_text()


def test_another_producer_takes_what_stays_in_order(staying, topics, found):
    kfastd = staying.kfastd
    with Worker(kfastd.socket_dir) as worker:
        staying.begin()
        send_to_all(worker, topics, [b"reload:0", b"reload:1"], b"k")
        assert worker.reports() == []
        staying.config["profiles"]["default"]["compression.type"] = "lz4"
        kfastd.write_config(staying.config)
        mark = kfastd.mark()
        kfastd.signal(signal.SIGHUP)
        kfastd.wait_log("Kafka producer replaced profile=default", since=mark)
        send_to_all(worker, topics, [b"reload:2"], b"k")
        assert {each.outcome for each in worker.wait_reports(3 * TOPICS)} == {DELIVERED}
    expected = everywhere(topics, b"reload:0", b"reload:1", b"reload:2")
    assert values_of(found(b"reload:")) == expected
    assert profile_gauge(kfastd, "producers") == PRODUCERS


def test_nothing_is_lost_where_kfastd_is_killed_while_records_stay(staying, topics, found):
    kfastd = staying.kfastd
    with Worker(kfastd.socket_dir) as worker:
        staying.begin()
        send_to_all(worker, topics, [b"kill -9"])
        assert worker.reports() == []
        kfastd.restart(kill=True)
        assert {each.outcome for each in worker.wait_reports(TOPICS)} == {DELIVERED}
    # None had been taken.
    assert kfastctl.stat(kfastd.socket_dir).value("kfast_resubmitted_messages_total") == 0
    assert values_of(found(b"kill -9")) == everywhere(topics, b"kill -9")


def test_a_drain_does_not_wait_for_what_stays(staying, topics, found):
    kfastd = staying.kfastd
    with Worker(kfastd.socket_dir) as worker:
        staying.begin()
        send_to_all(worker, topics, [b"drained"])
        assert worker.reports() == []
        kfastd.terminate()
        assert kfastd.wait() == 0
        assert {each.outcome for each in worker.reports()} == {DELIVERED}
    assert values_of(found(b"drained")) == everywhere(topics, b"drained")

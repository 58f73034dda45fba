"""kfastd, workers and brokers come and go: nothing that was accepted is lost."""

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.kfast import (
    DELIVERED,
    FAILED,
    QUEUE_FULL,
    TIMED_OUT,
    KfastError,
    Producer,
    numbered_values,
)
from harness.witness import crc_sum, sequence_value
from harness.worker import Worker


@pytest.fixture(scope="module")
def own_kafka(witness):
    """A broker that the tests of this file may stop and kill."""
    with KafkaCluster(witness) as cluster:
        yield cluster


def assert_whole(kafka, topic, name, count, duplicates=0, more=0):
    """The digest of `count` records: none missing, in order, at most `duplicates` twice, at most
    `more` that nobody was told of.
    """
    tally = kafka.witness.digest(topic, expected=count + more, producer_bytes=len(name)).producers[
        name
    ]
    assert tally.missing <= more, tally
    assert all(number >= count for number in tally.first_missing), tally
    assert (tally.out_of_order, tally.unexpected) == (0, 0), tally
    assert tally.duplicates <= duplicates, tally
    if not more:
        assert tally.crc_sum == crc_sum(numbered_values(count))


# kfastd goes and comes back


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_restart_loses_nothing_while_a_worker_sends(kafka, kfastd, kill):
    topic, count = kafka.topic("restart", partitions=3), 60_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "1m"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, keys=32, mark_at=15_000)
        worker.wait_mark()
        kfastd.restart(kill=kill)
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
        assert worker.reports() == []
        worker.flush()
    assert len(reports) == len({report.position for report in reports}) == count
    assert all(report.outcome == DELIVERED for report in reports)
    again = kfastctl.stat(kfastd.socket_dir).value(
        "kfast_resubmitted_messages_total", topic=topic, reason="daemon_restart"
    )
    if not kill:
        assert again == 0
    assert_whole(kafka, topic, b"p", count, duplicates=again)


def test_several_restarts_in_a_row(kafka, kfastd):
    topic, count = kafka.topic("restarts", partitions=2), 40_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, keys=8, mark_at=5_000)
        worker.wait_mark()
        for kill in (True, False, True):
            mark = kfastd.mark()
            kfastd.restart(kill=kill)
            kfastd.wait_log("channel taken back", since=mark)
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert len(reports) == len({report.position for report in reports}) == count
    # What each of the daemons submitted again is not known any more: a ring full, at most, each.
    assert_whole(kafka, topic, b"p", count, duplicates=3 * 2048)


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_positions_stay_valid_over_a_restart(kafka, paused, kill):
    topic = kafka.topic("positions")
    with Kfastd(config_for(kafka.bootstrap, drain_timeout_ms=0)) as kfastd:
        with Producer(kfastd.socket_dir) as producer:
            producer.send(topic, None, b"first")
            first = producer.wait_reports(1)[0]
            paused()
            sent = [producer.send(topic, None, b"%d" % n) for n in range(300)]
            if kill:
                kfastd.kill()
            else:
                kfastd.terminate()
                assert kfastd.wait() == 0
            sent += [producer.send(topic, None, b"%d" % n) for n in range(300, 600)]
            kfastd.start()
            kafka.resume(1)
            reports = producer.wait_reports(600)
            assert [report.position for report in reports] == sent
            records = {record.offset: record.value for record in kafka.witness.read(topic)}
            for n, report in enumerate(reports):
                assert report.outcome == DELIVERED
                assert report.offset > first.offset and records[report.offset] == b"%d" % n


@pytest.mark.parametrize("report_bytes", ["64k", "16k"], ids=["records", "reports"])
def test_a_worker_fills_its_ring_while_kfastd_is_away(kafka, kfastd, report_bytes):
    topic = kafka.topic("away")
    options = {"ring.bytes": "64k", "report.bytes": report_bytes}
    with Producer(kfastd.socket_dir, options) as producer:
        producer.send(topic, None, b"0")
        producer.wait_reports(1)
        kfastd.kill()
        count = 1
        with pytest.raises(KfastError) as full:
            while True:
                producer.send(topic, None, b"%d" % count + b"." * 100)
                count += 1
        assert full.value.code == QUEUE_FULL and count > 400
        with pytest.raises(KfastError) as late:
            producer.flush(50)
        assert late.value.code == TIMED_OUT
        assert "kfastd is away" in late.value.message and "kept in the ring" in late.value.message
        with pytest.raises(KfastError, match="kfastd is away.*start it with") as full:
            producer.send(topic, None, b"x" * 200)
        assert full.value.code == QUEUE_FULL
        with pytest.raises(KfastError) as late:
            producer.send_record(topic, value=b"x" * 200, timeout_ms=50)
        assert late.value.code == TIMED_OUT
        kfastd.start()
        assert len(producer.wait_reports(count - 1)) == count - 1
        producer.flush()
    values = [record.value for record in kafka.witness.read(topic)]
    assert [int(value.split(b".")[0]) for value in values] == list(range(count))


def test_a_worker_goes_on_sending_for_seconds_without_kfastd(kafka, kfastd):
    topic, count = kafka.topic("seconds"), 20_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "64k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=5_000)
        worker.wait_mark()
        kfastd.kill()
        # The ring is full and the worker waits for room in it; its back-off has grown meanwhile.
        with pytest.raises(RuntimeError, match="silent"):
            worker.result(timeout=3)
        kfastd.start()
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert len({report.position for report in reports}) == count
    again = kfastctl.stat(kfastd.socket_dir).value("kfast_resubmitted_messages_total", topic=topic)
    assert_whole(kafka, topic, b"p", count, duplicates=again)


def test_sigterm_delivers_what_was_sent(kafka, kfastd, paused):
    topic = kafka.topic("drain")
    with Producer(kfastd.socket_dir) as producer:
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        paused()
        for n in range(1000):
            producer.send(topic, None, b"%d" % n)
        kfastd.terminate()
        kfastd.wait_log("stopping: taking what was sent and flushing it, for at most 10000 ms")
        kafka.resume(1)
        kfastd.wait_log("drained: every record has its outcome")
        assert kfastd.wait() == 0
        reports = producer.reports()
        assert len(reports) == 1000
        assert all(report.outcome == DELIVERED for report in reports)
    assert not (kfastd.socket_dir / "kfastd.sock").exists()
    values = [record.value for record in kafka.witness.read(topic)]
    assert values == [b"warm", *(b"%d" % n for n in range(1000))]


def test_a_second_sigterm_ends_the_drain_and_the_rings_keep_the_rest(kafka, paused):
    topic = kafka.topic("hurry")
    with Kfastd(config_for(kafka.bootstrap, drain_timeout_ms=600_000)) as kfastd:
        with Producer(kfastd.socket_dir) as producer:
            producer.send(topic, None, b"warm")
            producer.wait_reports(1)
            paused()
            sent = [producer.send(topic, None, b"%d" % n) for n in range(100)]
            kfastd.terminate()
            kfastd.wait_log("stopping")
            kfastd.terminate()
            kfastd.wait_log("second signal: stops without waiting")
            assert kfastd.wait() == 0
            assert producer.reports() == []
            kafka.resume(1)
            kfastd.start()
            reports = producer.wait_reports(100)
        assert [report.position for report in reports] == sent
        values = [record.value for record in kafka.witness.read(topic)]
        first = list(dict.fromkeys(values))
        assert first == [b"warm", *(b"%d" % n for n in range(100))]


def test_new_sessions_are_refused_with_words_while_kfastd_stops(kafka, paused):
    topic = kafka.topic("stopping")
    with Kfastd(config_for(kafka.bootstrap, drain_timeout_ms=600_000)) as kfastd:
        with Producer(kfastd.socket_dir) as producer:
            producer.send(topic, None, b"warm")
            producer.wait_reports(1)
            paused()
            producer.send(topic, None, b"v")
            kfastd.terminate()
            kfastd.wait_log("stopping")
            with pytest.raises(KfastError, match="kfastd is stopping"):
                Producer(kfastd.socket_dir)
            stats = kfastctl.stat(kfastd.socket_dir)
            assert stats.document["phase"] == "draining"
            assert stats.value("kfast_sessions_refused_total", reason="draining") == 1
            kafka.resume(1)
            assert kfastd.wait() == 0


# Workers die and stop


def test_a_killed_workers_records_are_delivered(kafka, kfastd):
    topic = kafka.topic("killed", partitions=2)
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", 1_000_000, keys=16, mark_at=10_000)
        worker.wait_mark()
        worker.kill()
        accepted = worker.accepted
    assert accepted >= 10_000
    kfastd.wait_log("channel closed")
    # One more may have been written when the worker died.
    assert_whole(kafka, topic, b"p", accepted, more=1)
    stats = kfastctl.stat(kfastd.socket_dir)
    assert stats.value("kfast_sessions") == stats.value("kfast_channels") == 0
    assert stats.outcomes(topic)["delivered"] in (accepted, accepted + 1)


def test_a_worker_killed_while_the_broker_is_away_is_delivered_later(kafka, kfastd, paused):
    topic = kafka.topic("orphan")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"warm")
        worker.wait_reports(1)
        paused()
        for n in range(200):
            worker.send(topic, None, b"%d" % n)
        worker.kill()
    kafka.resume(1)
    kfastd.wait_log("channel closed")
    values = [record.value for record in kafka.witness.read(topic)]
    assert values == [b"warm", *(b"%d" % n for n in range(200))]


def test_a_worker_that_closes_at_once_is_delivered(kafka, kfastd):
    topic, count = kafka.topic("closes"), 20_000
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", count)
        worker.result()
        worker.close()
        worker.kill()
    kfastd.wait_log("channel closed")
    assert_whole(kafka, topic, b"p", count)


def test_a_stopped_worker_keeps_its_session(kafka, kfastd):
    topic = kafka.topic("stopped")
    with Worker(kfastd.socket_dir) as worker, Producer(kfastd.socket_dir) as other:
        sent = [worker.send(topic, b"stopped", b"%d" % n) for n in range(500)]
        worker.pause()
        for _ in range(20):
            other.send(topic, b"other", b"v")
            other.wait_reports(1)
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.value("kfast_sessions") == stats.value("kfast_channels") == 2
        worker.resume()
        sent += [worker.send(topic, b"stopped", b"%d" % n) for n in range(500, 1000)]
        reports = worker.wait_reports(1000)
        assert [report.position for report in reports] == sent
    values = [record.value for record in kafka.witness.read(topic) if record.key == b"stopped"]
    assert values == [b"%d" % n for n in range(1000)]


def fill_report_ring(worker, topic: str, key: bytes) -> list:
    """Sends until not even flushed records let one more in; the positions. Reads no report."""
    sent, accepted = [], True
    while accepted:
        accepted = False
        try:
            while True:
                sent.append(worker.send(topic, key, b"%d" % len(sent)))
                accepted = True
        except KfastError as full:
            assert full.code == QUEUE_FULL
        worker.flush()
    return sent


@pytest.mark.parametrize("restarts", [False, True], ids=["", "kfastd-killed"])
def test_a_stopped_worker_with_a_full_report_ring_holds_nobody_up(kafka, kfastd, restarts):
    topic, count = kafka.topic("stopped-full"), 20_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "64k", "report.bytes": "4k"}) as worker:
        sent = fill_report_ring(worker, topic, b"stopped")
        worker.pause()
        with Worker(kfastd.socket_dir, {"ring.bytes": "64k"}) as other:
            reports = other.send_numbered(topic, b"p", count)
            reports += other.wait_reports(count - len(reports))
            if restarts:
                kfastd.restart(kill=True)
                other.send(topic, b"p", sequence_value(count))
                reports += other.wait_reports(1)
            assert {report.outcome for report in reports} == {DELIVERED}
            stats = kfastctl.stat(kfastd.socket_dir)
            # One that cannot run has not come back to a new kfastd, and nothing waits for it.
            assert stats.value("kfast_sessions") == stats.value("kfast_channels") == 2 - restarts
        worker.resume()
        reports = worker.wait_reports(len(sent))
        assert [report.position for report in reports] == sent
        assert {report.outcome for report in reports} == {DELIVERED}
        worker.send(topic, b"stopped", b"%d" % len(sent))
        assert worker.wait_reports(1)[0].outcome == DELIVERED
    values = [r.value for r in kafka.witness.read(topic) if r.key == b"stopped"]
    assert values == [b"%d" % n for n in range(len(sent) + 1)]


def test_a_worker_that_is_stopped_over_a_restart_comes_back_with_everything(kafka, kfastd):
    topic, count = kafka.topic("stopped-over"), 30_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "64k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=5_000)
        worker.wait_mark()
        worker.pause()
        for _ in range(2):
            kfastd.restart(kill=True)
            with Producer(kfastd.socket_dir) as other:
                other.send(topic, b"o", sequence_value(0))
                other.wait_reports(1)
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_channels_resumed_total") == 0
        worker.resume()
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert len(reports) == len({report.position for report in reports}) == count
    assert {report.outcome for report in reports} == {DELIVERED}
    again = kfastctl.stat(kfastd.socket_dir).value("kfast_resubmitted_messages_total", topic=topic)
    assert_whole(kafka, topic, b"p", count, duplicates=again)


# Brokers come and go


def test_a_broker_that_is_absent_at_start_gets_everything_when_it_comes(own_kafka):
    topic, count = own_kafka.topic("absent"), 5_000
    own_kafka.kill(1)
    with Kfastd(config_for(own_kafka.bootstrap)) as kfastd:
        with Producer(kfastd.socket_dir) as producer:
            reports = producer.send_numbered(topic, b"p", count)
            kfastd.wait_log(r"Kafka error profile=default .*(Connect|down)")
            assert reports == [] == producer.reports()
            own_kafka.start(1)
            reports = producer.wait_reports(count)
            assert len({report.position for report in reports}) == count
            assert all(report.outcome == DELIVERED for report in reports)
        assert_whole(own_kafka, topic, b"p", count)
        # A broker that is away must not fill a disk.
        assert len(kfastd.log_lines()) < 100


def test_a_broker_that_is_killed_and_comes_back_gets_everything_in_order(own_kafka):
    topic, count = own_kafka.topic("returns", partitions=2), 30_000
    with Kfastd(config_for(own_kafka.bootstrap)) as kfastd:
        with Worker(kfastd.socket_dir, {"ring.bytes": "1m"}) as worker:
            worker.begin("send_numbered", topic, b"p", count, keys=8, mark_at=5_000)
            worker.wait_mark()
            own_kafka.kill(1)
            own_kafka.start(1)
            reports = worker.result()
            reports += worker.wait_reports(count - len(reports))
        assert len({report.position for report in reports}) == count
        assert all(report.outcome == DELIVERED for report in reports)
        assert_whole(own_kafka, topic, b"p", count)


# Many short-lived workers


def test_workers_that_come_and_go_with_new_topics_end_at_the_limit(kafka):
    topics = [kafka.topic("churn") for _ in range(4)]
    config = config_for(kafka.bootstrap)
    config["limits"] = {"default": {"topics": 3}}
    with Kfastd(config) as kfastd:

        def outcome(topic: str) -> int:
            with Producer(kfastd.socket_dir) as producer:
                producer.send(topic, None, b"v")
                return producer.wait_reports(1)[0].outcome

        assert [outcome(topic) for topic in topics] == [DELIVERED] * 3 + [FAILED]
        # librdkafka keeps a topic for good; those that it has cost nothing more.
        assert [outcome(topic) for topic in topics[:3] * 2] == [DELIVERED] * 6
        assert outcome(topics[3]) == FAILED
        kfastd.wait_log(rf"topic={topics[3]}: limits\.default\.topics = 3 reached \(3 in use by")
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_profile_topics") == 3

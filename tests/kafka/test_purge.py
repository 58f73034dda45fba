"""kfast_purge: what was not handed over yet is given up, with a report for each record."""

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, FAILED, QUEUE_FULL, UNKNOWN, KfastError, Producer
from harness.worker import Worker

# Tiny records: the ring holds more of them than may be with librdkafka at a time.
RING = {"ring.bytes": "64k", "report.bytes": "256k"}
IN_FLIGHT = 1024


def send_until_full(producer, topic) -> list:
    """The positions of records 0, 1, … as many as fit."""
    sent = []
    while True:
        try:
            sent.append(producer.send(topic, None, b"%d" % len(sent)))
        except KfastError as error:
            assert error.code == QUEUE_FULL
            return sent


def in_flight(kfastd, topic, count):
    kfastctl.wait_stat(
        kfastd.socket_dir,
        lambda stats: stats.value("kfast_produce_in_flight_messages", topic=topic) == count,
        f"{count} records in flight",
    )


def warm(producer, topic):
    producer.send(topic, None, b"warm")
    producer.wait_reports(1)


def outcomes(reports) -> list:
    return sorted((r.position, r.outcome, r.error_name if r.error else "") for r in reports)


def values(kafka, topic, count) -> list:
    return [record.value for record in kafka.witness.read(topic, count=count)]


def test_what_librdkafka_has_is_delivered_and_the_rest_fails(kafka, kfastd, paused):
    topic = kafka.topic("purge")
    with Producer(kfastd.socket_dir, RING) as producer:
        warm(producer, topic)
        paused()
        sent = send_until_full(producer, topic)
        in_flight(kfastd, topic, IN_FLIGHT)
        assert len(sent) > IN_FLIGHT
        producer.purge()
        # While the broker is away.
        given_up = producer.wait_reports(len(sent) - IN_FLIGHT)
        assert outcomes(given_up) == [(p, FAILED, "_PURGE_QUEUE") for p in sent[IN_FLIGHT:]]
        kafka.resume(1)
        kept = producer.wait_reports(IN_FLIGHT)
        assert [report.position for report in kept] == sent[:IN_FLIGHT]
        assert all(report.outcome == DELIVERED for report in kept)
        fresh = [producer.send(topic, None, b"fresh %d" % n) for n in range(500)]
        assert [report.position for report in producer.wait_reports(500)] == fresh
        producer.flush()
        assert producer.used_bytes() == 0 and producer.reports() == []
    expected = [b"warm", *(b"%d" % n for n in range(IN_FLIGHT))]
    expected += [b"fresh %d" % n for n in range(500)]
    assert values(kafka, topic, len(expected)) == expected
    assert kafka.witness.count(topic) == len(expected)
    stats = kfastctl.stat(kfastd.socket_dir)
    failed = len(sent) - IN_FLIGHT
    assert stats.discarded(topic) == {"purged": failed}
    assert stats.outcomes(topic) == {"delivered": len(expected), "failed": failed}
    assert stats.value("kfast_produce_in_flight_messages", topic=topic) == 0


def test_it_waits_for_no_rate_limit(kafka):
    topic, count = kafka.topic("purge-rate"), 300
    config = config_for(kafka.bootstrap)
    config["limits"] = {"default": {"records_per_second": 1}}
    with Kfastd(config) as kfastd, Producer(kfastd.socket_dir) as producer:
        sent = [producer.send(topic, None, b"%d" % n) for n in range(count)]
        producer.purge()
        reports = producer.wait_reports(count)
        assert [report.position for report in sorted(reports)] == sent
        delivered = [report for report in reports if report.outcome == DELIVERED]
        failed = [report for report in reports if report.error_name == "_PURGE_QUEUE"]
        assert len(delivered) + len(failed) == count and failed
        producer.send(topic, None, b"fresh")
        producer.wait_reports(1)
    expected = [b"%d" % n for n in range(len(delivered))] + [b"fresh"]
    assert values(kafka, topic, len(expected)) == expected


def test_a_kfastd_that_is_dead_gives_up_when_it_is_back(kafka, kfastd, paused):
    topic = kafka.topic("purge-dead")
    with Producer(kfastd.socket_dir, RING) as producer:
        warm(producer, topic)
        paused()
        sent = send_until_full(producer, topic)
        in_flight(kfastd, topic, IN_FLIGHT)
        kfastd.kill()
        producer.purge()
        kfastd.start()
        # Without a broker: nothing of it is sent again.
        reports = producer.wait_reports(len(sent))
        may_be_there = [(p, UNKNOWN, "_PURGE_QUEUE") for p in sent[:IN_FLIGHT]]
        never_sent = [(p, FAILED, "_PURGE_QUEUE") for p in sent[IN_FLIGHT:]]
        assert outcomes(reports) == may_be_there + never_sent
        producer.flush()
        kafka.resume(1)
        producer.send(topic, None, b"fresh")
        assert [report.outcome for report in producer.wait_reports(1)] == [DELIVERED]
    stats = kfastctl.stat(kfastd.socket_dir)
    assert stats.value("kfast_resubmitted_messages_total", topic=topic) == 0
    assert stats.discarded(topic) == {"purged": len(never_sent)}


def test_what_is_sent_after_it_is_not_touched(kafka, kfastd):
    topic = kafka.topic("purge-after")
    with Producer(kfastd.socket_dir) as producer:
        warm(producer, topic)
        kfastd.kill()
        given_up = [producer.send(topic, None, b"%d" % n) for n in range(100)]
        producer.purge()
        fresh = [producer.send(topic, None, b"fresh %d" % n) for n in range(100)]
        kfastd.start()
        reports = producer.wait_reports(200)
        assert outcomes(reports) == [(p, FAILED, "_PURGE_QUEUE") for p in given_up] + [
            (p, DELIVERED, "") for p in fresh
        ]
    expected = [b"warm", *(b"fresh %d" % n for n in range(100))]
    assert values(kafka, topic, len(expected)) == expected


@pytest.mark.parametrize("worker_lives", [True, False], ids=["lives", "gone"])
def test_a_kept_channel_that_is_adopted_gives_up(kafka, kept, worker_lives):
    topic = kafka.topic("purge-kept")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"warm")
        worker.wait_reports(1)
        kept.kill()
        given_up = [worker.send(topic, None, b"%d" % n) for n in range(100)]
        worker.purge()
        fresh = worker.send(topic, None, b"fresh")
        if not worker_lives:
            worker.kill()
        kept.start()
        kept.wait_log(r"channel adopted channel=1 ")
        if worker_lives:
            reports = worker.wait_reports(101)
            assert outcomes(reports) == [(p, FAILED, "_PURGE_QUEUE") for p in given_up] + [
                (fresh, DELIVERED, "")
            ]
    kept.wait_log("channel closed channel=1")
    assert values(kafka, topic, 2) == [b"warm", b"fresh"]
    assert kfastctl.stat(kept.socket_dir).discarded(topic) == {"purged": 100}


@pytest.mark.parametrize("kill", [False, True], ids=["lives", "killed"])
def test_a_purge_while_records_are_taken_gives_each_one_outcome(kafka, kfastd, kill):
    topic, rounds, each = kafka.topic("purge-race"), 60, 150
    with Producer(kfastd.socket_dir) as producer:
        warm(producer, topic)
        sent, reports = {}, []
        for turn in range(rounds):
            for n in range(turn * each, (turn + 1) * each):
                sent[producer.send(topic, None, b"%d" % n)] = n
            producer.purge()
            reports += producer.reports()
            if kill and turn == rounds // 2:
                kfastd.restart(kill=True)
        fresh = producer.send(topic, None, b"fresh")
        reports += producer.wait_reports(len(sent) + 1 - len(reports))
        producer.flush()
        assert producer.reports() == []
    assert sorted(report.position for report in reports) == sorted([*sent, fresh])
    by_outcome = {DELIVERED: set(), FAILED: set(), UNKNOWN: set()}
    for report in reports:
        assert report.outcome == DELIVERED or report.error_name in ("_PURGE_QUEUE", "NO_ERROR")
        by_outcome[report.outcome].add(report.position)
    assert fresh in by_outcome[DELIVERED]
    assert kill or not by_outcome[UNKNOWN]
    number = {**sent, fresh: rounds * each}
    found = [record.value for record in kafka.witness.read(topic)][1:]
    there = [rounds * each if value == b"fresh" else int(value) for value in found]
    first = list(dict.fromkeys(there))
    assert first == sorted(first), "in the order of sending, by first occurrence"
    assert not set(there) & {number[p] for p in by_outcome[FAILED]}
    assert {number[p] for p in by_outcome[DELIVERED]} <= set(there)
    assert kill or len(there) == len(by_outcome[DELIVERED])

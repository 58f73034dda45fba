"""A shard that naps: what Kafka answers meanwhile reaches the workers, whether they wait or look."""

import time

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, QUEUE_FULL, KfastError
from harness.worker import Worker


@pytest.fixture
def kfastd(kafka):
    with Kfastd(config_for(kafka.bootstrap, {"linger.ms": "5"})) as kfastd:
        yield kfastd


@pytest.fixture
def at_once(kafka):
    """Its records do not linger; those for a topic that does not exist yet wait for it for long."""
    properties = {"linger.ms": "0", "topic.metadata.propagation.max.ms": "600000"}
    with Kfastd(config_for(kafka.bootstrap, properties)) as kfastd:
        yield kfastd


def naps(kfastd) -> int:
    return kfastctl.stat(kfastd.socket_dir).value("kfast_shard_naps_total")


def sleeps(kfastd) -> int:
    return kfastctl.stat(kfastd.socket_dir).value("kfast_shard_sleeps_total")


def nap_for_long(kfastd, worker, topic) -> int:
    """Sends, and looks for no report, until answers end no nap any more (RestPolicy); how many were sent."""
    sent, enough = 0, naps(kfastd) + 200
    while naps(kfastd) < enough:
        for _ in range(50):
            worker.send(topic, None, b"v")
        sent += 50
    return sent


def nap_and_wait(kafka, kfastd) -> None:
    topic = kafka.topic("napped")
    with Worker(kfastd.socket_dir) as worker:
        sent = nap_for_long(kfastd, worker, topic)
        assert {each.outcome for each in worker.wait_reports(sent)} == {DELIVERED}


def test_who_waits_for_the_last_report_after_many_naps_is_woken(kafka, kfastd):
    nap_and_wait(kafka, kfastd)


def test_who_only_looks_finds_the_reports_of_all(kafka, kfastd):
    topic = kafka.topic("looked")
    with Worker(kfastd.socket_dir) as worker:
        sent = nap_for_long(kfastd, worker, topic)
        found, deadline = [], time.monotonic() + 60
        while len(found) < sent and time.monotonic() < deadline:
            found += worker.reports()
        assert len(found) == sent


def test_who_waits_beside_one_that_never_does_is_woken_each_time(kafka, kfastd):
    topic, beside = kafka.topic("waits"), kafka.topic("never-waits")
    with Worker(kfastd.socket_dir) as patient, Worker(kfastd.socket_dir, {"reports": "none"}) as other:
        nap_for_long(kfastd, other, beside)
        for n in range(20):
            report = patient.send_wait(topic, None, b"%d" % n)
            assert report.outcome == DELIVERED
            nap_for_long(kfastd, other, beside) if n % 10 == 9 else other.send(beside, None, b"v")


def test_a_broker_that_answers_after_the_naps_is_heard(kafka, kfastd, paused):
    topic = kafka.topic("napped-outage")
    with Worker(kfastd.socket_dir) as worker:
        sent = nap_for_long(kfastd, worker, topic)
        paused()
        sent += nap_for_long(kfastd, worker, topic)
        slept = sleeps(kfastd)
        kfastctl.wait_stat(
            kfastd.socket_dir, lambda _: sleeps(kfastd) > slept, "no more naps since nobody sends"
        )
        kafka.resume(1)
        assert {each.outcome for each in worker.wait_reports(sent)} == {DELIVERED}


def test_without_linger_records_gather_while_others_are_on_their_way(kafka, at_once):
    nap_and_wait(kafka, at_once)


def test_a_kfastd_killed_while_records_gather_in_a_full_ring_loses_none(kafka, at_once, paused):
    topic, accepted = kafka.topic("gathered"), 0
    with Worker(at_once.socket_dir) as worker:
        worker.wait_reports(nap_for_long(at_once, worker, topic))
        paused()
        with pytest.raises(KfastError) as full:
            while True:
                worker.send(topic, None, b"%01000d" % accepted)
                accepted += 1
        assert full.value.code == QUEUE_FULL and accepted > 100
        at_once.restart(kill=True)
        kafka.resume(1)
        worker.flush()
    values = {record.value for record in kafka.witness.read_topics([topic])[topic]}
    assert values == {b"v"} | {b"%01000d" % n for n in range(accepted)}


def test_who_waits_beside_records_that_stay_does_not_sit_out_naps(kafka, at_once):
    topic, late = kafka.topic("healthy"), "not-there-yet"
    waits = 400
    with Worker(at_once.socket_dir) as stuck, Worker(at_once.socket_dir) as patient:
        for _ in range(8):
            stuck.send(late, None, b"v")
        before = naps(at_once)
        for n in range(waits):
            assert patient.send_wait(topic, None, b"%d" % n).outcome == DELIVERED
        # One in 100 ms tries whether there is an answer by now.
        assert naps(at_once) - before < waits / 2
        kafka.create_topic(late)
        assert {each.outcome for each in stuck.wait_reports(8)} == {DELIVERED}

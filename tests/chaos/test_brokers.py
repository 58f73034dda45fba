"""Three brokers, of which some or all go, while workers send: nothing is lost, and order is kept."""

import itertools
from collections import Counter

import pytest

from harness.kfast import DELIVERED, FAILED, KfastError, Producer

_numbers = itertools.count(1)

# The default goes up to ten seconds.
SOON = {"reconnect.backoff.max.ms": 500}
# Workers that send for as long as a test needs them, with room for what an outage leaves.
ENDLESS = {"count": 400_000, "rate": 2000, "ring": "4m", "reports": "1m"}


def assert_all_delivered(verdict):
    assert verdict.violations == []
    assert verdict.delivered == verdict.accepted and verdict.failed == verdict.unknown == 0


def wait_delivered(loads, more):
    for load in loads:
        load.wait_outcomes(DELIVERED, load.journal.outcome_count(DELIVERED) + more)


def wait_accepted(loads, more):
    for load in loads:
        load.wait_accepted(load.accepted + more)


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(kafka3, scene3):
    scene = scene3(SOON)
    loads = [scene.load(**ENDLESS) for _ in range(3)]
    wait_delivered(loads, 1000)
    victim = kafka3.leader(scene.topic)
    scene.kill_broker(victim)
    kafka3.wait_leaders(scene.topic)
    wait_delivered(loads, 1000)
    kafka3.start(victim)
    kafka3.wait_in_sync(scene.topic)
    wait_delivered(loads, 1000)
    scene.finish()
    assert_all_delivered(scene.judge())


def test_leaders_that_move_lose_nothing(kafka3, scene3):
    scene = scene3(SOON)
    loads = [scene.load(**ENDLESS) for _ in range(3)]
    wait_delivered(loads, 1000)
    led_by = set()
    for _ in range(3):
        moved = kafka3.witness.move_leaders(scene.topic)
        led_by.add(moved[0]["leader"])
        wait_delivered(loads, 500)
    assert led_by == set(kafka3.nodes)
    scene.finish()
    assert_all_delivered(scene.judge())


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_all_three_brokers_go_and_come_back_and_nothing_is_lost(kafka3, scene3, how):
    scene = scene3({**SOON, "socket.timeout.ms": 2000})
    loads = [scene.load(**ENDLESS) for _ in range(3)]
    wait_delivered(loads, 1000)
    for node in kafka3.nodes:
        if how == "killed":
            scene.kill_broker(node)
        else:
            kafka3.pause(node)
    told = [load.journal.outcome_count(DELIVERED) for load in loads]
    # librdkafka has noticed, and there is more than what was out when it happened.
    scene.lives.wait_count("kfast_broker_errors_total")
    wait_accepted(loads, 2000)
    for load, before in zip(loads, told):
        # A few reports may have been on their way.
        assert load.accepted - load.journal.outcome_count(DELIVERED) >= 2000, (str(load), before)
    for node in kafka3.nodes:
        if how == "killed":
            kafka3.start(node, wait=False)
        else:
            kafka3.resume(node)
    wait_delivered(loads, 4000)
    scene.finish()
    assert_all_delivered(scene.judge())


def test_too_few_replicas_hold_records_back_or_fail_them_with_kafkas_error(kafka3, scene3):
    topic = kafka3.topic("chaos", 3, configs={"min.insync.replicas": 3})
    # It gives up after two more tries, when everybody else waits.
    impatient = {"message.send.max.retries": 2, "retry.backoff.ms": 50, "retry.backoff.max.ms": 50}
    scene = scene3(SOON, profiles={"impatient": impatient}, topic=topic)
    patient = [scene.load(**ENDLESS) for _ in range(2)]
    wait_delivered(patient, 1000)
    first, second, _ = kafka3.nodes
    scene.kill_broker(first)
    kafka3.wait_replicas(topic, 2)
    refused = [load.accepted + 1 for load in patient]
    told = scene.load(count=200, profile="impatient")
    scene.wait_end(told)
    assert told.errors(FAILED) == {"NOT_ENOUGH_REPLICAS": 200}
    wait_accepted(patient, 500)
    # One of three is left, which cannot even elect a leader.
    scene.kill_broker(second)
    wait_accepted(patient, 500)
    for load, since in zip(patient, refused):
        assert set(load.journal.outcomes[since : load.accepted]) == {0}
    for node in (first, second):
        kafka3.start(node, wait=False)
    kafka3.wait_replicas(topic, 3, timeout=180)
    wait_delivered(patient, 1000)
    scene.finish(*patient)
    verdict = scene.judge()
    assert verdict.violations == []
    assert (verdict.failed, verdict.unknown) == (200, 0)
    assert verdict.delivered == verdict.accepted - 200


# A topic is in trouble


# An unknown topic is asked for again soon, and given up soon.
HASTY = {"topic.metadata.refresh.fast.interval.ms": 100, "topic.metadata.propagation.max.ms": 1000}


@pytest.mark.parametrize("gone", ["for a moment", "until its records fail"])
def test_a_topic_that_is_deleted_and_made_again_under_load(kafka3, scene3, gone):
    # One replica each: what was delivered into the deleted topic is on one disk, and only there.
    shape = {"partitions": 3, "replication": 1, "configs": {"min.insync.replicas": 1}}
    topic = kafka3.topic("chaos", **shape)
    scene = scene3(HASTY, topic=topic)
    loads = [scene.load(**ENDLESS) for _ in range(3)]
    wait_delivered(loads, 1000)
    kafka3.delete_topic(topic)
    if gone == "until its records fail":
        for load in loads:
            load.wait_outcomes(FAILED, 1)
    kafka3.create_topic(topic, **shape)
    wait_delivered(loads, 1000)
    scene.finish()
    assert len(kafka3.deleted(topic)) == 3
    verdict = scene.judge()
    assert verdict.violations == []
    failures = sum((load.errors(FAILED) for load in loads), Counter())
    assert set(failures) <= {"_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"}
    assert bool(failures) or gone == "for a moment"
    assert kafka3.witness.count(topic) >= 3000


def trouble(kafka3, how):
    """A topic that is in trouble, and what ends that."""
    if how == "that does not exist":
        name = f"later-{next(_numbers)}"
        return name, lambda: kafka3.create_topic(name, 3)
    topic = kafka3.topic("sick", 1, 1, {"min.insync.replicas": 1})
    node = kafka3.leader(topic)
    kafka3.kill(node)
    return topic, lambda: kafka3.start(node)


TROUBLES = pytest.mark.parametrize("how", ["whose broker is away", "that does not exist"])
PATIENT = {**SOON, **HASTY, "topic.metadata.propagation.max.ms": 600_000}


@TROUBLES
def test_a_topic_in_trouble_does_not_stop_channels_that_do_not_use_it(kafka3, scene3, how):
    healthy = scene3(PATIENT)
    topic, cure = trouble(kafka3, how)
    kafka3.wait_leaders(healthy.topic)
    sick = healthy.beside(topic)
    waiting = [sick.load(**{**ENDLESS, "ring": "64k"}) for _ in range(2)]
    # Full: they wait for room.
    healthy.lives.wait_count("kfast_produce_in_flight_messages", 500, topic=topic)
    loads = [healthy.load(**ENDLESS) for _ in range(2)]
    wait_delivered(loads, 5000)
    assert all(load.journal.outcome_count(0) == load.accepted for load in waiting)
    cure()
    wait_delivered(waiting, 1000)
    sick.finish()
    healthy.finish()
    assert_all_delivered(healthy.judge())
    assert_all_delivered(sick.judge())


@TROUBLES
def test_a_topic_in_trouble_leaves_the_rest_of_the_ring_to_others(kafka3, scene3, how):
    scene = scene3(PATIENT)
    topic, cure = trouble(kafka3, how)
    kafka3.wait_leaders(scene.topic)
    with Producer(scene.lives.socket_dir, {"ring.bytes": "64k"}) as producer:
        producer.send(scene.topic, b"k", b"first")
        assert producer.wait_reports(1)[0].outcome == DELIVERED
        sick, values = [], []
        with pytest.raises(KfastError, match=f'topic "{topic}" holds its whole share'):
            while True:
                value = b"%d" % len(values) + b"." * 500
                sick.append(producer.send(topic, b"k", value))
                values.append(value)
                # A topic's share is counted where its records are taken.
                scene.lives.wait_count("kfast_produce_taken_messages_total", len(sick), topic=topic)
        # They have their outcomes, one after the other, while no record of the other topic has one.
        fresh = []
        with pytest.raises(KfastError, match="the ring is full of records without an outcome"):
            while True:
                value = b"%d" % len(fresh) + b"." * 100
                sent = producer.send(scene.topic, b"k", value)
                fresh.append(value)
                (report,) = producer.wait_reports(1)
                assert (report.position, report.outcome) == (sent, DELIVERED)
        assert sum(map(len, fresh)) > 16_000
        cure()
        reports = producer.wait_reports(len(sick), timeout=120)
        assert [report.position for report in reports] == sick
        assert {report.outcome for report in reports} == {DELIVERED}
        producer.send(topic, b"k", b"last")
        assert producer.wait_reports(1)[0].outcome == DELIVERED
    read = kafka3.witness.read
    assert [record.value for record in read(scene.topic)] == [b"first", *fresh]
    assert [record.value for record in read(topic)] == [*values, b"last"]

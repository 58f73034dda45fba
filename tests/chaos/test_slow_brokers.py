"""A broker that never answers, or answers late."""

import pytest

from harness.kfast import DELIVERED, FAILED, UNKNOWN


def test_a_broker_that_never_answers_makes_records_unknown_and_nothing_else(kafka, scene, paused):
    # All that a worker sends here goes out in one request for each partition, of which five may be
    # out: each record is in a request when its time is over.
    scene = scene({"linger.ms": 500, "message.timeout.ms": 5000, "socket.timeout.ms": 2000})
    scene.wait_end(scene.load(count=64))
    paused()
    load = scene.load(count=64)
    scene.wait_end(load)
    assert load.errors(UNKNOWN).total() == 64, load.errors(FAILED)
    kafka.resume(1)
    verdict = scene.judge()
    assert verdict.violations == []
    assert (verdict.accepted, verdict.failed, verdict.unknown) == (64 + 64 + 1, 0, 64)


def test_workers_that_go_on_past_unknown_outcomes_keep_their_order(kafka, scene, paused):
    hasty = {"message.timeout.ms": 2000, "socket.timeout.ms": 1000, "reconnect.backoff.max.ms": 500}
    scene = scene(hasty)
    loads = [scene.load(count=400_000, rate=1000, ring="1m", reports="1m") for _ in range(3)]
    for _ in range(2):
        for load in loads:
            load.wait_outcomes(DELIVERED, load.journal.outcome_count(DELIVERED) + 1000)
        before = unknown(loads)
        paused()
        loads[0].wait(lambda: unknown(loads) > before, "a record of unknown outcome")
        for load in loads:
            # No request has place for it, so it is known never to have been in Kafka.
            load.wait_outcomes(FAILED, load.journal.outcome_count(FAILED) + 1)
        kafka.resume(1)
    for load in loads:
        load.wait_outcomes(DELIVERED, load.journal.outcome_count(DELIVERED) + 1000)
    scene.finish()
    verdict = scene.judge()
    assert verdict.violations == []
    for load in loads:
        assert set(load.errors(FAILED) + load.errors(UNKNOWN)) <= {"_MSG_TIMED_OUT", "_TIMED_OUT"}


def unknown(loads):
    return sum(load.journal.outcome_count(UNKNOWN) for load in loads)


@pytest.fixture
def slow(proxy):
    """Makes every answer late that comes through the proxy, until the test's end."""

    def slower(seconds):
        proxy.delay = seconds
        return proxy

    yield slower
    proxy.delay = 0


def test_a_broker_that_answers_slowly_loses_nothing(scene, slow):
    proxy = slow(0.3)
    scene = scene(bootstrap=proxy.address)
    loads = [scene.load(count=2000, rate=2000, ring="64k") for _ in range(3)]
    for load in loads:
        load.wait_outcomes(DELIVERED, 500)
    # Answers are on their way for longer than kfastd lives.
    scene.lives.kill()
    scene.lives.start()
    for load in loads:
        scene.wait_end(load)
    verdict = scene.judge()
    assert verdict.violations == []
    assert verdict.delivered == verdict.accepted == 6001
    assert verdict.duplicates > 0 and proxy.answers > 20

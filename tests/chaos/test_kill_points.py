"""Worker and kfastd are killed at every kill point, and nothing that was accepted is lost."""

import signal

import pytest

from harness import paths
from kill_points import kill_points
from load import BATCH, BATCHED, IN_PLACE, SINGLE
from test_kept import KEPT

BEFORE_PUBLISH = [
    ("client.append.reserved", 5000, SINGLE),
    ("client.append.padded", 10, SINGLE),
    ("client.append.head_written", 5000, SINGLE),
    ("client.append.key_written", 5000, SINGLE),
    ("client.append.before_publish", 5000, SINGLE),
    # In the middle of a batch: what came before it in there is not published either.
    ("client.append.key_written", 300 * BATCH + 9, BATCHED),
    ("client.batch.before_publish", 300, BATCHED),
    ("client.reserve.reserved", 3000, IN_PLACE),
    ("client.commit.before_publish", 3000, IN_PLACE),
]
AFTER_PUBLISH = [
    ("client.append.after_publish", 5000, SINGLE, 1),
    ("client.append.before_ring", 5, SINGLE, 1),
    ("client.append.before_ring", 5, BATCHED, BATCH),
    ("client.batch.after_publish", 300, BATCHED, BATCH),
    ("client.commit.after_publish", 3000, IN_PLACE, 1),
]
READING = [
    ("client.reports.before_seen", 2000),
    ("client.reports.after_seen", 2000),
    ("client.reports.before_release", 100),
    ("client.reports.after_release", 100),
]
CLOSING = ["client.close.before", "client.close.told"]
BEFORE_HANDING_BACK = "client.resume.before_ask"
HANDED_BACK = [
    "client.resume.after_ask",
    "client.resume.opened",
    "client.resume.reports_read_out",
    "client.resume.mapped",
    "client.resume.words_set",
    "client.resume.before_confirm",
    "client.resume.after_confirm",
]
IN_WORK = [
    ("daemon.adopt.done", 1),
    ("daemon.take.tail_read", 50),
    ("daemon.take.announced", 3000),
    ("daemon.take.handed_over", 3000),
    ("daemon.settle.begin", 3000),
    ("daemon.settle.lost_bit_set", 3000),
    ("daemon.settle.within_done_bits", 10_001),
    ("daemon.settle.done", 3000),
    ("daemon.round.before_reports", 10),
    ("daemon.round.reports_published", 10),
    ("daemon.round.head_moved", 5),
    ("daemon.round.before_wake", 3),
]
RESUMING = [
    ("daemon.resume.segments_checked", 1),
    ("daemon.resume.done_bits_copied", 1),
    ("daemon.resume.adopted", 1),
    ("daemon.resume.offered", 1),
    ("daemon.resume.confirmed", 1),
    ("daemon.inherited.marked", 1),
    ("daemon.inherited.reported", 1),
    ("daemon.inherited.resubmitted", 1),
]
OWNERLESS = "daemon.inherited.ownerless"
RETIRING = ["daemon.retire.begun", "daemon.retire.drained"]
DRAINING = ["daemon.drain.begun", "daemon.drain.flushed"]


def test_every_kill_point_is_hit_by_a_test():
    counted = [*BEFORE_PUBLISH, *AFTER_PUBLISH, *READING, *IN_WORK, *RESUMING, *KEPT]
    single = [*CLOSING, BEFORE_HANDING_BACK, *HANDED_BACK, OWNERLESS, *RETIRING, *DRAINING]
    assert {name for name, *_ in counted} | {*single} == {*kill_points()}


@pytest.mark.parametrize("binary", ["client/libkfast.so.0", "daemon/kfastd"])
def test_this_build_has_kill_points(binary):
    # What tests/kafka shows to be absent from every other build.
    content = paths.built(binary).read_bytes()
    words = ["KFAST_KILL_AT", "KFAST_BREAK", "kill_point_detail", "head_at_handover"]
    assert all(word.encode() in content for word in [*kill_points(), *words])


def test_the_library_of_this_build_can_send_a_signal():
    assert b"\0kill\0" in paths.built("client/libkfast.so.0").read_bytes()


def killed_by_itself(scene, load):
    scene.wait_end(load)
    assert load.process.returncode == -signal.SIGKILL
    return load


# A worker that lives until it is killed: neither its records nor the room for them come to an end.
ENDLESS = {"count": 100_000, "ring": "16m", "reports": "4m", "rate": 5000}


def assert_kept(verdict, lost=False):
    assert verdict.violations == []
    assert verdict.delivered == verdict.accepted + verdict.uncounted - verdict.lost_with_both
    assert verdict.failed == verdict.unknown == 0
    assert lost or verdict.lost_with_both == 0


# The worker dies


def ring_for(way):
    # A batch that finds the ring full publishes what it has, and waits.
    return {"ring": "64k"} if way == SINGLE else {"ring": "16m", "reports": "4m"}


@pytest.mark.parametrize("point, nth, way", BEFORE_PUBLISH)
def test_a_record_that_is_not_published_never_appears(scene, point, nth, way):
    scene = scene()
    load = scene.load(kill_at=f"{point}:{nth}", ways=(way,), **ring_for(way))
    killed_by_itself(scene, load)
    verdict = scene.judge()
    assert_kept(verdict)
    assert load.accepted > 0 and verdict.uncounted == 0


@pytest.mark.parametrize("point, nth, way, more", AFTER_PUBLISH)
def test_a_record_that_is_published_is_delivered(scene, point, nth, way, more):
    scene = scene()
    # Slow enough for the shard to sleep in between, not to nap.
    rate = 100 if point.endswith("ring") else 0
    load = scene.load(kill_at=f"{point}:{nth}", rate=rate, ways=(way,), **ring_for(way))
    killed_by_itself(scene, load)
    verdict = scene.judge()
    assert_kept(verdict)
    assert load.accepted > 0 and verdict.uncounted == more


@pytest.mark.parametrize("point, nth", READING)
def test_a_worker_killed_while_it_reads_reports_is_delivered(scene, point, nth):
    scene = scene()
    load = killed_by_itself(scene, scene.load(kill_at=f"{point}:{nth}", ring="64k", rate=20_000))
    assert load.accepted > 0
    assert_kept(scene.judge())


@pytest.mark.parametrize("point", CLOSING)
def test_a_worker_killed_while_it_closes_is_delivered(scene, point):
    scene = scene()
    load = scene.load(count=3000, kill_at=f"{point}:1", ring="1m", close_at_once=True)
    killed_by_itself(scene, load)
    assert load.accepted == 3000
    assert_kept(scene.judge())


def outlive_kfastd(scene, load, paused):
    """kfastd is killed when the worker has records of every kind; a new one is not started yet."""
    load.wait_accepted(2000)
    paused()
    load.wait_accepted(load.accepted + 1000)
    scene.lives.kill()
    load.wait_accepted(load.accepted + 500)


def test_a_worker_killed_before_it_hands_back_may_lose_what_no_kfastd_has(scene, kafka, paused):
    scene = scene()
    load = scene.load(kill_at=f"{BEFORE_HANDING_BACK}:1", **ENDLESS)
    outlive_kfastd(scene, load, paused)
    scene.lives.start()
    kafka.resume(1)
    killed_by_itself(scene, load)
    assert_kept(scene.judge(), lost=True)


@pytest.mark.parametrize("point", HANDED_BACK)
def test_a_worker_killed_when_it_has_handed_back_is_delivered(scene, kafka, paused, point):
    scene = scene()
    load = scene.load(kill_at=f"{point}:1", **ENDLESS)
    outlive_kfastd(scene, load, paused)
    scene.lives.start()
    kafka.resume(1)
    killed_by_itself(scene, load)
    assert_kept(scene.judge())


# kfastd dies


def finish(scene, *loads):
    for load in loads:
        scene.wait_end(load)
        assert load.process.returncode == 0, str(load)


@pytest.mark.parametrize("point, nth", IN_WORK)
def test_kfastd_killed_at_work_loses_nothing(scene, point, nth):
    scene = scene(KFAST_KILL_AT=f"{point}:{nth}")
    loads = [scene.load(count=10_000, rate=20_000) for _ in range(2)]
    scene.lives.wait_killed()
    scene.lives.start()
    finish(scene, *loads)
    assert_kept(scene.judge())


@pytest.mark.parametrize("point, nth", RESUMING)
def test_kfastd_killed_while_it_takes_channels_back_loses_nothing(scene, point, nth):
    # The first life leaves outcomes behind that nobody was told of, and records without one.
    scene = scene(KFAST_KILL_AT="daemon.settle.done:2000")
    loads = [scene.load(count=10_000, rate=20_000) for _ in range(2)]
    scene.lives.wait_killed()
    scene.lives.start(kill_at=f"{point}:{nth}")
    scene.lives.wait_killed()
    scene.lives.start()
    finish(scene, *loads)
    assert_kept(scene.judge())


def test_kfastd_killed_when_it_inherits_from_a_dead_worker(scene, kafka, paused):
    scene = scene()
    other = scene.load(count=10_000, rate=5000)
    load = scene.load(kill_at="client.resume.after_ask:1", **ENDLESS)
    outlive_kfastd(scene, load, paused)
    scene.lives.start(kill_at=f"{OWNERLESS}:1")
    kafka.resume(1)
    killed_by_itself(scene, load)
    scene.lives.wait_killed()
    scene.lives.start()
    finish(scene, other)
    # Both are dead: what only the dead worker's ring held is gone.
    assert_kept(scene.judge(), lost=True)


@pytest.mark.parametrize("point", RETIRING)
def test_kfastd_killed_when_a_worker_has_gone_harms_no_other(scene, point):
    scene = scene(KFAST_KILL_AT=f"{point}:1")
    other, load = scene.load(count=10_000, rate=5000), scene.load(**ENDLESS)
    load.wait_accepted(1000)
    other.wait_accepted(1000)
    load.kill()
    scene.lives.wait_killed()
    scene.lives.start()
    finish(scene, other)
    assert_kept(scene.judge(), lost=point == "daemon.retire.begun")


@pytest.mark.parametrize("point", DRAINING)
def test_kfastd_killed_while_it_stops_loses_nothing(scene, point):
    scene = scene(KFAST_KILL_AT=f"{point}:1")
    loads = [scene.load(count=8000, rate=5000) for _ in range(2)]
    for load in loads:
        load.wait_accepted(2000)
    scene.lives.kfastd.terminate()
    scene.lives.wait_killed()
    scene.lives.start()
    finish(scene, *loads)
    assert_kept(scene.judge())

"""Where segments are kept, worker and kfastd may both be killed, and nothing at all is lost."""

import signal

import pytest

from random_kills import Round

KEPT = [
    ("daemon.kept.stored", 1),
    ("daemon.kept.adopted", 1),
    ("daemon.kept.restored", 1),
    ("daemon.kept.outdated_removed", 1),
    ("daemon.kept.begun", 1),
    ("daemon.kept.offered", 1),
    ("daemon.kept.handed_over", 1),
]
# A worker that lives until it is killed: neither its records nor the room for them come to an end.
ENDLESS = {"count": 100_000, "ring": "16m", "reports": "4m", "rate": 5000}


def assert_nothing_lost(verdict):
    assert verdict.violations == [] and verdict.lost_with_both == 0
    assert verdict.delivered == verdict.accepted + verdict.uncounted


@pytest.mark.parametrize("point, nth", KEPT)
def test_kfastd_killed_while_it_adopts_loses_nothing(scene, point, nth):
    opening = point == "daemon.kept.stored"
    first = f"{point}:{nth}" if opening else "daemon.settle.done:2000"
    scene = scene(keeps=True, KFAST_KILL_AT=first)
    loads = [scene.load(count=10_000, rate=20_000) for _ in range(2)]
    scene.lives.wait_killed()
    if not opening:
        scene.lives.start(kill_at=f"{point}:{nth}")
        scene.lives.wait_killed()
    scene.lives.start()
    for load in loads:
        scene.wait_end(load)
        assert load.process.returncode == 0, str(load)
    assert_nothing_lost(scene.judge())


@pytest.mark.parametrize("point", ["", *(name for name, _ in KEPT[1:5])])
def test_a_worker_that_died_with_kfastd_is_delivered(scene, kafka, paused, point):
    scene = scene(keeps=True)
    load = scene.load(**ENDLESS)
    load.wait_accepted(2000)
    paused()
    load.wait_accepted(load.accepted + 1000)
    scene.lives.kill()
    load.wait_accepted(load.accepted + 500)
    load.kill()
    if point:
        scene.lives.start(kill_at=f"{point}:1")
        scene.lives.wait_killed()
    scene.lives.start()
    kafka.resume(1)
    verdict = scene.judge()
    assert_nothing_lost(verdict)
    assert verdict.accepted > 3500


@pytest.mark.parametrize(
    "point", ["client.resume.before_ask", "client.resume.after_ask", "client.resume.before_confirm"]
)
def test_a_worker_killed_while_it_comes_back_is_delivered(scene, kafka, paused, point):
    scene = scene(keeps=True)
    load = scene.load(kill_at=f"{point}:1", **ENDLESS)
    load.wait_accepted(2000)
    paused()
    load.wait_accepted(load.accepted + 1000)
    scene.lives.kill()
    load.wait_accepted(load.accepted + 500)
    scene.lives.start()
    kafka.resume(1)
    scene.wait_end(load)
    assert load.process.returncode == -signal.SIGKILL
    assert_nothing_lost(scene.judge())


@pytest.mark.parametrize("point", ["daemon.retire.begun", "daemon.retire.drained"])
def test_kfastd_killed_when_a_worker_has_gone_loses_nothing(scene, point):
    scene = scene(keeps=True, KFAST_KILL_AT=f"{point}:1")
    load = scene.load(**ENDLESS)
    load.wait_accepted(1000)
    load.kill()
    scene.lives.wait_killed()
    scene.lives.start()
    assert_nothing_lost(scene.judge())


@pytest.mark.parametrize("seed", [11, 12])
def test_random_kills_lose_nothing_at_all(kafka, verdicts, seed):
    verdict = Round(
        kafka,
        f"random kills, kept, seed {seed}",
        seed,
        worker_kills=50,
        daemon_kills=15,
        verdicts=verdicts,
        keeps=True,
    ).run()
    assert_nothing_lost(verdict)
    assert verdict.workers_killed >= 50 and verdict.daemons_killed >= 15

"""Random kill -9 of workers and kfastd under load: 200 and 60 in all."""

import pytest

from random_kills import Round


@pytest.mark.parametrize("seed", range(1, 5))
def test_random_kills_lose_nothing(kafka, verdicts, seed):
    verdict = Round(
        kafka,
        f"random kills, seed {seed}",
        seed,
        worker_kills=50,
        daemon_kills=15,
        verdicts=verdicts,
    ).run()
    assert verdict.violations == []
    assert verdict.workers_killed >= 50 and verdict.daemons_killed >= 15
    assert verdict.accepted > 10_000

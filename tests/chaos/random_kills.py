"""Random kill -9 of workers, kfastd and brokers under load, on a schedule that a seed repeats.

What a seed repeats is who is killed, when (after so many accepted records), and at which kill
points; how far each process has come by then is the machine's affair.
"""

import random
import signal
import subprocess
import time
from typing import Optional

from harness.daemon import config_for
from harness.witness import WitnessError

from kill_points import kill_points
from lives import Lives
from oracle import Verdict
from scene import Scene

WORKERS = 3
RATES = (1000, 4000, 12_000)  # records a second of a worker
RINGS = ("64k", "256k", "1m")
REPORT_RINGS = ("8k", "64k", "256k")
LINGERS_MS = (0, 5, 50)
# No progress for so long is a failure; longer than brokers need to elect a leader.
STALL_S = 90


class BrokerKiller:
    """Kills one broker of `kafka` -9 every `every` seconds, and starts it again half-way. While one
    is away, or has not come back in so short a time, none is killed.
    """

    def __init__(self, kafka, every: float, rng: random.Random):
        self.kafka = kafka
        self.kills = 0
        self._every = every
        self._rng = rng
        self._down: Optional[int] = None
        self._due = time.monotonic() + every / 2

    def tick(self) -> None:
        if time.monotonic() < self._due:
            return
        if self._down is None and not self._all_live():
            self._due += 1
            return
        self._due = time.monotonic() + self._every / 2
        if self._down is None:
            self._down = self._rng.choice(self.kafka.nodes)
            self.kafka.kill(self._down)
            self.kills += 1
        else:
            self.kafka.start(self._down, wait=False)
            self._down = None

    def _all_live(self) -> bool:
        try:
            return set(self.kafka.nodes) == set(self.kafka.witness.describe_cluster()["nodes"])
        except WitnessError:
            return False

    def end(self) -> None:
        """All brokers run again."""
        if self._down is not None:
            self.kafka.start(self._down, wait=False)
            self._down = None
        self.kafka.wait_nodes(self.kafka.nodes, timeout=180)


class Round:
    """Kills until `worker_kills` and `daemon_kills` are reached, or `deadline` (monotonic)."""

    def __init__(
        self,
        kafka,
        name: str,
        seed,
        worker_kills: int,
        daemon_kills: int,
        brokers: Optional[BrokerKiller] = None,
        deadline: Optional[float] = None,
        verdicts: Optional[list] = None,
        keeps: bool = False,
    ):
        self._rng = random.Random(seed)
        self._wanted = {"worker": worker_kills, "daemon": daemon_kills}
        self._brokers = brokers
        self._deadline = deadline
        names = kill_points()
        self._client_points = [
            name for name in names if name.startswith("client.") and ".close." not in name
        ]
        self._daemon_points = [name for name in names if name.startswith("daemon.")]
        properties = {"linger.ms": self._rng.choice(LINGERS_MS)}
        lives = Lives(config_for(kafka.bootstrap, properties, drain_timeout_ms=2000), keeps)
        self._scene = Scene(name, kafka, lives, verdicts)
        self._killed_workers = 0
        self._trouble: list = []

    def run(self) -> Verdict:
        scene = self._scene
        brokers_before = self._brokers.kills if self._brokers else 0
        try:
            workers = [self._worker() for _ in range(WORKERS)]
            while self._kills_left() and not self._over():
                self._wait_progress(workers, self._rng.randrange(500, 4000))
                left = self._kills_left()
                if not left:
                    break
                self._strike(workers, self._rng.choices(list(left), weights=left.values())[0])
                self._revive(workers)
            self._end(workers)
            if self._brokers:
                scene.brokers_killed = self._brokers.kills - brokers_before
            verdict = scene.judge()
            for sentence in self._trouble:
                verdict.broken(sentence)
            return verdict
        finally:
            scene.end()

    def _strike(self, workers: list, kind: str) -> None:
        """One fault: mostly a kill; sometimes SIGTERM for kfastd, or a worker stopped meanwhile."""
        lives, victim, bystander = self._scene.lives, *self._rng.sample(workers, 2)
        gentle, stopped = self._rng.random() < 0.15, self._rng.random() < 0.15
        if stopped:
            bystander.process.signal(signal.SIGSTOP)
        if kind == "worker":
            victim.kill()
        elif lives.kfastd.running and gentle:
            lives.kfastd.terminate()
            if lives.kfastd.wait() == 0:
                lives.keep_counters()
                self._start_daemon()
        elif lives.kfastd.running:
            lives.kfastd.kill()
        if stopped:
            self._revive(workers)
            self._wait_progress(workers, 200)
            bystander.process.signal(signal.SIGCONT)

    def _kills_left(self) -> dict:
        done = {"worker": self._killed_workers, "daemon": self._scene.lives.kills}
        left = {kind: self._wanted[kind] - done[kind] for kind in done}
        return {kind: count for kind, count in left.items() if count > 0}

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _point(self, names: list, most: int) -> str:
        """A kill point and its passing, for half of all processes."""
        name, nth = self._rng.choice(names), int(most ** self._rng.random())
        return f"{name}:{nth}" if self._rng.random() < 0.5 else ""

    def _worker(self):
        return self._scene.load(
            count=100_000,
            rate=self._rng.choice(RATES),
            kill_at=self._point(self._client_points, 20_000),
            ring=self._rng.choice(RINGS),
            reports=self._rng.choice(REPORT_RINGS),
        )

    def _start_daemon(self) -> None:
        self._scene.lives.start(kill_at=self._point(self._daemon_points, 20_000))

    def _revive(self, workers: list) -> None:
        """Puts new processes in the place of those that have ended."""
        lives = self._scene.lives
        for slot, load in enumerate(workers):
            if not load.process.running:
                load.gone(killed=load.process.returncode == -signal.SIGKILL)
                self._killed_workers += load.killed
                workers[slot] = self._worker()
        while not lives.kfastd.running:
            lives.wait_killed()
            self._start_daemon()

    def _wait_progress(self, workers: list, records: int) -> None:
        scene = self._scene
        stalled_at = time.monotonic() + STALL_S
        goal = sum(load.accepted for load in scene.loads) + records
        while sum(load.accepted for load in scene.loads) < goal:
            if self._over():
                return
            if self._brokers:
                self._brokers.tick()
            self._revive(workers)
            workers[0].process.wait_readable(None, 0.01)
            if time.monotonic() > stalled_at:
                states = "; ".join(map(str, workers))
                raise TimeoutError(f"no progress for {STALL_S} s: {states}")

    def _end(self, workers: list) -> None:
        """No more faults: the last kfastd has no kill point, and the workers come to their end."""
        lives = self._scene.lives
        if self._brokers:
            self._brokers.end()
        if lives.kfastd.running:
            lives.kill()
        else:
            lives.wait_killed()
        lives.start()
        for load in workers:
            load.finish()
        for load in workers:
            try:
                self._scene.wait_end(load)
            except subprocess.TimeoutExpired:
                self._trouble.append(f"{load} did not come to its end")
                load.kill()

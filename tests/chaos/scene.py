"""One scenario for the oracle: a topic of its own, its workers, and its kfastds."""

import itertools
import signal
from typing import Optional

from load import Load
from oracle import Verdict, judge

_numbers = itertools.count(1)


class Scene:
    """Starts workers on `lives`, and has the oracle judge them all in the end. All of them write
    into `topic`, which is a new one where none is given.
    """

    def __init__(
        self,
        name: str,
        kafka,
        lives,
        verdicts: Optional[list] = None,
        topic: Optional[str] = None,
    ):
        self.name = name
        self.kafka = kafka
        self.lives = lives
        self.topic = topic or kafka.topic("chaos", partitions=3)
        self.loads: list = []
        self.brokers_killed = 0
        self._verdicts = verdicts if verdicts is not None else []

    def load(
        self,
        count: int = 20_000,
        kill_at: str = "",
        ring: str = "256k",
        reports: str = "256k",
        profile: str = "default",
        **more,
    ) -> Load:
        """A new worker, which dies at `kill_at` where that is given; returns while it starts."""
        load = Load(
            next(_numbers),
            self.lives.socket_dir,
            self.topic,
            self.lives.number,
            count,
            options={"ring.bytes": ring, "report.bytes": reports, "profile": profile},
            environment={"KFAST_KILL_AT": kill_at},
            **more,
        )
        self.loads.append(load)
        self.lives.loads.append(load)
        return load

    def wait_end(self, load: Load, timeout: float = 120) -> None:
        """Waits for a worker's end, whatever it is."""
        status = load.process.wait(timeout)
        load.gone(killed=status == -signal.SIGKILL)

    def beside(self, topic: str) -> "Scene":
        """A scene of the same kfastds with a topic of its own."""
        return Scene(f"{self.name}, {topic}", self.kafka, self.lives, self._verdicts, topic)

    def kill_broker(self, node: int) -> None:
        self.kafka.kill(node)
        self.brokers_killed += 1

    def finish(self, *loads: Load) -> None:
        """Has workers come to their end: all of them, where none is named."""
        for load in loads or self.loads:
            load.finish()
        for load in loads or self.loads:
            self.wait_end(load)

    def judge(self) -> Verdict:
        """Sends a fresh record, waits until all channels are drained, and asks the oracle."""
        try:
            fresh = self.load(count=1)
            self.wait_end(fresh)
            self.lives.wait_channels(0)
            stuck = ""
        except Exception as error:
            stuck = f"after the faults, kfast does not go on: {error}"
        self.lives.keep_counters()
        for load in self.loads:
            if load.process.running:
                load.kill()
        verdict = judge(
            self.name, self.kafka, self.topic, self.loads, self.lives, self.brokers_killed
        )
        if stuck:
            verdict.broken(stuck)
        self._verdicts.append(verdict)
        return verdict

    def end(self) -> None:
        """Ends what still runs."""
        for load in self.loads:
            load.process.kill()
        self.lives.kfastd.discard()

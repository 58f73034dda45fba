"""kfastd's lives: it is killed and started again, and what each life counted is kept."""

import signal
from collections import Counter

from harness import kfastctl
from harness.daemon import Kfastd


class Lives:
    """A kfastd with `number` for its life, from 1. `loads` are told before each start. With `keeps`
    its segments are kept over its death, as by systemd.

    `resubmitted` is what all lives counted as submitted again, by reason, and `uncounted` how many
    further records may have been: one that was handed over and not counted yet for each life that
    did not end by itself. `environment` may be changed between two starts.
    """

    def __init__(self, config: dict, keeps: bool = False, **environment):
        self.keeps = keeps
        self.environment = {"KFAST_KILL_AT": "", **environment}
        self.number = 1
        self.loads: list = []
        self.uncounted = 0
        self._resubmitted: dict = {}  # of each life, by reason
        self._violations: dict = {}
        self.kills = 0
        self.kfastd = Kfastd(config, environment=self.environment, fd_store=keeps)
        self.socket_dir = self.kfastd.socket_dir

    def __enter__(self) -> "Lives":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.kfastd.close()
        else:
            self.kfastd.discard()

    def kill(self) -> None:
        """kill -9; returns when it is gone and its counters are kept."""
        self.kfastd.kill()
        self.died()

    def wait_killed(self, timeout: float = 120) -> None:
        """Waits until it has killed itself at a kill point."""
        status = self.kfastd.wait(timeout)
        assert status == -signal.SIGKILL, f"kfastd ended with {status}, not by its kill point"
        self.died()

    def died(self) -> None:
        self.kills += 1
        self.uncounted += 1
        self.keep_counters()

    def keep_counters(self) -> None:
        """Keeps what this life has counted; the file `stats` is there until the next start."""
        stats = kfastctl.stat(self.socket_dir)
        resubmitted: Counter = Counter()
        for metric in stats.document["metrics"]:
            if metric["name"] == "kfast_resubmitted_messages_total" and metric["value"]:
                resubmitted[metric["labels"]["reason"]] += metric["value"]
        self._resubmitted[self.number] = resubmitted
        self._violations[self.number] = stats.value("kfast_violations_total")

    @property
    def resubmitted(self) -> Counter:
        return sum(self._resubmitted.values(), Counter())

    @property
    def violations(self) -> int:
        return sum(self._violations.values())

    def start(self, kill_at: str = "") -> None:
        """The next life, which dies at `kill_at` where that is given: maybe before it is ready."""
        self.number += 1
        for load in self.loads:
            load.enter_life(self.number)
        self.environment["KFAST_KILL_AT"] = kill_at
        try:
            self.kfastd.start()
        except RuntimeError:
            if not kill_at or self.kfastd.returncode != -signal.SIGKILL:
                raise

    def drained_pids(self) -> set:
        """The processes whose channels were drained to the end, by kfastd's own log."""
        owner, drained = {}, set()
        for line in self.kfastd.log_lines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if any(f"channel {how} " in line for how in ("opened", "taken back", "adopted")):
                owner[fields["channel"]] = int(fields["pid"])
            elif "channel closed " in line:
                drained.add(owner[fields["channel"]])
        return drained

    def wait_channels(self, count: int, timeout: float = 120) -> None:
        """Waits until no more than `count` channels are left, those included that drain."""
        name = "kfast_channels"
        kfastctl.wait_stat(self.socket_dir, lambda s: s.value(name) <= count, name, timeout)

    def wait_resumed(self, count: int, timeout: float = 120) -> None:
        """Waits until this life has taken `count` channels back."""
        self.wait_count("kfast_channels_resumed_total", count, timeout)

    def wait_count(self, name: str, least: int = 1, timeout: float = 120, **labels) -> None:
        """Waits until a counter of this life is `least`, or more."""
        kfastctl.wait_stat(
            self.socket_dir, lambda s: s.value(name, **labels) >= least, name, timeout
        )

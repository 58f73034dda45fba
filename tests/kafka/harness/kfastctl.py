"""kfastctl in tests: its commands, and what `kfastctl stat` counts."""

import json
import os
import subprocess
from typing import Optional

from . import paths


def run(socket_dir, *arguments, stdin: bytes = b"", timeout: float = 60, env: Optional[dict] = None):
    """Runs kfastctl; stdout and stderr (bytes) and returncode are in the result."""
    return subprocess.run(
        [paths.built("tools/kfastctl/kfastctl"), "--socket-dir", socket_dir, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )


class Stats:
    """One round of `kfastctl stat -o json --all`."""

    def __init__(self, document: dict):
        self.document = document

    def value(self, name: str, **labels) -> int:
        """The sum over all metrics of that name with these labels; 0 when there is none."""
        return sum(
            metric["value"]
            for metric in self.document["metrics"]
            if metric["name"] == name
            and all(metric["labels"].get(key) == value for key, value in labels.items())
        )

    def outcomes(self, topic: str) -> dict:
        """delivered, failed and unknown records of a topic, without those that are 0."""
        name = "kfast_produce_messages_total"
        counts = {
            result: self.value(name, topic=topic, result=result)
            for result in ("delivered", "failed", "unknown")
        }
        return {result: count for result, count in counts.items() if count}

    def discarded(self, topic: str) -> dict:
        """Failed records of a topic by reason."""
        return {
            metric["labels"]["reason"]: metric["value"]
            for metric in self.document["metrics"]
            if metric["name"] == "kfast_discarded_messages_total"
            and metric["labels"].get("topic") == topic
            and metric["value"]
        }


def stat(socket_dir) -> Stats:
    done = run(socket_dir, "stat", "-o", "json", "--all")
    assert done.returncode == 0, done.stderr.decode()
    return Stats(json.loads(done.stdout))

"""kfastctl in tests: its commands, and what `kfastctl stat` counts."""

import json
import os
import subprocess
import time
from typing import Optional

from . import other_user, paths, readable_copy
from .process import Process


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


def run_as(uid: int, socket_dir, *arguments, timeout: float = 60):
    """The same as another user."""
    program, environment = readable_copy.kfastctl()
    argv = [program, "--socket-dir", socket_dir, *arguments]
    return subprocess.run(
        other_user.command(uid, [str(part) for part in argv], environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        check=False,
    )


class Running:
    """kfastctl in the background, its output line by line; killed at the end of a `with` block.

    `stdout` is where it prints: read by `wait_line`, or a descriptor such as a terminal's.
    """

    def __init__(self, socket_dir, *arguments, stdout=subprocess.PIPE):
        self._process = Process(
            [paths.built("tools/kfastctl/kfastctl"), "--socket-dir", socket_dir, *arguments],
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def wait_line(self, part: str) -> str:
        """Reads on to a line that contains `part`; raises when it ends without."""
        seen = []
        for line in iter(self._process.stdout.readline, b""):
            seen.append(line.decode())
            if part in seen[-1]:
                return seen[-1]
        raise AssertionError(f"no line of kfastctl contains {part!r}: {seen}")

    def wait(self, timeout: float = 60) -> int:
        return self._process.wait(timeout)


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


def wait_stat(socket_dir, reached, what: str, timeout: float = 120) -> Stats:
    """Waits until reached(stats); raises TimeoutError with `what` when it does not come."""
    deadline = time.monotonic() + timeout
    while not reached(stats := stat(socket_dir)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not as expected within {timeout} s")
    return stats

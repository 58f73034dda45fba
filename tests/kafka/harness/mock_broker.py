"""A broker that gives errors when it is told to: librdkafka's own, see tests/kafka/mock_broker.cpp."""

import subprocess

from . import paths
from .process import Process

PRODUCE = 0  # Kafka's api key


class MockBroker:
    """One broker, which kfastd takes for any other. It ends with the `with` block."""

    def __init__(self):
        self._process = Process(
            [paths.built("tests/kafka/mock_broker")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.bootstrap = self._process.stdout.readline().decode().strip()
        assert self.bootstrap, "the mock broker did not start"

    def __enter__(self) -> "MockBroker":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()

    def topic(self, name: str, partitions: int = 1) -> str:
        self._say(f"topic {name} {partitions}")
        return name

    def fail(self, error: int, count: int = 1, request: int = PRODUCE) -> None:
        """The next `count` requests of that kind are answered with the error."""
        self._say(f"fail {request} {error} {count}")

    def _say(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"ok\n", line

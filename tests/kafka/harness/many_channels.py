"""A process with many producers, all opened before it sends: `python3 -m harness.many_channels`."""

import os
import resource
import subprocess
import sys
from pathlib import Path

from .kfast import Producer
from .process import Process


def start(socket_dir, topic: str, channels: int) -> Process:
    """Returns when all channels are open and know their topic. `send` makes it send."""
    child = Process(
        [sys.executable, "-m", "harness.many_channels", socket_dir, topic, str(channels)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert child.stdout.readline() == b"open\n"
    return child


def send(child: Process, records: int) -> None:
    """Each channel n sends so many records, n.0, n.1, …; returns when these are accepted."""
    child.stdin.write(b"%d\n" % records)
    child.stdin.flush()
    assert child.stdout.readline() == b"sent\n"


def _main(socket_dir: str, topic: str, channels: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options = {"ring.bytes": "16k", "topics": "1"}
    producers = [Producer(socket_dir, options) for _ in range(channels)]
    for producer in producers:
        producer.topic(topic)
    print("open", flush=True)
    for line in sys.stdin:
        for n, producer in enumerate(producers):
            for i in range(int(line)):
                producer.send(topic, b"%d" % n, b"%d.%d" % (n, i))
        print("sent", flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

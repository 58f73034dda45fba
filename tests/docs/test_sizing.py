"""The examples of "How large a ring" in docs/operations.md, reckoned and tried with libkfast."""

import re
import signal
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "kafka"))

from harness.daemon import Kfastd, config_for  # noqa: E402
from harness.kfast import Producer  # noqa: E402
from harness.mock_broker import MockBroker  # noqa: E402

TEXT = (REPOSITORY / "docs" / "operations.md").read_text()
MIB = 1 << 20


def examples() -> list:
    rows = re.findall(r"^\| an [^|]+\|(?: [^|]+\|){9}$", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.fixture(scope="module")
def kfastd():
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap)) as daemon:
        yield daemon


def test_there_are_three_examples():
    assert len(examples()) == 3


@pytest.mark.parametrize("example", examples(), ids=lambda example: example[0])
def test_an_examples_frame_is_what_a_record_takes_of_the_ring(kfastd, example):
    key, value, frame = int(example[2]), int(example[3]), int(example[6])
    headers = re.fullmatch(r"(\d+) x \((\d+) \+ (\d+)\)", example[4])
    count, name, size = map(int, headers.groups()) if headers else (0, 0, 0)
    with Producer(kfastd.socket_dir) as producer:
        kfastd.pause()
        try:
            given = [("n" * name, b"h" * size)] * count
            producer.send_record("sizes", b"k" * key or None, b"v" * value, headers=given)
            assert producer.used_bytes() == frame
        finally:
            kfastd.signal(signal.SIGCONT)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example[0])
def test_an_examples_rings_are_the_next_power_of_two(example):
    rate, seconds, frame, to_bridge = (int(example[column]) for column in (1, 5, 6, 7))
    assert to_bridge == rate * frame * seconds
    ring = int(example[8].removesuffix("m")) * MIB
    assert ring / 2 < to_bridge <= ring
    if example[9] != "none":
        assert int(example[9].removesuffix("m")) * MIB >= rate * seconds * 32 + 2048

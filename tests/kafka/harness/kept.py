"""What is kept over the death of kfastd, and what becomes of it."""

import time


def names(kfastd) -> set:
    """What is stored once everything that kfastd has sent until now is taken."""
    kfastd.notify.settle()
    return set(kfastd.notify.stored)


def wait_empty(kfastd, timeout: float = 60) -> None:
    """Waits until nothing is stored: each channel was delivered and closed."""
    deadline = time.monotonic() + timeout
    mark = 0
    while names(kfastd):
        assert time.monotonic() < deadline, names(kfastd)
        kfastd.wait_log("channel closed", since=mark)
        mark = kfastd.mark()


def of_channel(number: int, generation: int = 1) -> set:
    return {f"kf{number}.{part}" for part in ("c2d", "bell", "pid", f"d2c.{generation}")}


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def numbers(count, first=0):
    return [b"%d" % n for n in range(first, first + count)]


def send_away(worker, kfastd, topic, count, first=0):
    """Sends records that no kfastd has seen: it is dead."""
    assert not kfastd.running
    for n in range(first, first + count):
        worker.send(topic, None, b"%d" % n)

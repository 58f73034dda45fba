"""A worker under load that may die at any instruction: the program, and the tests' handle on it."""

import json
import os
import select
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness import kfast  # noqa: E402
from harness.process import Process  # noqa: E402

import journal as j  # noqa: E402
from journal import Journal, value_of  # noqa: E402

PRODUCER_BYTES = 6
BURST = 64
BATCH = 16
# How a record is sent: by a call of its own, with others, or made in the ring.
SINGLE, BATCHED, IN_PLACE = "single", "batched", "in place"
FLUSH_EVERY = 50 * BURST


class Load:
    """A child process that sends numbered records as fast as `rate` (a second; 0: as it can), up to
    `count`, reads its reports all the while, and closes when all have come.

    `ways`: how the bursts are sent, in turn. `close_at_once`: closes without waiting for reports.
    `environment` is added to this process's. `final_life` is the last kfastd life that can have had
    its records: set it when the worker dies.
    """

    def __init__(
        self,
        number: int,
        socket_dir,
        topic: str,
        life: int,
        count: int = 200_000,
        rate: int = 0,
        options: Optional[dict] = None,
        close_at_once: bool = False,
        ways: tuple = (SINGLE, BATCHED, SINGLE, IN_PLACE),
        environment: Optional[dict] = None,
    ):
        self.name = b"w%05d" % number
        self.journal = Journal(count)
        self.journal.words[j.LIFE] = life
        self.final_life: Optional[int] = None
        self.killed = False
        self.close_at_once = close_at_once
        task = {
            "descriptor": self.journal.descriptor,
            "socket_dir": str(socket_dir),
            "topic": topic,
            "name": self.name.decode(),
            "count": count,
            "rate": rate,
            "options": options or {},
            "close_at_once": close_at_once,
            "ways": ways,
        }
        self.process = Process(
            [sys.executable, __file__, json.dumps(task)],
            env={**os.environ, **(environment or {})},
            pass_fds=[self.journal.descriptor],
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def phase(self) -> int:
        return self.journal.words[j.PHASE]

    @property
    def accepted(self) -> int:
        return self.journal.accepted

    def enter_life(self, life: int) -> None:
        """Another kfastd is about to be started."""
        if self.final_life is None:
            self.journal.words[j.LIFE] = life

    def finish(self) -> None:
        """Asks it to send no more, to wait for its reports, and to close."""
        self.journal.words[j.WISH] = j.FINISH

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self.process.kill()
        self.gone(killed=True)

    def gone(self, killed: bool) -> None:
        """It has ended, by a signal or by itself."""
        self.killed = killed
        self.final_life = self.journal.words[j.LIFE]

    def wait(self, done, what: str, timeout: float = 120) -> None:
        """Waits until done(); raises when the worker ends or time is over before it."""
        deadline = time.monotonic() + timeout
        while not done():
            self.process.wait_readable(None, 0.005)
            if done():
                return
            if not self.process.running:
                raise RuntimeError(f"{self} ended before {what}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self}: {what} did not come within {timeout} s")

    def wait_accepted(self, count: int, timeout: float = 120) -> None:
        self.wait(lambda: self.accepted >= count, f"{count} accepted records", timeout)

    def errors(self, outcome: int) -> Counter:
        """The errors in the reports with this outcome, by Kafka's names."""
        errors = self.journal.errors
        numbers = Counter(errors[number] for number in self.journal.numbers_with(outcome))
        return Counter({kfast.error_name(error): n for error, n in numbers.items()})

    def wait_outcomes(self, outcome: int, count: int, timeout: float = 120) -> None:
        """Waits until it has read so many reports with this outcome."""
        reached = f"{count} reports of outcome {outcome}"
        self.wait(lambda: self.journal.outcome_count(outcome) >= count, reached, timeout)

    def wait_sent(self, timeout: float = 120) -> None:
        """Waits until it has sent its last record."""
        self.wait(lambda: self.phase >= j.SENT, "its last record", timeout)

    def wait_polls(self, more: int = 2, timeout: float = 120) -> None:
        """Waits until it has read out its reports again."""
        words = self.journal.words
        goal = words[j.POLLS] + more
        self.wait(lambda: words[j.POLLS] >= goal, "another look at its reports", timeout)

    def __str__(self) -> str:
        status = "runs" if self.process.running else f"ended with {self.process.returncode}"
        return (
            f"{self.name.decode()} (pid {self.pid}, {status}, phase {self.phase}, "
            f"{self.accepted} accepted)"
        )


def _open(task: dict) -> kfast.Producer:
    """Opens a producer, as soon as there is a kfastd: it may be dead just now."""
    while True:
        try:
            return kfast.Producer(task["socket_dir"], task["options"])
        except kfast.KfastError as error:
            if error.code not in (kfast.NO_DAEMON, kfast.TIMED_OUT):
                raise
            select.poll().poll(20)


class _Program:
    def __init__(self, task: dict):
        self._journal = Journal(task["count"], task["descriptor"])
        self._words = self._journal.words
        self._task = task
        self._pending: dict = {}
        self._last_position = -1
        self._producer = _open(task)
        self._topic = self._producer.topic(task["topic"])
        name = task["name"].encode()
        self._keys = [name + n.to_bytes(4, "big") for n in range(8)]

    def run(self) -> None:
        words, task = self._words, self._task
        words[j.PHASE] = j.SENDING
        poll = select.poll()
        poll.register(self._producer.fd(), select.POLLIN)
        number = 0
        while number < task["count"] and words[j.WISH] == j.GO_ON:
            # What was missed is not made up for: a slow machine must not fill a ring in one go.
            due = time.monotonic() + (BURST / task["rate"] if task["rate"] else 0)
            end = min(number + BURST, task["count"])
            way = task["ways"][number // BURST % len(task["ways"])]
            while number < end:
                next_number = min(number + BATCH, end) if way == BATCHED else number + 1
                for n in range(number, next_number):
                    self._journal.sent_in[n] = words[j.LIFE]
                words[j.BEGUN] = next_number
                if way == BATCHED:
                    self._send_batch(number, next_number)
                else:
                    self._send(number, way)
                number = words[j.ACCEPTED] = next_number
            if number % FLUSH_EVERY == 0:
                self._flush()
            self._read_reports()
            while time.monotonic() < due:
                poll.poll(max(0, due - time.monotonic()) * 1000)
                self._read_reports()
        words[j.PHASE] = j.SENT
        while self._pending and not task["close_at_once"]:
            poll.poll(50)
            self._read_reports()
        self._producer.close()
        words[j.PHASE] = j.CLOSED

    def _record(self, number: int) -> dict:
        record = {"key": self._keys[number % len(self._keys)], "value": value_of(number)}
        if number % 16 == 0:
            record["headers"] = [("n", b"%d" % number)]
        return record

    def _send(self, number: int, way: str) -> None:
        record = self._record(number)
        try:
            if way == IN_PLACE:
                position = self._send_in_place(number, dict(record))
            elif "headers" in record:
                position = self._producer.send_record(self._topic, **record)
            else:
                position = self._producer.send(self._topic, **record)
        except kfast.KfastError as full:
            position = self._send_into_full_ring(full, record)
        self._sent(number, position)

    def _send_in_place(self, number: int, record: dict) -> int:
        if number % 3 == 0:
            self._producer.leave_reserved(self._topic, b"nobody shall see this")
            self._producer.cancel()
        value = record.pop("value")
        memory = self._producer.reserve(self._topic, len(value) + number * 41 % 300, **record)
        memory[:8] = value[:8]
        if number % 5 == 0:
            # Another kfastd may take the channel over meanwhile.
            self._read_reports()
        memory[8 : len(value)] = value[8:]
        return self._producer.commit(len(value))

    def _send_batch(self, number: int, end: int) -> None:
        records, timeout_ms = [self._record(n) for n in range(number, end)], 0
        while number < end:
            try:
                answers = self._producer.send_batch(self._topic, records, timeout_ms)
            except kfast.KfastError as error:
                if error.code not in (kfast.QUEUE_FULL, kfast.TIMED_OUT):
                    raise
                answers = []
            positions = [answer for answer in answers if answer >= 0]
            for position in positions:
                self._sent(number, position)
                number += 1
            self._words[j.ACCEPTED] = number
            if number < end:
                # Unread reports, too, make a ring full.
                self._read_reports()
                records, timeout_ms = records[len(positions) :], 100

    def _sent(self, number: int, position: int) -> None:
        self._pending[position] = number
        self._last_position = position

    def _send_into_full_ring(self, error, record: dict) -> int:
        while error.code in (kfast.QUEUE_FULL, kfast.TIMED_OUT):
            # Unread reports, too, make a ring full.
            self._read_reports()
            try:
                return self._producer.send_record(self._topic, timeout_ms=100, **record)
            except kfast.KfastError as again:
                error = again
        raise error

    def _flush(self) -> None:
        try:
            self._producer.flush(20)
        except kfast.KfastError as late:
            if late.code != kfast.TIMED_OUT:
                raise
            return
        self._read_reports()
        self._words[j.FLUSHED_UNTOLD] += len(self._pending)

    def _read_reports(self) -> None:
        words, journal = self._words, self._journal
        while True:
            reports = self._producer.reports()
            life = words[j.LIFE]
            for report in reports:
                number = self._pending.pop(report.position, None)
                if number is not None:
                    journal.reported_in[number] = life
                    journal.errors[number] = report.error
                    journal.outcomes[number] = report.outcome
                elif report.position <= self._last_position:
                    words[j.REPORTED_TWICE] += 1
                else:
                    words[j.REPORTED_UNSENT] += 1
            if not reports:
                words[j.POLLS] += 1
                return


if __name__ == "__main__":
    _Program(json.loads(sys.argv[1])).run()

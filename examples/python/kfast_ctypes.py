#!/usr/bin/env python3
"""kfast from Python, by ctypes and nothing else: a wrapper to copy, and a program.

    producer = kfast_ctypes.Producer()
    print(producer.send_wait("lines", b"key", b"value"))

In asyncio, `await producer.deliver(…)` waits for the report without blocking the loop. As a program
it sends the lines of stdin, and prints reports as they come:

    KFAST_LIBRARY=build/release/client/libkfast.so.0 python3 kfast_ctypes.py TOPIC
"""

import asyncio
import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p

DELIVERED, FAILED, UNKNOWN = 1, 2, 3
QUEUE_FULL = -2


class Report(ctypes.Structure):
    """kfast_report_t"""

    _fields_ = [
        ("position", c_int64),
        ("offset", c_int64),
        ("topic", c_int32),
        ("partition", c_int32),
        ("outcome", c_int32),
        ("error", c_int32),
    ]

    def __str__(self) -> str:
        if self.outcome == DELIVERED:
            return f"delivered: partition {self.partition} offset {self.offset}"
        outcome = "failed" if self.outcome == FAILED else "unknown"
        return f"{outcome}: {_library().kfast_kafka_error(self.error).decode()}"


class KfastError(Exception):
    """An answer of libkfast below 0, `code`, and its sentence."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


_FUNCTIONS = {
    "kfast_kafka_error": (c_char_p, [c_int]),
    "kfast_options_new": (c_void_p, []),
    "kfast_options_free": (None, [c_void_p]),
    "kfast_options_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "kfast_producer_open": (c_int, [c_void_p, POINTER(c_void_p), c_char_p, c_size_t]),
    "kfast_producer_close": (None, [c_void_p]),
    "kfast_topic": (c_int32, [c_void_p, c_char_p]),
    "kfast_send": (c_int64, [c_void_p, c_int32, c_char_p, c_size_t, c_char_p, c_size_t]),
    "kfast_reports": (c_int, [c_void_p, POINTER(Report), c_size_t]),
    "kfast_wait": (c_int, [c_void_p, c_int64, c_int, POINTER(Report)]),
    "kfast_fd": (c_int, [c_void_p]),
    "kfast_last_error": (c_char_p, [c_void_p]),
}
_loaded = None


def _library() -> ctypes.CDLL:
    global _loaded  # pylint: disable=global-statement
    if _loaded is None:
        name = os.environ.get("KFAST_LIBRARY", "libkfast.so.0")
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            raise ImportError(
                f"libkfast is not found ({error}): install it, and run ldconfig, or let "
                "KFAST_LIBRARY name the file, as build/release/client/libkfast.so.0"
            ) from None
        for function, (result, arguments) in _FUNCTIONS.items():
            entry = getattr(library, function)
            entry.restype, entry.argtypes = result, arguments
        _loaded = library
    return _loaded


class Producer:
    """A producer. Topics are names, keys and values bytes, or None for null; options are kfast.h's,
    as Producer({"profile": "orders"}). What libkfast refuses raises KfastError.
    """

    def __init__(self, options: dict = {}):  # pylint: disable=dangerous-default-value
        self._library, self._handle = _library(), c_void_p()
        self._topics: dict[str, int] = {}
        self._waiting: dict[int, asyncio.Future] = {}  # by position, in the order of sending
        why, size = ctypes.create_string_buffer(512), 512
        settings = self._library.kfast_options_new()
        try:
            for name, value in options.items():
                code = self._library.kfast_options_set(
                    settings, name.encode(), str(value).encode(), why, size
                )
                if code < 0:
                    raise KfastError(code, why.value.decode())
            code = self._library.kfast_producer_open(settings, byref(self._handle), why, size)
            if code < 0:
                raise KfastError(code, why.value.decode())
        finally:
            self._library.kfast_options_free(settings)

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Does not wait: what was sent is still delivered."""
        self._library.kfast_producer_close(self._handle)
        self._handle = None

    def _checked(self, answer: int) -> int:
        if answer < 0:
            raise KfastError(answer, self._library.kfast_last_error(self._handle).decode())
        return answer

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> int:
        """Sends a record, never waits, and returns its position, which its report names."""
        if topic not in self._topics:
            number = self._library.kfast_topic(self._handle, topic.encode())
            self._topics[topic] = self._checked(number)
        sizes = [0 if data is None else len(data) for data in (key, value)]
        return self._checked(
            self._library.kfast_send(
                self._handle, self._topics[topic], key, sizes[0], value, sizes[1]
            )
        )

    def wait(self, position: int, timeout_ms: int = -1) -> Report:
        """Waits for one record's report."""
        report = Report()
        self._checked(self._library.kfast_wait(self._handle, position, timeout_ms, byref(report)))
        return report

    def send_wait(self, topic: str, key, value, timeout_ms: int = -1) -> Report:
        """Sends a record and waits for its report."""
        return self.wait(self.send(topic, key, value), timeout_ms)

    def reports(self, most: int = 256) -> list:
        """The reports that are there now. None: fileno() becomes readable when there are."""
        array = (Report * most)()
        return array[: self._checked(self._library.kfast_reports(self._handle, array, most))]

    def fileno(self) -> int:
        """For select, poll and event loops: readable when reports() should be called."""
        return self._library.kfast_fd(self._handle)

    # asyncio

    async def submit(self, topic: str, key, value) -> asyncio.Future:
        """Sends a record, waiting for room if need be, and returns the future of its report. Use
        either this or reports() on a producer.
        """
        while True:
            try:
                position = self.send(topic, key, value)
                break
            except KfastError as error:
                if error.code != QUEUE_FULL or not self._waiting:
                    raise
            # Cancelling this wait must not cancel the record's own future.
            await asyncio.wait([next(iter(self._waiting.values()))])
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.add_reader(self.fileno(), self._settle)
        future = self._waiting[position] = loop.create_future()
        return future

    async def deliver(self, topic: str, key, value) -> Report:
        """Sends a record and waits for its report."""
        return await (await self.submit(topic, key, value))

    def _settle(self) -> None:
        while reports := self.reports():
            for report in reports:
                future = self._waiting.pop(report.position, None)
                if future is not None and not future.done():
                    future.set_result(report)
        if not self._waiting:
            asyncio.get_running_loop().remove_reader(self.fileno())


async def _send_lines(topic: str) -> None:
    loop = asyncio.get_running_loop()
    with Producer() as producer:
        futures = []
        # In another thread, because not every stdin can be watched by an event loop.
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            future = await producer.submit(topic, None, line.rstrip(b"\n"))
            future.add_done_callback(lambda done: print(done.result(), flush=True))
            futures.append(future)
        await asyncio.gather(*futures)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: kfast_ctypes.py TOPIC <LINES")
    try:
        asyncio.run(_send_lines(sys.argv[1]))
    except (ImportError, KfastError) as failure:
        sys.exit(str(failure))

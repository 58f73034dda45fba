"""libkfast for tests, in Python: the functions of kfast.h behind one class."""

import ctypes
import functools
import select
import time
from ctypes import (
    POINTER,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from typing import NamedTuple, Optional, Union

from . import paths
from .witness import sequence_value

INVALID, QUEUE_FULL, TOO_LARGE, TIMED_OUT, FORKED, NO_DAEMON, PERMISSION, UNKNOWN_PROFILE = range(
    -1, -9, -1
)
UNKNOWN_OPTION, TOPIC_NAME, TOPIC_NOT_ALLOWED, TOO_MANY_TOPICS, TOO_MANY_HEADERS, LIMIT = range(
    -9, -15, -1
)
VERSION, PROTOCOL, NO_MEMORY, CLOSED = range(-15, -19, -1)

DELIVERED, FAILED, UNKNOWN = 1, 2, 3
ANY_PARTITION = -1
NOW = -1


class KfastError(Exception):
    """A negative answer of libkfast: `code`, and its sentence as the text."""

    def __init__(self, code: int, message: str):
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message

    def __reduce__(self):
        return KfastError, (self.code, self.message)


class Report(NamedTuple):
    position: int
    offset: int
    topic: int
    partition: int
    outcome: int
    error: int

    @property
    def error_name(self) -> str:
        """Kafka's name of the error, as "MSG_SIZE_TOO_LARGE"."""
        return error_name(self.error)


class _Header(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("name_size", c_size_t),
        ("value", c_char_p),
        ("value_size", c_size_t),
    ]


class _Record(ctypes.Structure):
    _fields_ = [
        ("key", c_char_p),
        ("key_size", c_size_t),
        ("value", c_char_p),
        ("value_size", c_size_t),
        ("headers", POINTER(_Header)),
        ("header_count", c_size_t),
        ("timestamp_ms", c_int64),
        ("opaque", c_void_p),
        ("position", c_int64),
        ("topic", c_int32),
        ("partition", c_int32),
    ]


class _Report(ctypes.Structure):
    _fields_ = [
        ("position", c_int64),
        ("offset", c_int64),
        ("topic", c_int32),
        ("partition", c_int32),
        ("outcome", c_int32),
        ("error", c_int32),
    ]


_FUNCTIONS = {
    "kfast_strerror": (c_char_p, [c_int]),
    "kfast_kafka_error": (c_char_p, [c_int]),
    "kfast_version": (c_char_p, []),
    "kfast_options_new": (c_void_p, []),
    "kfast_options_free": (None, [c_void_p]),
    "kfast_options_set": (c_int, [c_void_p, c_char_p, c_char_p, POINTER(c_char), c_size_t]),
    "kfast_producer_open": (c_int, [c_void_p, POINTER(c_void_p), POINTER(c_char), c_size_t]),
    "kfast_producer_begin": (c_int, [c_void_p, POINTER(c_void_p), POINTER(c_char), c_size_t]),
    "kfast_producer_ready": (c_int, [c_void_p, c_int]),
    "kfast_producer_close": (None, [c_void_p]),
    "kfast_topic": (c_int32, [c_void_p, c_char_p]),
    "kfast_topic_name": (c_char_p, [c_void_p, c_int32]),
    "kfast_send": (c_int64, [c_void_p, c_int32, c_char_p, c_size_t, c_char_p, c_size_t]),
    "kfast_send_record": (
        c_int64,
        [
            c_void_p,
            c_int32,
            c_int32,
            c_int64,
            c_char_p,
            c_size_t,
            c_char_p,
            c_size_t,
            POINTER(_Header),
            c_size_t,
            c_int,
        ],
    ),
    "kfast_send_batch": (c_int, [c_void_p, POINTER(_Record), c_size_t, c_int]),
    "kfast_reserve": (c_int, [c_void_p, POINTER(_Record), POINTER(c_void_p)]),
    "kfast_commit": (c_int64, [c_void_p, c_size_t]),
    "kfast_cancel": (c_int, [c_void_p]),
    "kfast_send_one": (c_int64, [c_void_p, POINTER(_Record), c_int]),
    "kfast_send_wait": (c_int, [c_void_p, POINTER(_Record), c_int, POINTER(_Report)]),
    "kfast_wait": (c_int, [c_void_p, c_int64, c_int, POINTER(_Report)]),
    "kfast_reports_opaque": (c_int, [c_void_p, POINTER(_Report), POINTER(c_void_p), c_size_t]),
    "kfast_report_text": (c_int, [c_void_p, POINTER(_Report), POINTER(c_char), c_size_t]),
    "kfast_reports": (c_int, [c_void_p, POINTER(_Report), c_size_t]),
    "kfast_flush": (c_int, [c_void_p, c_int]),
    "kfast_flush_to": (c_int, [c_void_p, c_int64, c_int]),
    "kfast_purge": (c_int, [c_void_p]),
    "kfast_used_bytes": (c_uint64, [c_void_p]),
    "kfast_ring_bytes": (c_uint64, [c_void_p]),
    "kfast_fd": (c_int, [c_void_p]),
    "kfast_bell": (c_int, [c_void_p, c_void_p, POINTER(c_char), c_size_t]),
    "kfast_last_error": (c_char_p, [c_void_p]),
}


def library_path():
    return paths.built("client/libkfast.so.0")


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library_path()), use_errno=True)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def strerror(code: int) -> str:
    return library().kfast_strerror(code).decode()


def error_name(error: int) -> str:
    return library().kfast_kafka_error(error).decode()


def _report(r: _Report) -> Report:
    return Report(r.position, r.offset, r.topic, r.partition, r.outcome, r.error)


def _size(data: Optional[bytes]) -> int:
    return 0 if data is None else len(data)


def _headers(headers):
    """(name, value) pairs, with a str or bytes name and a bytes value or None, as C has them."""
    array = (_Header * len(headers))()
    for entry, (name, data) in zip(array, headers):
        name = name.encode() if isinstance(name, str) else name
        entry.name, entry.name_size, entry.value, entry.value_size = (
            name,
            len(name),
            data,
            _size(data),
        )
    return array


def _fill(
    record: _Record,
    topic: int,
    key: Optional[bytes] = None,
    value: Optional[bytes] = None,
    headers=(),
    partition: int = ANY_PARTITION,
    timestamp: int = NOW,
) -> None:
    record.topic, record.partition, record.timestamp_ms = topic, partition, timestamp
    record.key, record.key_size = key, _size(key)
    record.value, record.value_size = value, _size(value)
    if headers:
        record.headers, record.header_count = _headers(headers), len(headers)


class Producer:
    """A kfast producer in this process. A negative answer raises KfastError.

    Options by kfast.h's names, `Producer(run, options={"reports": "none", "ring.bytes": "64k"})`.
    Keys and values are bytes, or None for null. Topics are names (or numbers from `topic`). One
    thread at a time, as in C.
    """

    def __init__(self, socket_dir=None, options: Optional[dict] = None, **more):
        """`more` are options whose names have no dot: profile="x", topics=5."""
        self._lib = library()
        self._topics: dict[str, int] = {}
        self._handle = c_void_p()
        why = ctypes.create_string_buffer(1024)
        settings = {**(options or {}), **more}
        if socket_dir is not None:
            settings["socket.dir"] = socket_dir
        handle = self._lib.kfast_options_new()
        try:
            for name, value in settings.items():
                code = self._lib.kfast_options_set(
                    handle, name.encode(), str(value).encode(), why, len(why)
                )
                if code < 0:
                    raise KfastError(code, why.value.decode())
            code = self._lib.kfast_producer_open(handle, byref(self._handle), why, len(why))
            if code < 0:
                raise KfastError(code, why.value.decode())
        finally:
            self._lib.kfast_options_free(handle)

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._lib.kfast_producer_close(handle)

    def _checked(self, answer: int) -> int:
        if answer < 0:
            raise KfastError(answer, self.last_error() or strerror(answer))
        return answer

    def last_error(self) -> str:
        return self._lib.kfast_last_error(self._handle).decode()

    def topic(self, name: str) -> int:
        number = self._topics.get(name)
        if number is None:
            number = self._topics[name] = self._checked(
                self._lib.kfast_topic(self._handle, name.encode())
            )
        return number

    def topic_name(self, number: int) -> Optional[str]:
        name = self._lib.kfast_topic_name(self._handle, number)
        return None if name is None else name.decode()

    def _number(self, topic: Union[str, int]) -> int:
        return topic if isinstance(topic, int) else self.topic(topic)

    def send(self, topic: Union[str, int], key: Optional[bytes], value: Optional[bytes]) -> int:
        """kfast_send; the record's position."""
        return self._checked(
            self._lib.kfast_send(
                self._handle, self._number(topic), key, _size(key), value, _size(value)
            )
        )

    def send_record(
        self,
        topic: Union[str, int],
        key: Optional[bytes] = None,
        value: Optional[bytes] = None,
        headers=(),
        partition: int = ANY_PARTITION,
        timestamp: int = NOW,
        timeout_ms: int = 0,
    ) -> int:
        """kfast_send_record; headers are (name, value) with a str or bytes name and a bytes value
        or None.
        """
        array = _headers(headers)
        return self._checked(
            self._lib.kfast_send_record(
                self._handle,
                self._number(topic),
                partition,
                timestamp,
                key,
                _size(key),
                value,
                _size(value),
                array if headers else None,
                len(headers),
                timeout_ms,
            )
        )

    def send_batch(self, topic: Union[str, int], records: list, timeout_ms: int = 0) -> list:
        """kfast_send_batch. A record is a dict of what `send_record` takes, and may have a topic of
        its own. The positions of the accepted ones; behind them, where one was refused, its code.
        """
        array = (_Record * len(records))()
        for entry, given in zip(array, records):
            _fill(entry, **{**given, "topic": self._number(given.get("topic", topic))})
        count = self._checked(
            self._lib.kfast_send_batch(self._handle, array, len(records), timeout_ms)
        )
        return [record.position for record in array[: count + 1]]

    def reserve(self, topic: Union[str, int], size: int, **given) -> memoryview:
        """kfast_reserve, with what `send_record` takes; the memory for the value."""
        record, value = _Record(), c_void_p()
        _fill(record, self._number(topic), **given)
        record.value_size = size
        self._checked(self._lib.kfast_reserve(self._handle, byref(record), byref(value)))
        return memoryview((c_char * size).from_address(value.value)).cast("B")

    def commit(self, size: int) -> int:
        return self._checked(self._lib.kfast_commit(self._handle, size))

    def cancel(self) -> None:
        self._checked(self._lib.kfast_cancel(self._handle))

    def send_in_place(self, topic: Union[str, int], value: bytes, spare: int = 0, **given) -> int:
        """A record whose value is made in the ring, where `spare` bytes more are reserved first."""
        memory = self.reserve(topic, len(value) + spare, **given)
        memory[: len(value)] = value
        return self.commit(len(value))

    def leave_reserved(self, topic: Union[str, int], value: bytes) -> None:
        """A reservation that is filled, and stays open."""
        self.reserve(topic, len(value))[:] = value

    def reports(self, maximum: int = 4096) -> list:
        """kfast_reports: those that are there now."""
        array = (_Report * maximum)()
        count = self._checked(self._lib.kfast_reports(self._handle, array, maximum))
        return [_report(r) for r in array[:count]]

    def reports_opaque(self, maximum: int = 4096) -> list:
        """kfast_reports_opaque: pairs of report and opaque, None for none."""
        array, opaques = (_Report * maximum)(), (c_void_p * maximum)()
        count = self._checked(
            self._lib.kfast_reports_opaque(self._handle, array, opaques, maximum)
        )
        return [(_report(r), opaque) for r, opaque in zip(array[:count], opaques)]

    def _record(
        self,
        topic: Union[str, int],
        key: Optional[bytes] = None,
        value: Optional[bytes] = None,
        partition: int = ANY_PARTITION,
        opaque: Optional[int] = None,
    ) -> _Record:
        return _Record(
            key=key,
            key_size=_size(key),
            value=value,
            value_size=_size(value),
            timestamp_ms=NOW,
            opaque=opaque,
            position=-1,
            topic=self._number(topic),
            partition=partition,
        )

    def send_one(self, *record, timeout_ms: int = 0, **more) -> int:
        """kfast_send_one: topic, key, value, and by name partition and opaque (a number)."""
        made = self._record(*record, **more)
        return self._checked(self._lib.kfast_send_one(self._handle, byref(made), timeout_ms))

    def send_wait(self, *record, timeout_ms: int = 60000, **more) -> Report:
        """kfast_send_wait, as send_one; a KfastError has `position`, -1 for not accepted."""
        made, report = self._record(*record, **more), _Report()
        code = self._lib.kfast_send_wait(self._handle, byref(made), timeout_ms, byref(report))
        try:
            self._checked(code)
        except KfastError as error:
            error.position = report.position
            raise
        return _report(report)

    def wait(self, position: int, timeout_ms: int = 60000) -> Report:
        """kfast_wait."""
        report = _Report()
        self._checked(self._lib.kfast_wait(self._handle, position, timeout_ms, byref(report)))
        return _report(report)

    def report_text(self, report: Report) -> str:
        text = ctypes.create_string_buffer(512)
        given = byref(_Report(*report))
        self._checked(self._lib.kfast_report_text(self._handle, given, text, len(text)))
        return text.value.decode()

    def wait_reports(self, count: int, timeout: float = 60) -> list:
        """Waits on the descriptor until at least `count` reports have come; raises TimeoutError."""
        got, deadline = [], time.monotonic() + timeout
        poll = select.poll()
        poll.register(self.fd(), select.POLLIN)
        while True:
            # Until there is none left: the descriptor need not be readable for what was there
            # before.
            more = self.reports()
            got += more
            if len(got) >= count:
                return got
            if not more and not poll.poll(max(0, (deadline - time.monotonic()) * 1000)):
                raise TimeoutError(
                    f"{len(got)} of {count} reports in {timeout} s; last error: {self.last_error()}"
                )
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(got)} of {count} reports in {timeout} s; last error: {self.last_error()}"
                )

    def flush(self, timeout_ms: int = 60000) -> None:
        self._checked(self._lib.kfast_flush(self._handle, timeout_ms))

    def purge(self) -> None:
        self._checked(self._lib.kfast_purge(self._handle))

    def used_bytes(self) -> int:
        return self._lib.kfast_used_bytes(self._handle)

    def ring_bytes(self) -> int:
        return self._lib.kfast_ring_bytes(self._handle)

    def fd(self) -> int:
        return self._checked(self._lib.kfast_fd(self._handle))

    def send_numbered(
        self,
        topic: str,
        producer: bytes,
        count: int,
        first: int = 0,
        size: int = 100,
        keys: int = 1,
        timeout: float = 120,
        accepted=lambda total: None,
    ) -> list:
        """Sends records for WitnessClient.digest, waits for room when the ring is full; the reports
        read meanwhile.

        Values are `numbered_values`. With `keys` 1 the key is `producer`; else `producer` and a
        number below `keys` as four bytes, so that the records spread over partitions. `accepted(n)`
        is called after each record.
        """
        number, reports, filler = self.topic(topic), [], b"." * (size - 8)
        all_keys = (
            [producer] if keys == 1 else [producer + n.to_bytes(4, "big") for n in range(keys)]
        )
        send, handle, deadline = self._lib.kfast_send, self._handle, time.monotonic() + timeout
        for n in range(first, first + count):
            key, value = all_keys[n % keys], sequence_value(n, filler)
            position = send(handle, number, key, len(key), value, len(value))
            while position in (QUEUE_FULL, TIMED_OUT):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no room for record {n} of {count} within {timeout} s")
                # Unread reports, too, make a ring full.
                reports += self.reports()
                position = self._lib.kfast_send_record(
                    handle,
                    number,
                    ANY_PARTITION,
                    NOW,
                    key,
                    len(key),
                    value,
                    len(value),
                    None,
                    0,
                    100,
                )
            self._checked(position)
            accepted(n + 1)
        return reports


def numbered_values(count: int, first: int = 0, size: int = 100):
    """The values that `send_numbered` sends, for `witness.crc_sum`."""
    return (sequence_value(n, b"." * (size - 8)) for n in range(first, first + count))

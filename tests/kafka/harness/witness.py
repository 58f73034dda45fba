"""The independent reader: Apache Kafka's own Java client in one long-lived JVM (Witness.java)."""

import base64
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import zlib
from pathlib import Path
from typing import NamedTuple, Optional

from . import paths
from .process import (
    Process,
    forget_log,
    remove_directory,
    show_on_failure,
    tail,
    temporary_directory,
)

_SOURCES = sorted(Path(__file__).parent.glob("*.java"))


class Record(NamedTuple):
    """A record as it is in Kafka. `None` and `b""` are different keys, values and header values."""

    partition: int
    offset: int
    timestamp: int  # milliseconds since 1970
    timestamp_type: str  # "CreateTime" or "LogAppendTime"
    key: Optional[bytes]
    value: Optional[bytes]
    headers: list  # of (name, value), in order
    topic: Optional[str] = None  # only by read_topics


class Placed(NamedTuple):
    partition: int
    offset: int
    timestamp: int


@dataclasses.dataclass(frozen=True)
class Sequence:
    """What one producer's numbered records amount to (see WitnessClient.digest)."""

    records: int
    distinct: int
    duplicates: int
    out_of_order: int  # first occurrences that follow a higher number in the same partition
    missing: int  # below `expected`, or below the highest number seen when that is not given
    unexpected: int  # at or above `expected`: nobody sent these
    crc_sum: int  # sum of the CRC-32 of the values of all first occurrences
    last: int  # highest number seen, -1 for none
    first_missing: list
    first_duplicates: list  # once for each further copy
    first_out_of_order: list
    first_unexpected: list


class Digest(NamedTuple):
    count: int  # all records read
    malformed: int  # values shorter than a sequence number
    producers: dict  # producer id -> Sequence


class WitnessError(Exception):
    """The Java client refused; `kind` is its exception's class name, as "TopicExistsException"."""

    def __init__(self, kind: str, message: str):
        super().__init__(f"{kind}: {message}")
        self.kind = kind


def sequence_value(number: int, filler: bytes = b"") -> bytes:
    """A value for `digest`: the number as little-endian u64, then the filler."""
    return struct.pack("<Q", number) + filler


def crc_sum(values) -> int:
    """What Sequence.crc_sum is when every one of `values` has arrived unchanged."""
    return sum(zlib.crc32(value) for value in values)


def _encode(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else base64.b64encode(data).decode()


def _decode(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else base64.b64decode(text)


def _record(entry: list) -> Record:
    partition, offset, timestamp, kind, key, value, headers, *topic = entry
    return Record(
        partition,
        offset,
        timestamp,
        kind,
        _decode(key),
        _decode(value),
        [(name, _decode(data)) for name, data in headers],
        *topic,
    )


def _classes(libs: Path) -> Path:
    """The directory with the compiled witness; compiles once per source and Kafka version."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.read_bytes())
    digest.update(next(libs.glob("kafka-clients-*.jar")).name.encode())
    target = paths.cache() / f"witness-{digest.hexdigest()[:16]}"
    if target.is_dir():
        return target
    paths.cache().mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".witness-", dir=paths.cache()))
    try:
        subprocess.run(
            ["javac", "--release", "17", "-cp", f"{libs}/*", "-d", fresh, *_SOURCES],
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        fresh.chmod(0o755)
        fresh.rename(target)
    except OSError:
        # Another test run was first.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


class Witness:
    """The JVM. One serves the whole test run and any number of clusters; use it through
    `at(bootstrap)`.

    Requests may come from any thread and run at the same time.
    """

    def __init__(self):
        libs = paths.kafka_libs()
        self.directory = temporary_directory("witness")
        self.log = self.directory / "witness.log"
        with open(self.log, "wb") as log:
            self._process = Process(
                [
                    "java",
                    "-Xmx768m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-Xshare:auto",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                    "-cp",
                    f"{_classes(libs)}:{libs}/*",
                    "Witness",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        show_on_failure("witness", self.log)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, concurrent.futures.Future] = {}
        self._records: dict[int, list] = {}
        self._reader = threading.Thread(
            target=self._read_replies, name="witness replies", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def at(self, bootstrap: str, properties: Optional[dict] = None) -> "WitnessClient":
        """The witness bound to one cluster; `properties` are Java client properties (security and
        so on).
        """
        return WitnessClient(self, bootstrap, properties or {})

    def start(self, command: str, **arguments) -> concurrent.futures.Future:
        """Sends a request; the future holds (result, records) or raises WitnessError."""
        future: concurrent.futures.Future = concurrent.futures.Future()
        with self._lock:
            identity = next(self._ids)
            self._pending[identity] = future
            self._records[identity] = []
            line = json.dumps({"id": identity, "command": command, **arguments})
            try:
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            except OSError:
                del self._pending[identity], self._records[identity]
                raise RuntimeError(f"the witness has ended:\n{tail(self.log)}") from None
        return future

    def call(self, command: str, timeout: float = 30, **arguments) -> dict:
        """Sends a request and waits for its result."""
        # The witness keeps the deadline; the margin is for a JVM that has stopped answering.
        return self.start(command, timeout_ms=int(timeout * 1000), **arguments).result(
            timeout + 60
        )[0]

    def _read_replies(self) -> None:
        for line in self._process.stdout:
            reply = json.loads(line)
            identity = reply["id"]
            if "records" in reply:
                self._records[identity].extend(map(_record, reply["records"]))
                continue
            with self._lock:
                future, records = self._pending.pop(identity), self._records.pop(identity)
            if "error" in reply:
                future.set_exception(WitnessError(reply["kind"], reply["error"]))
            else:
                future.set_result((reply["result"], records))
        with self._lock:
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.set_exception(RuntimeError(f"the witness has ended:\n{tail(self.log)}"))

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        self._process.stdout.close()
        forget_log("witness")
        remove_directory(self.directory)


class WitnessClient:
    """Kafka's Java client on one cluster. Timeouts are in seconds; failures raise WitnessError."""

    def __init__(self, witness: Witness, bootstrap: str, properties: dict):
        self._witness = witness
        self._where = {
            "bootstrap": bootstrap,
            "properties": {k: str(v) for k, v in properties.items()},
        }
        self._names = itertools.count(1)

    def _call(self, command: str, timeout: float, **arguments) -> dict:
        return self._witness.call(command, timeout, **self._where, **arguments)

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication: Optional[int] = None,
        configs: Optional[dict] = None,
        timeout: float = 30,
    ) -> None:
        """Returns when every partition has its leader and all replicas in sync."""
        self._call(
            "create_topic",
            timeout,
            topic=name,
            partitions=partitions,
            replication=replication,
            configs={k: str(v) for k, v in (configs or {}).items()},
        )

    def create_topics(self, names: list, partitions: int = 1, timeout: float = 60) -> None:
        """Many at once; returns when every partition has its leader."""
        self._call("create_topics", timeout, topics=names, partitions=partitions)

    def delete_topic(self, name: str, timeout: float = 30) -> None:
        self._call("delete_topic", timeout, topic=name)

    def configure_topic(self, name: str, configs: dict, timeout: float = 30) -> None:
        """Sets topic properties, as {"max.message.bytes": 1000}."""
        self._call(
            "configure_topic", timeout, topic=name, configs={k: str(v) for k, v in configs.items()}
        )

    def set_password(self, user: str, password: str, timeout: float = 30) -> None:
        """Gives a user a SCRAM-SHA-256 password, in the place of the one it has."""
        self._call("set_password", timeout, user=user, password=password)

    def allow(self, user: str, operations: list, topic: str, timeout: float = 30) -> None:
        """Allows a user operations on a topic, as ["WRITE", "DESCRIBE"]."""
        self._call("allow", timeout, user=user, operations=operations, topic=topic)

    def move_leaders(self, topic: str, timeout: float = 60) -> list:
        """Gives each partition's lead to the next of its replicas; returns what describe_topic does
        when all have it.
        """
        return self._call("move_leaders", timeout, topic=topic)["partitions"]

    def describe_topic(self, name: str, timeout: float = 30) -> list:
        """One dict per partition: partition, leader (or None), replicas, isr."""
        return self._call("describe_topic", timeout, topic=name)["partitions"]

    def describe_cluster(self, timeout: float = 30) -> dict:
        """id, controller (or None), nodes: the live brokers' ids."""
        return self._call("describe_cluster", timeout)

    def offsets(self, topic: str, timeout: float = 30) -> list:
        """(first offset, end offset) of each partition."""
        return [tuple(pair) for pair in self._call("offsets", timeout, topic=topic)["partitions"]]

    def count(self, topic: str, timeout: float = 30) -> int:
        """How many offsets all partitions hold; reads no record."""
        return sum(end - first for first, end in self.offsets(topic, timeout))

    def read(
        self,
        topic: str,
        count: Optional[int] = None,
        isolation: str = "read_uncommitted",
        timeout: float = 30,
    ) -> list:
        """Records of all partitions from the beginning: up to the end offsets of now, or until at
        least `count`.

        Within a partition they are in order. Raises (kind "TimeoutException") when the time is over
        first.
        """
        return self.start_read(topic, count, isolation, timeout).result(timeout + 60)[1]

    def read_topics(self, topics: list, count: Optional[int] = None, timeout: float = 60) -> dict:
        """`read` of all these topics together: topic -> its records."""
        found: dict = {topic: [] for topic in topics}
        done = self._witness.start(
            "read", timeout_ms=int(timeout * 1000), topics=topics, count=count, **self._where
        )
        for record in done.result(timeout + 60)[1]:
            found[record.topic].append(record)
        return found

    def start_read(
        self,
        topic: str,
        count: Optional[int] = None,
        isolation: str = "read_uncommitted",
        timeout: float = 30,
    ) -> concurrent.futures.Future:
        """`read` in the background; the future's result is (_, records)."""
        return self._witness.start(
            "read",
            timeout_ms=int(timeout * 1000),
            topic=topic,
            count=count,
            isolation=isolation,
            **self._where,
        )

    def digest(
        self,
        topic: str,
        count: Optional[int] = None,
        expected: Optional[int] = None,
        producer_bytes: Optional[int] = None,
        listed: Optional[int] = None,
        isolation: str = "read_uncommitted",
        directories: list = (),
        timeout: float = 120,
    ) -> Digest:
        """Reads like `read`, but only tallies numbered records: fit for millions.

        A record's producer is its key (or the key's first `producer_bytes` bytes); its value starts
        with a little-endian u64 that counts from 0 (`sequence_value`), below `expected` for every
        producer when given. The lists of a Sequence have at most `listed` entries (20). The
        partitions' directories in `directories` (of a topic that was deleted) are read first.
        """
        arguments = {"expected": expected, "producer_bytes": producer_bytes, "listed": listed}
        result = self._call(
            "digest",
            timeout,
            topic=topic,
            count=count,
            isolation=isolation,
            directories=[str(directory) for directory in directories],
            **{k: v for k, v in arguments.items() if v is not None},
        )
        producers = {_decode(key): Sequence(**tally) for key, tally in result["producers"]}
        return Digest(result["count"], result["malformed"], producers)

    def produce(
        self, topic: str, records: list, properties: Optional[dict] = None, timeout: float = 30
    ) -> list:
        """Produces with the Java client; one Placed per record, in the order given.

        A record is a dict of key, value, headers (list of (name, value)), partition, timestamp; all
        optional.
        """
        entries = [
            {
                "key": _encode(record.get("key")),
                "value": _encode(record.get("value")),
                "headers": [[name, _encode(data)] for name, data in record.get("headers", [])],
                "partition": record.get("partition"),
                "timestamp": record.get("timestamp"),
            }
            for record in records
        ]
        where = {**self._where, "properties": {**self._where["properties"], **(properties or {})}}
        result = self._witness.call("produce", timeout, topic=topic, records=entries, **where)
        return [Placed(*entry) for entry in result["placed"]]

    def partitions_for(self, keys: list, partitions: int, timeout: float = 60) -> dict:
        """key -> the partition that the Java client's default partitioner chooses among
        `partitions`.

        It really produces to a topic of its own and reads back where the keys are. No key may be
        None.
        """
        assert None not in keys, "a record without a key has no partition of its own"
        topic = f"partitions-for-{os.getpid()}-{next(self._names)}"
        self.create_topic(topic, partitions, timeout=timeout)
        try:
            self.produce(topic, [{"key": key} for key in keys], timeout=timeout)
            found = {record.key: record.partition for record in self.read(topic, timeout=timeout)}
        finally:
            self.delete_topic(topic, timeout)
        assert found.keys() == set(keys)
        return found

    def forget(self) -> None:
        """Closes the connections to this cluster."""
        self._call("forget", 30)

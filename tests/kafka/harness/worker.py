"""A worker in a process of its own: one that can be killed, stopped, run as another user, or use a
sanitizer build.
"""

import functools
import mmap
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Optional

from . import kfast, readable_copy
from .process import Process


class Worker:
    """A child process with one `kfast.Producer`, whose methods it has: `worker.send("t", k, v)`.

    `close()` closes the producer; leaving the `with` block kills the process. `begin(method, …)`
    returns at once and `result()` waits, for a worker that is killed in the middle. `accepted` is
    how many records `send_numbered` got into the ring (one more may be in it), also after the
    worker's death.
    """

    def __init__(
        self,
        socket_dir,
        options: Optional[dict] = None,
        uid: Optional[int] = None,
        within: tuple = (),
        **more,
    ):
        """`within`: a command that runs it elsewhere, as `unshare` does."""
        if uid is None and not within:
            python = sys.executable
            harness = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        else:
            python, harness = readable_copy.python(), readable_copy.environment()
        # By name: a process that sudo starts gets no descriptors.
        with tempfile.NamedTemporaryFile(prefix="kfast-worker-") as file:
            file.truncate(mmap.PAGESIZE)
            os.fchmod(file.fileno(), 0o666)
            self._progress = mmap.mmap(file.fileno(), mmap.PAGESIZE)
            self._process = Process(
                [python, "-m", "harness.worker", file.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**harness, **_preload()},
                uid=uid,
                within=within,
            )
            try:
                self.call("open", socket_dir, options, **more)
            except BaseException:
                self.kill()
                raise

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.kill()

    def __getattr__(self, method):
        if method.startswith("_") or not hasattr(kfast.Producer, method):
            raise AttributeError(method)
        return functools.partial(self.call, method)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def accepted(self) -> int:
        return struct.unpack_from("<Q", self._progress)[0]

    def begin(self, method: str, *arguments, mark_at: Optional[int] = None, **named) -> None:
        """Calls a method and does not wait. `mark_at`: `wait_mark` returns when so many records are
        accepted.
        """
        _write(self._process.stdin.fileno(), (method, arguments, named, mark_at))

    def result(self, timeout: float = 120):
        """The answer to `begin`; raises what the method raised."""
        while True:
            kind, value = self._receive(timeout)
            if kind == "raised":
                raise value
            if kind == "returned":
                return value

    def wait_mark(self, timeout: float = 120) -> None:
        kind, value = self._receive(timeout)
        if kind == "raised":
            raise value
        assert kind == "mark", "the call ended before it reached mark_at"

    def _receive(self, timeout: float):
        if self._process.stdout.closed:
            raise RuntimeError("the worker was killed")
        if not self._process.wait_readable(self._process.stdout, timeout):
            state = (
                "is silent"
                if self._process.running
                else f"ended with status {self._process.returncode}"
            )
            raise RuntimeError(f"the worker {state}")
        try:
            return _read(self._process.stdout.fileno())
        except EOFError:
            raise RuntimeError(f"the worker ended with status {self._process.wait(10)}") from None

    def call(self, method: str, *arguments, **named):
        self.begin(method, *arguments, **named)
        return self.result()

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def pause(self) -> None:
        self._process.pause()

    def resume(self) -> None:
        self._process.signal(signal.SIGCONT)


# Messages go around Python's buffers: what sits in one would not make its pipe readable.


def _write(descriptor: int, message) -> None:
    data = pickle.dumps(message)
    data = memoryview(struct.pack("<Q", len(data)) + data)
    while data:
        data = data[os.write(descriptor, data) :]


def _read(descriptor: int):
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = os.read(descriptor, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    return pickle.loads(exactly(struct.unpack("<Q", exactly(8))[0]))


def _preload() -> dict:
    """What lets Python load a library that is built with AddressSanitizer."""
    listing = subprocess.run(
        ["ldd", kfast.library_path()], text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    runtime = re.search(r"=> (\S*lib[at]san\S*)", listing)
    # Python itself leaks at exit, so leaks are looked for elsewhere.
    return {"LD_PRELOAD": runtime[1], "ASAN_OPTIONS": "detect_leaks=0"} if runtime else {}


def _main() -> None:
    replies = os.dup(1)
    # Replies only: whatever prints goes to stderr.
    os.dup2(2, 1)
    with open(sys.argv[1], "r+b") as file:
        # One store a number: the process may be killed at any time.
        count = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("Q")
    producer = None

    def reply(kind: str, value=None) -> None:
        _write(replies, (kind, value))

    while True:
        try:
            method, arguments, named, mark_at = _read(0)
        except EOFError:
            return

        def accepted(total: int) -> None:
            count[0] = total
            if total == mark_at:
                reply("mark")

        try:
            if method == "open":
                producer, value = kfast.Producer(*arguments, **named), None
            else:
                if method == "send_numbered":
                    named["accepted"] = accepted
                value = getattr(producer, method)(*arguments, **named)
        except Exception as error:
            reply("raised", error)
        else:
            reply("returned", value)


if __name__ == "__main__":
    _main()

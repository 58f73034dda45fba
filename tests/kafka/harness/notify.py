"""The part of systemd that a service talks to: readiness, status and the file descriptor store."""

import array
import ctypes
import os
import platform
import select
import socket
import threading
import time
from pathlib import Path


_SYS_KCMP = {"x86_64": 312, "aarch64": 272}[platform.machine()]
_KCMP_FILE = 0
_LIBC = ctypes.CDLL(None)


def _same(one: int, other: int) -> bool:
    """As systemd asks it: whether one is a copy of the other."""
    if not os.path.sameopenfile(one, other):  # cheaper, and true of all files of one kind
        return False
    us = os.getpid()
    return _LIBC.syscall(_SYS_KCMP, us, us, _KCMP_FILE, one, other) == 0


class NotifySocket:
    """An sd_notify socket at `path`, served by a thread until `close`. `store`: whether it keeps
    descriptors. As systemd's, the store holds each file once, and silently drops what is more than
    `most` (FileDescriptorStoreMax); `announced` is what it says of that by $FDSTORE, None before
    systemd 254.

    READY=1, STATUS= and so on are kept in `state`; FDSTORE=1 puts the message's descriptors into
    `stored` (name -> list of descriptors), FDSTOREREMOVE=1 takes them out, BARRIER=1 is answered by
    closing its descriptor; between `hold_barriers` and `release_barriers` it is not.
    """

    def __init__(self, path: Path, store: bool = False):
        self.path = path
        self._store = store
        self.most = 1024
        self.announced = 1024 if store else None
        self.state: dict[str, str] = {}
        self.stored: dict[str, list[int]] = {}
        self._held: list[int] = []
        self._pokes = 0
        self._holding = False
        self._changed = threading.Condition()
        self._listen()
        self._poke_read, self._poke_write = os.pipe2(os.O_CLOEXEC)
        self._reading = True
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, name="notify socket", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self.path))
        os.chmod(self.path, 0o777)

    def _serve(self) -> None:
        while True:
            watched = [self._poke_read, self._stop_read]
            with self._changed:
                watched += [self._socket] if self._reading else []
            ready, _, _ = select.select(watched, [], [])
            if self._stop_read in ready:
                return
            if self._poke_read in ready:
                os.read(self._poke_read, 1)
                with self._changed:
                    self._pokes += 1
                    self._changed.notify_all()
                continue
            size = array.array("i").itemsize
            message, ancillary, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(253 * size))
            descriptors = array.array("i")
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(data[: len(data) - len(data) % size])
            fields = dict(
                line.split("=", 1)
                for line in message.decode(errors="replace").splitlines()
                if "=" in line
            )
            with self._changed:
                self._take(fields, list(descriptors))
                self._changed.notify_all()

    def _take(self, fields: dict, descriptors: list) -> None:
        name = fields.get("FDNAME", "stored")
        if fields.get("FDSTOREREMOVE") == "1":
            for descriptor in self.stored.pop(name, []):
                os.close(descriptor)
        elif fields.get("FDSTORE") == "1" and self._store:
            for descriptor in descriptors:
                held = [each for kept in self.stored.values() for each in kept]
                if len(held) < self.most and not any(_same(descriptor, each) for each in held):
                    self.stored.setdefault(name, []).append(descriptor)
                else:
                    os.close(descriptor)
            descriptors = []
        elif fields.get("BARRIER") == "1" and self._holding:
            self._held += descriptors
            descriptors = []
        for descriptor in descriptors:
            os.close(descriptor)
        self.state.update(fields)

    def hold_barriers(self) -> None:
        with self._changed:
            self._holding = True

    def wait_barrier(self, timeout: float = 60) -> None:
        """Waits until a barrier is held."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._held, timeout), "no barrier came"

    def release_barriers(self) -> None:
        with self._changed:
            self._holding = False
            held, self._held = self._held, []
        for descriptor in held:
            os.close(descriptor)

    def wait_stored(self, names: set, timeout: float = 60) -> None:
        """Waits until exactly these names are stored."""
        with self._changed:
            done = self._changed.wait_for(lambda: set(self.stored) == names, timeout)
            assert done, f"not stored: {names - set(self.stored)}, still: {set(self.stored) - names}"

    def _poke(self, reading: bool) -> None:
        with self._changed:
            self._reading = reading
            pokes = self._pokes
        os.write(self._poke_write, b"x")
        with self._changed:
            assert self._changed.wait_for(lambda: self._pokes != pokes, 60)

    def stop_reading(self) -> None:
        """From when this returns messages stay in the socket's queue, as if systemd hung."""
        self._poke(False)

    def read_again(self) -> None:
        self._poke(True)

    def go_away(self) -> None:
        """Nobody is behind the path any more; what was stored is."""
        self._poke(False)
        self._socket.close()
        self.path.unlink()

    def come_back(self) -> None:
        self._listen()
        self._poke(True)

    def settle(self) -> None:
        """Returns when everything that was sent before has been taken, as systemd does before it
        starts a service again.
        """
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs]))]
            sender.connect(str(self.path))
            sender.sendmsg([b"SETTLE=1"], rights)
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)

    def clear(self) -> None:
        """Forgets the state of the service's last run; the store stays, as systemd's does over a
        restart.
        """
        with self._changed:
            self.state.clear()

    def wait(self, field: str, value: str, timeout: float, still_running) -> bool:
        """Waits until the service has sent `field=value`, or a value that starts so where `value`
        ends in "…"; False when it ends or the time is over first.
        """
        deadline = time.monotonic() + timeout
        start = value.removesuffix("…")

        def sent() -> bool:
            now = self.state.get(field, "")
            return now == value or (start != value and now.startswith(start))

        with self._changed:
            while not sent():
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not still_running():
                    return False
                # Woken by each message, and by `wake` when the service ends.
                self._changed.wait(remaining)
        return True

    def wake(self) -> None:
        """Makes `wait` look again whether the service still runs."""
        with self._changed:
            self._changed.notify_all()

    def drop_store(self) -> None:
        """Empties the store, as `systemctl stop` does."""
        with self._changed:
            stored, self.stored = self.stored, {}
        for descriptors in stored.values():
            for descriptor in descriptors:
                os.close(descriptor)

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join()
        os.close(self._stop_read)
        os.close(self._stop_write)
        os.close(self._poke_read)
        os.close(self._poke_write)
        self._socket.close()
        self.path.unlink(missing_ok=True)
        self.release_barriers()
        self.drop_store()

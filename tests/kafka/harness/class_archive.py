"""An archive of the broker's loaded classes, which halves the time that a broker takes to start."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Optional

from . import paths


class ClassArchive:
    """JVM options for one broker: use the archive when there is one, else record one while the
    broker runs.

    The recording is written when the JVM ends by SIGTERM; `keep` then puts it where the next run
    finds it.
    """

    def __init__(self, libs: Path, record: bool):
        java = Path(os.path.realpath(shutil.which("java") or "java"))
        # The JVM takes an archive of its own build and class path only.
        jvm = java.parent.parent / "lib" / "server" / "libjvm.so"
        state = jvm.stat() if jvm.exists() else java.stat()
        identity = (
            f"{libs.resolve()} {libs.stat().st_mtime_ns} {jvm} {state.st_size} {state.st_mtime_ns}"
        )
        self._file = (
            paths.cache() / f"kafka-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"
        )
        self._recording: Optional[Path] = None
        if self._file.exists():
            self.options = [f"-XX:SharedArchiveFile={self._file}", "-Xshare:auto"]
        elif record:
            paths.cache().mkdir(parents=True, exist_ok=True)
            self._recording = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            self.options = [
                f"-XX:ArchiveClassesAtExit={self._recording}",
                "-Xlog:cds=off",
                "-Xlog:cds+dynamic=off",
            ]
        else:
            self.options = []

    @property
    def recording(self) -> bool:
        return self._recording is not None

    def keep(self) -> None:
        if self._recording is not None and self._recording.exists():
            self._recording.rename(self._file)
        self._recording = None

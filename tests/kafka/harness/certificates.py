"""Certificates for tests, made by the openssl program."""

import subprocess
from pathlib import Path


def _openssl(*arguments, text: str = "") -> None:
    subprocess.run(
        ["openssl", *map(str, arguments)],
        input=text,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


class Authority:
    """A certificate authority in `directory`, with `name` as its common name. `certificate` is its
    own certificate's file."""

    def __init__(self, directory: Path, name: str):
        self._directory = directory
        self._name = name
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        # Days enough for any run, and few enough that nobody relies on them.
        _openssl(
            *["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            *["-nodes", "-days", 30, "-subj", f"/CN={name}"],
            *["-keyout", self._key, "-out", self.certificate],
        )

    def issue(self, name: str) -> tuple:
        """(certificate, key): files of a certificate for `name` on 127.0.0.1. The key is PKCS#8, as
        Kafka wants it."""
        stem = self._directory / f"{self._name}-{name}"
        key, request, certificate = (stem.with_suffix(end) for end in (".key", ".csr", ".pem"))
        _openssl(
            *["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
            *["-subj", f"/CN={name}", "-keyout", key, "-out", request],
        )
        extensions = stem.with_suffix(".ext")
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl(
            *["x509", "-req", "-in", request, "-days", 30, "-extfile", extensions],
            *["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"],
            *["-out", certificate],
        )
        return certificate, key

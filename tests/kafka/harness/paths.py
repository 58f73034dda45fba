"""Where the tests find what they run. Every place can be moved by an environment variable."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
KAFKA_VERSION = "4.1.0"


def cache() -> Path:
    """KFAST_CACHE: what is downloaded or compiled once and kept outside the tree."""
    return Path(os.environ.get("KFAST_CACHE") or Path.home() / ".cache" / "kfast").absolute()


def kafka_libs() -> Path:
    """KFAST_KAFKA_LIBS: the directory with Apache Kafka's jars. Raises when it is not there."""
    libs = Path(os.environ.get("KFAST_KAFKA_LIBS") or cache() / f"kafka-{KAFKA_VERSION}" / "libs")
    if not any(libs.glob("kafka-clients-*.jar")):
        raise FileNotFoundError(
            f"no Kafka jars in {libs}: run `tools/setup kafka`, "
            "or let KFAST_KAFKA_LIBS name their directory"
        )
    return libs


def build() -> Path:
    """KFAST_BUILD: the build tree under test."""
    return Path(os.environ.get("KFAST_BUILD") or REPOSITORY / "build" / "test")


def built(relative: str) -> Path:
    """A file of the build tree. Raises when it has not been built."""
    path = build() / relative
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not built: build it, or let KFAST_BUILD name the build tree"
        )
    return path

"""The kill points of tests/chaos are in no other build: not as a name, a symbol or a call."""

import re

import pytest

from harness import paths

POINTS = paths.REPOSITORY / "include/kfast/ipc/kill_points.def"


@pytest.mark.parametrize("binary", ["client/libkfast.so.0", "daemon/kfastd"])
def test_nothing_of_the_kill_points_is_in_the_binary(binary):
    content = paths.built(binary).read_bytes()
    names = re.findall(r'^KFAST_KILL_POINT_NAME\("([^"]+)"', POINTS.read_text(), re.MULTILINE)
    assert len(names) > 40
    # tests/chaos finds all of these in its own build.
    for word in [*names, "KFAST_KILL_AT", "KFAST_BREAK", "kill_point_detail", "head_at_handover"]:
        assert word.encode() not in content, word


def test_the_library_cannot_send_a_signal():
    # The dynamic symbol table's names are strings of their own.
    assert b"\0kill\0" not in paths.built("client/libkfast.so.0").read_bytes()

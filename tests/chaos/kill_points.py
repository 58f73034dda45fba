"""The kill points' names, from the list that the code is compiled with."""

import re

from harness.paths import REPOSITORY

LIST = REPOSITORY / "include/kfast/ipc/kill_points.def"


def kill_points() -> list:
    return re.findall(r'^KFAST_KILL_POINT_NAME\("([^"]+)"', LIST.read_text(), re.MULTILINE)

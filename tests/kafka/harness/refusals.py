"""What a call was refused with, and the one report that must have come."""

import pytest

from .kfast import KfastError


def code_of(call, *arguments, match, **named) -> int:
    with pytest.raises(KfastError, match=match) as refused:
        call(*arguments, **named)
    return refused.value.code


def report_of(producer, position):
    (report,) = producer.wait_reports(1)
    assert report.position == position
    return report

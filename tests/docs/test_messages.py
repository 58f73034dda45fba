"""docs/messages.md has every line that kfastd can write and every error code of libkfast, and no
others.
"""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MESSAGES = REPOSITORY / "docs" / "messages.md"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# What a line is written by. A string among the arguments that is no line has no space.
_WRITES = re.compile(
    r"spdlog::(?:debug|info|warn|error|critical|log)\(|process_log\(\)\s*\.log\("
    r"|std::fprintf\(stderr,|\bsay\("
)
# Texts that go into a line's place for one.
_PARTS = {"gone", "lives", "stops", "starts", "back", "forward", "begin again"}
_PARTS |= {"is gone", "is taken for the process of that number", "are not shortened by it"}
_PARTS |= {"there is one of that name already", "kfastd knows no such name"}
_PARTS |= {"there are too many", "no legal name"}
# What stands for any text at all: README.md's "Questions" has the errors of the start.
_ANY_TEXT = {"…", "kfastd: …"}


def _arguments(source: str, start: int) -> str:
    """The text from behind an opening parenthesis to the one that closes it."""
    depth, at = 1, start
    while depth:
        string = _STRING.match(source, at)
        if string:
            at = string.end()
            continue
        depth += {"(": 1, ")": -1}.get(source[at], 0)
        at += 1
    return source[start : at - 1]


def _texts(arguments: str) -> list:
    """The string literals, those that stand behind each other as one."""
    found = re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+', arguments)
    joined = ["".join(text[1:-1] for text in _STRING.findall(each)) for each in found]
    return [text.replace('\\"', '"').removesuffix("\\n") for text in joined]


def _pattern(text: str) -> str:
    return re.sub(r"\{\}|%\.?\d*z?[sdu]", "…", text)


def lines_of_source() -> set:
    lines = set()
    for path in sorted((REPOSITORY / "daemon").rglob("*.[ch]pp")):
        source = re.sub(r"//[^\n]*", "", path.read_text())
        for call in _WRITES.finditer(source):
            texts = _texts(_arguments(source, call.end()))
            lines |= {_pattern(text) for text in texts if " " in text and text not in _PARTS}
    return lines - _ANY_TEXT


def first_column() -> list:
    return re.findall(r"^\| `([^|]+?)` ", MESSAGES.read_text(), re.MULTILINE)


def documented_lines() -> list:
    return [text for text in first_column() if not text.startswith("KFAST_ERR_")]


def test_the_source_has_lines_to_look_at():
    lines = lines_of_source()
    assert "channel closed channel=…" in lines
    assert "kfastd --keeper: cannot start kfastd: …" in lines
    assert len(lines) > 70


def test_every_line_of_the_log_is_documented():
    missing = lines_of_source() - set(documented_lines())
    assert not missing, "write into docs/messages.md what these mean:\n" + "\n".join(missing)


def test_no_line_is_documented_that_is_never_written():
    gone = set(documented_lines()) - lines_of_source()
    assert not gone, "take these out of docs/messages.md:\n" + "\n".join(gone)


def test_every_error_code_is_documented_with_its_number():
    header = (REPOSITORY / "include" / "kfast" / "kfast.h").read_text()
    codes = re.findall(r"^\s*(KFAST_ERR_\w+) = (-\d+)", header, re.MULTILINE)
    assert len(codes) >= 18
    table = MESSAGES.read_text()
    missing = [name for name, number in codes if f"| `{name}` ({number}) |" not in table]
    assert not missing, f"write into docs/messages.md what these mean: {missing}"
    known = {name for name, _ in codes}
    assert {name for name in first_column() if name.startswith("KFAST_ERR_")} == known

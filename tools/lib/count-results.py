"""Counts a stage's tests, and keeps what the failed ones said.

usage: count-results.py FOLDER. Prints "PASSED FAILED" of all JUnit files in it and of the lines in its file `checks` (each
is `ok …` or `failed …`). A skipped test has proven nothing, so it counts as failed. What failed, each with the end of what
it said, goes to FOLDER/failures, which is not there where nothing did.
"""

import sys
import xml.etree.ElementTree as tree
from pathlib import Path

LINES = 30
COLUMNS = 200


def end_of(text: str) -> list[str]:
    lines = [line[:COLUMNS] for line in text.splitlines() if line.strip()]
    return ["    " + line for line in lines[-LINES:]]


def trouble_of(case) -> tuple[str, str] | None:
    """What became of a test that did not pass, and what it said."""
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            said = child.text or case.findtext("system-out") or child.get("message") or ""
            return child.tag, said
    if case.get("status") in ("fail", "notrun", "disabled"):
        return "failed", case.findtext("system-out") or ""
    return None


def main(folder: Path) -> None:
    passed, failures = 0, []
    for path in sorted(folder.glob("*.xml")):
        for case in tree.parse(path).iter("testcase"):
            trouble = trouble_of(case)
            if trouble is None:
                passed += 1
            else:
                failures.append((f"{trouble[0]}: {case.get('classname')} {case.get('name')}", trouble[1]))
    checks = folder / "checks"
    for line in checks.read_text().splitlines() if checks.exists() else []:
        verdict, _, name = line.partition(" ")
        if verdict == "ok":
            passed += 1
        else:
            log = folder / (name.replace("/", "_") + ".log")
            failures.append((f"failed: {name}", log.read_text(errors="replace") if log.exists() else ""))
    for title, _ in failures:
        print("  " + title, file=sys.stderr)
    if failures:
        report = [line for title, said in failures for line in ["  " + title, *end_of(said)]]
        (folder / "failures").write_text("\n".join(report) + "\n")
    print(passed, len(failures))


main(Path(sys.argv[1]))

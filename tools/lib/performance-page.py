#!/usr/bin/env python3
"""Makes docs/performance.md out of what kfast-bench printed and wrote, and what perf recorded. Used by tools/bench --page.

usage: performance-page.py PRINTED TRUSTED JSON PROFILE
PRINTED: kfast-bench's standard output; TRUSTED: the same, with trusted workers; JSON: the --json file of the first;
PROFILE: a folder with one text of `perf report` for each thread, in order of their names. Writes the page to standard
output.
"""

import json
import pathlib
import sys

BAR_COLUMNS = 40

HEAD = """# Performance

Made by `tools/bench --page`, all of it, in one go on one machine; nothing is copied from elsewhere. Run it to have the
page of yours. `tools/bench` alone prints the tables, `tools/bench --quick` some of them in under two minutes.

How to read it: absolute times are this machine's. Worker, kfastd and the Kafka broker share its cores, so a rate also
pays for the broker. What carries over to other machines are the ratios: kfast and librdkafka were measured in the same
run, turn by turn, with the same settings, and each run's records were counted in Kafka.
"""


TRUSTED = """`trusted = true` in `[[allow]]`: librdkafka reads records in the workers' rings, as it reads them in the memory of a
process that it is part of ([operations.md](operations.md)).
"""


def bars(rows, unit):
    """A figure of text: rows of (label, series, value), one bar each, all to the same scale."""
    most = max((value for _, _, value in rows), default=0)
    label_width = max(len(label) for label, _, _ in rows)
    series_width = max(len(series) for _, series, _ in rows)
    lines, last = [], None
    for label, series, value in rows:
        eighths = round(value / most * BAR_COLUMNS * 8) if most > 0 else 0
        bar = "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")
        shown = label if label != last else ""
        lines.append(f"{shown:<{label_width}}  {series:<{series_width}}  {bar} {value:.2f} {unit}".rstrip())
        last = label
    return "```text\n" + "\n".join(lines) + "\n```\n"


def rate_of(task):
    return "flooding" if task["rate"] == 0 else f"{task['rate'] // 1000} k/s"


def cost_against_rate(figures, size):
    """Rows of worker's and both processes' CPU, for records of that size with neither key nor headers."""
    worker, both = [], []
    rows = [r for r in figures.get("rows", []) if r["task"]["value_bytes"] == size]
    rows = [r for r in rows if not (r["task"]["keys"] or r["task"]["headers"] or r["task"]["made"])]
    order = {rate: at for at, rate in enumerate(sorted({r["task"]["rate"] for r in rows}, key=lambda x: x or 10**9))}
    for row in sorted(rows, key=lambda r: order[r["task"]["rate"]]):
        task, median = row["task"], row["median"]
        if task["name"] not in ("kfast_send", "rd_kafka_produce"):
            continue
        worker.append((rate_of(task), task["name"], median["worker_cpu_us"]))
        both.append((rate_of(task), task["name"], median["worker_cpu_us"] + median["daemon_cpu_us"]))
    return worker, both


def cost_against_topics(figures):
    rows = []
    for row in figures.get("topics", {}).get("rows", []):
        if row["with"] != "pacing loop alone":
            cpu = row["median"]["worker_cpu_us"] + row["median"]["daemon_cpu_us"]
            rows.append((f"{row['topics']} topics", row["with"], cpu))
    return rows


def code(text):
    return "```text\n" + text.strip("\n") + "\n```\n"


def figures_of(figures):
    parts = []
    for size, name in ((100, "100 B"), (1024, "1 KiB")):
        worker, both = cost_against_rate(figures, size)
        if worker:
            parts.append(f"### CPU of the worker against the rate, {name}\n\n" + bars(worker, "us a record"))
            parts.append(f"### CPU of worker and kfastd against the rate, {name}\n\n" + bars(both, "us a record"))
    topics = cost_against_topics(figures)
    if topics:
        parts.append("### CPU of worker and kfastd against the number of topics, 20 k/s\n\n" + bars(topics, "us a record"))
    return "\n".join(parts)


def profile_of(folder):
    parts = []
    for file in sorted(pathlib.Path(folder).glob("*.txt")):
        title, text = file.read_text().split("\n", 1)
        parts.append(f"### {title}\n\n" + code(text))
    return "\n".join(parts)


def main():
    printed, trusted, json_file, profile = sys.argv[1:]
    figures = json.loads(pathlib.Path(json_file).read_text())
    page = [HEAD, "## Tables\n", code(pathlib.Path(printed).read_text())]
    page += ["## With trusted workers\n", TRUSTED, code(pathlib.Path(trusted).read_text())]
    page += ["## Figures\n", figures_of(figures)]
    profiles = profile_of(profile)
    if profiles:
        page += ["## Where the time goes\n\nFlooding, 100 B: samples of `perf record`, per thread and function, in percent of that thread's, the\nbroker's warm-up with `rd_kafka_produce` by kfast-bench included.\n", profiles]
    print("\n".join(page).rstrip("\n"))


if __name__ == "__main__":
    main()

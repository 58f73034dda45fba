"""The oracle: says of each accepted record whether kfast kept its promise.

The rules, for what load workers wrote into one topic:

- An accepted record is in Kafka, or was reported `failed` or `unknown`. Only where its worker was
  killed and then, before the worker's channel was drained, kfastd too, it may be lost; and not even
  then where segments are kept.
- A worker that ended by itself was told of each of its records, and of each once. When a flush says
  that every record has its outcome, the reports are there.
- What was reported `delivered` is in Kafka, what was reported `failed` is not.
- Where the topic was deleted and made again, what the deleted one held is read from its brokers'
  disks, and first. There alone a record may be that was reported `failed`: Kafka answers that there
  is no such topic to a request that it wrote a moment before the topic went.
- Nothing is in Kafka that was not sent, and every value is whole. A killed worker may have sent
  more than it could count: the record, or the records, of the call that it died in.
- First occurrences of a producer's records are in order in each partition, and so for each key.
- kfastd counts what it submits again: no more duplicates in all than that. A kfastd that was killed
  may have died between handing over a record and counting it, so one more for each such life.
- A record has at most one copy for each life of kfastd from the one that can first have taken it to
  the one that reported it: what was reported is not sent again.
- After all faults, a fresh record passes.
"""

import dataclasses
import zlib
from collections import Counter

import journal as j
from harness import kfast
from harness.kfast import DELIVERED, FAILED, UNKNOWN
from journal import value_of
from load import PRODUCER_BYTES

LISTED = 1_000_000


@dataclasses.dataclass
class Verdict:
    """What became of a run's records. `violations` has a sentence for each broken rule."""

    scenario: str
    workers_killed: int = 0
    daemons_killed: int = 0
    brokers_killed: int = 0
    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    lost_with_both: int = 0
    uncounted: int = 0  # delivered beyond what killed workers could count
    duplicates: int = 0
    resubmitted: Counter = dataclasses.field(default_factory=Counter)
    violations: list = dataclasses.field(default_factory=list)

    def broken(self, sentence: str) -> None:
        self.violations.append(sentence)

    def __add__(self, other: "Verdict") -> "Verdict":
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in dataclasses.fields(self)
            if field.name != "scenario"
        }
        return Verdict(self.scenario, **sums)


HEAD = (
    "scenario",
    "kills w/d/b",
    "accepted",
    "delivered",
    "failed",
    "unknown",
    "lost",
    "uncounted",
    "duplicates",
    "resubmitted",
    "violations",
)


def table(verdicts: list) -> str:
    """Verdicts as text, a line each. `lost`: with worker and kfastd both killed."""
    rows = [HEAD]
    for v in verdicts:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(v.resubmitted.items()))
        rows.append(
            (
                v.scenario,
                f"{v.workers_killed}/{v.daemons_killed}/{v.brokers_killed}",
                *(
                    str(number)
                    for number in (
                        v.accepted,
                        v.delivered,
                        v.failed,
                        v.unknown,
                        v.lost_with_both,
                        v.uncounted,
                        v.duplicates,
                    )
                ),
                reasons or "0",
                str(len(v.violations)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def judge(scenario: str, kafka, topic: str, loads: list, lives, brokers_killed: int = 0) -> Verdict:
    """The verdict on everything in `topic`, which `loads` alone wrote and which are all gone, and
    whose channels are drained. `lives` has kept the counters of all its lives.
    """
    verdict = Verdict(
        scenario,
        workers_killed=sum(load.killed for load in loads),
        daemons_killed=lives.kills,
        brokers_killed=brokers_killed,
        resubmitted=lives.resubmitted.copy(),
    )
    how = {"producer_bytes": PRODUCER_BYTES, "listed": LISTED, "timeout": 600}
    deleted = kafka.deleted(topic)
    digest = kafka.witness.digest(topic, directories=deleted, **how)
    if digest.malformed:
        verdict.broken(f"{digest.malformed} records have no number")
    tallies = dict(digest.producers)
    readable = kafka.witness.digest(topic, **how).producers if deleted else digest.producers
    drained = lives.drained_pids()
    for load in loads:
        tally = tallies.pop(load.name, None)
        try:
            may_lose = load.killed and not lives.keeps and load.pid not in drained
            # Where segments are kept, each life goes on with a dead worker's records.
            final_life = lives.number if lives.keeps else load.final_life
            _judge_load(verdict, load, tally, may_lose, final_life)
            _judge_failed(verdict, load, readable.get(load.name))
        except Exception as error:
            raise RuntimeError(f"cannot judge {load}") from error
    for name, tally in tallies.items():
        verdict.broken(f"{tally.records} records of {name!r}, which is nobody")
    most = sum(lives.resubmitted.values()) + lives.uncounted
    if verdict.duplicates > most:
        verdict.broken(
            f"{verdict.duplicates} duplicates, of which kfastd accounts for {most} at most"
        )
    if lives.violations:
        verdict.broken(f"kfastd counted {lives.violations} violations by workers")
    return verdict


def _judge_load(verdict: Verdict, load, tally, may_lose: bool, final_life: int) -> None:
    journal, who = load.journal, load.name.decode()
    accepted = journal.accepted
    verdict.accepted += accepted
    verdict.failed += journal.outcome_count(FAILED)
    verdict.unknown += journal.outcome_count(UNKNOWN)
    for word, what in (
        (j.REPORTED_TWICE, "reports were a second one for their record"),
        (j.REPORTED_UNSENT, "reports were for no record"),
        (j.FLUSHED_UNTOLD, "records were flushed, and their reports were not there"),
    ):
        if journal.words[word]:
            verdict.broken(f"{who}: {journal.words[word]} {what}")
    if not load.killed:
        _judge_end(verdict, load, who)
    last = tally.last if tally else -1
    limit = max(accepted, journal.words[j.BEGUN]) if load.killed else accepted
    if last >= limit:
        verdict.broken(f"{who}: record {last} is in Kafka, and {limit} were sent")
    verdict.uncounted += max(0, last + 1 - accepted)
    missing = set(range(last + 1, accepted))
    if tally:
        if tally.missing != len(tally.first_missing):
            verdict.broken(f"{who}: {tally.missing} records are missing, too many to list")
        missing |= {number for number in tally.first_missing if number < accepted}
        if tally.missing and tally.first_missing[-1] >= accepted:
            verdict.broken(f"{who}: records from {tally.first_missing[-1]} on are missing")
        if tally.out_of_order:
            verdict.broken(
                f"{who}: {tally.out_of_order} first occurrences out of order, the first is record "
                f"{tally.first_out_of_order[0]}"
            )
        _judge_values(verdict, tally, last, who)
        _judge_duplicates(verdict, load, tally, final_life, who)
        verdict.delivered += tally.distinct
    _judge_missing(verdict, journal, missing, may_lose, who)


def _judge_end(verdict: Verdict, load, who: str) -> None:
    if load.process.returncode != 0 or load.phase != j.CLOSED:
        verdict.broken(f"{who}: the worker did not come to its end: {load}")
    untold = load.journal.outcome_count(0)
    if untold and not load.close_at_once:
        verdict.broken(f"{who}: {untold} records were never reported")


def _judge_values(verdict: Verdict, tally, last: int, who: str) -> None:
    gone = set(tally.first_missing)
    expected = sum(zlib.crc32(value_of(n)) for n in range(last + 1) if n not in gone)
    if tally.crc_sum != expected:
        verdict.broken(f"{who}: values arrived that nobody sent so")


def _judge_duplicates(verdict: Verdict, load, tally, final_life: int, who: str) -> None:
    journal = load.journal
    verdict.duplicates += tally.duplicates
    again = []
    for number, further in Counter(tally.first_duplicates).items():
        told = number < journal.accepted and journal.outcomes[number] != 0
        last_life = journal.reported_in[number] if told else final_life
        if further > last_life - journal.sent_in[number]:
            again.append(number)
    if again:
        verdict.broken(
            f"{who}: {len(again)} records were sent again after their report, the first is "
            f"record {again[0]}"
        )


def _judge_missing(verdict: Verdict, journal, missing: set, may_lose: bool, who: str) -> None:
    silent, lied = [], []
    for number in sorted(missing):
        outcome = journal.outcomes[number]
        if outcome == DELIVERED:
            lied.append(number)
        elif outcome == 0 and may_lose:
            verdict.lost_with_both += 1
        elif outcome == 0:
            silent.append(number)
    if lied:
        verdict.broken(
            f"{who}: {len(lied)} records were reported delivered and are not in Kafka, the first "
            f"is record {lied[0]}"
        )
    if silent:
        verdict.broken(
            f"{who}: {len(silent)} accepted records are neither in Kafka nor reported, the first "
            f"is record {silent[0]}"
        )


def _judge_failed(verdict: Verdict, load, readable) -> None:
    journal = load.journal
    if readable is None:
        return
    missing = set(readable.first_missing)
    there = [
        number
        for number in journal.numbers_with(FAILED)
        if number <= readable.last and number not in missing
    ]
    if there:
        errors = {kfast.error_name(journal.errors[number]) for number in there}
        verdict.broken(
            f"{load.name.decode()}: {len(there)} records were reported failed and are in Kafka, "
            f"the first is record {there[0]}, with the error {' or '.join(sorted(errors))}"
        )

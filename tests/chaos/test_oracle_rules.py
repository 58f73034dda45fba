"""Each rule of the oracle, on what a witness and a worker could have said; needs no Kafka."""

import zlib
from collections import Counter
from types import SimpleNamespace

import pytest

import journal as j
from harness.kfast import DELIVERED, FAILED, UNKNOWN
from harness.witness import Digest, Sequence
from journal import Journal, value_of
from oracle import judge

NAME = b"w00001"
COUNT = 6


def worker(killed=False):
    """A worker that sent records 0 to 5 in life 1 and was told in life 1 that all are delivered."""
    journal = Journal(100)
    journal.words[j.ACCEPTED] = COUNT
    journal.words[j.BEGUN] = COUNT + 1
    journal.words[j.PHASE] = j.CLOSED
    for number in range(COUNT + 1):
        journal.sent_in[number] = 1
    for number in range(COUNT):
        journal.reported_in[number] = 1
        journal.outcomes[number] = DELIVERED
    return SimpleNamespace(
        name=NAME,
        pid=17,
        journal=journal,
        killed=killed,
        final_life=1,
        phase=j.CLOSED,
        close_at_once=False,
        process=SimpleNamespace(returncode=-9 if killed else 0),
    )


def untell(load, *numbers):
    for number in numbers:
        load.journal.outcomes[number] = 0


def tally(numbers, changed=()):
    """What the witness says of a producer whose numbers came in this order in one partition."""
    first = list(dict.fromkeys(numbers))
    missing = sorted(set(range(max(numbers) + 1)) - set(numbers))
    late = [n for at, n in enumerate(first) if at and n < max(first[:at])]
    again = list((Counter(numbers) - Counter(first)).elements())
    crc = sum(zlib.crc32(b"?" if n in changed else value_of(n)) for n in first)
    return Sequence(
        records=len(numbers),
        distinct=len(first),
        duplicates=len(again),
        out_of_order=len(late),
        missing=len(missing),
        unexpected=0,
        crc_sum=crc,
        last=max(numbers),
        first_missing=missing,
        first_duplicates=again,
        first_out_of_order=late,
        first_unexpected=[],
    )


def verdict_on(
    load, came, resubmitted=0, drained=True, keeps=False, deaths=0, violations=0, **digest
):
    producers = {NAME: tally(came, digest.pop("changed", ()))} if came else {}
    producers.update(digest.pop("others", {}))
    deleted = digest.pop("deleted", [])
    readable = {NAME: tally(came[len(deleted) :])} if deleted else producers

    def answer(*_, directories=(), **__):
        told = producers if directories or not deleted else readable
        return Digest(len(came), digest.get("malformed", 0), told)

    witness = SimpleNamespace(digest=answer)
    lives = SimpleNamespace(
        keeps=keeps,
        number=1 + deaths,
        kills=deaths,
        uncounted=deaths,
        resubmitted=Counter({"daemon_restart": resubmitted}),
        violations=violations,
        drained_pids=lambda: {17} if drained else set(),
    )
    kafka = SimpleNamespace(witness=witness, deleted=lambda _: ["a directory"] if deleted else [])
    return judge("rules", kafka, "topic", [load], lives)


def test_what_went_well_is_no_violation():
    verdict = verdict_on(worker(), [0, 1, 2, 3, 4, 5])
    assert verdict.violations == []
    assert (verdict.accepted, verdict.delivered, verdict.duplicates) == (6, 6, 0)


def only(verdict, words):
    assert len(verdict.violations) == 1 and words in verdict.violations[0], verdict.violations


def test_a_loss_in_the_middle_and_at_the_end():
    for came in ([0, 1, 2, 4, 5], [0, 1, 2, 3, 4]):
        load = worker(killed=True)
        untell(load, 3, 5)
        only(verdict_on(load, came), "1 accepted records are neither in Kafka nor reported")


def test_a_loss_of_everything():
    load = worker(killed=True)
    untell(load, *range(COUNT))
    only(verdict_on(load, []), "6 accepted records are neither in Kafka nor reported")


def test_a_loss_that_was_reported_delivered():
    only(verdict_on(worker(), [0, 1, 2, 3, 4]), "reported delivered and are not in Kafka")
    # Not even where both died.
    load = worker(killed=True)
    both_died = verdict_on(load, [0, 1, 2, 4, 5], drained=False)
    only(both_died, "reported delivered and are not in Kafka")


def test_losses_are_allowed_where_both_died_and_only_there():
    load = worker(killed=True)
    untell(load, 4, 5)
    verdict = verdict_on(load, [0, 1, 2, 3], drained=False)
    assert (verdict.violations, verdict.lost_with_both) == ([], 2)
    assert verdict_on(load, [0, 1, 2, 3], drained=True).violations
    assert verdict_on(load, [0, 1, 2, 3], drained=False, keeps=True).violations
    load = worker()
    untell(load, 4, 5)
    assert verdict_on(load, [0, 1, 2, 3], drained=False).violations


@pytest.mark.parametrize("outcome", [FAILED, UNKNOWN])
def test_a_missing_record_that_was_reported_is_no_violation(outcome):
    load = worker()
    load.journal.outcomes[2] = outcome
    verdict = verdict_on(load, [0, 1, 3, 4, 5])
    assert verdict.violations == [] and verdict.failed + verdict.unknown == 1


def test_a_failed_record_that_is_in_kafka():
    load = worker()
    load.journal.outcomes[2] = FAILED
    only(verdict_on(load, [0, 1, 2, 3, 4, 5]), "reported failed and are in Kafka")


def test_a_topic_that_was_deleted_and_made_again():
    assert verdict_on(worker(), [0, 1, 2, 3, 4, 5], deleted=[0, 1, 2]).violations == []
    # Its records count: what was delivered into neither is lost, and order holds across both.
    only(verdict_on(worker(), [0, 1, 3, 4, 5], deleted=[0, 1]), "and are not in Kafka")
    only(verdict_on(worker(), [0, 1, 3, 2, 4, 5], deleted=[0, 1, 3]), "the first is record 2")
    # Nobody can read what Kafka refused and had written into the topic that went.
    load = worker()
    load.journal.outcomes[2] = FAILED
    assert verdict_on(load, [0, 1, 2, 3, 4, 5], deleted=[0, 1, 2]).violations == []
    only(verdict_on(load, [0, 1, 2, 3, 4, 5], deleted=[0, 1]), "reported failed and are in Kafka")


def test_a_worker_that_was_not_told_of_a_record():
    load = worker()
    untell(load, 5)
    only(verdict_on(load, [0, 1, 2, 3, 4, 5]), "1 records were never reported")


@pytest.mark.parametrize("word", [j.REPORTED_TWICE, j.REPORTED_UNSENT, j.FLUSHED_UNTOLD])
def test_a_report_too_many_or_too_late(word):
    load = worker()
    load.journal.words[word] = 3
    only(verdict_on(load, [0, 1, 2, 3, 4, 5]), "3 re")


def test_a_worker_that_ends_badly():
    load = worker()
    load.process.returncode = 1
    only(verdict_on(load, [0, 1, 2, 3, 4, 5]), "did not come to its end")


def test_a_record_that_nobody_sent():
    only(verdict_on(worker(), [0, 1, 2, 3, 4, 5, 6]), "record 6 is in Kafka, and 6 were sent")
    # A killed worker may have sent what it had begun to send, and no more.
    verdict = verdict_on(worker(killed=True), [0, 1, 2, 3, 4, 5, 6])
    assert (verdict.violations, verdict.uncounted) == ([], 1)
    assert verdict_on(worker(killed=True), [0, 1, 2, 3, 4, 5, 6, 7]).violations
    assert verdict_on(worker(killed=True), [0, 1, 2, 3, 4, 5, 7]).violations
    batch = worker(killed=True)
    batch.journal.words[j.BEGUN] = COUNT + 4
    verdict = verdict_on(batch, [0, 1, 2, 3, 4, 5, 6, 7])
    assert (verdict.violations, verdict.uncounted) == ([], 2)
    only(verdict_on(batch, [0, 1, 2, 3, 4, 5, 7]), "records from 6 on are missing")


def test_a_producer_that_is_nobody():
    others = {b"w99999": tally([0])}
    only(verdict_on(worker(), [0, 1, 2, 3, 4, 5], others=others), "which is nobody")


def test_a_value_that_is_not_whole():
    only(verdict_on(worker(), [0, 1, 2, 3, 4, 5], changed=[3]), "values arrived that nobody sent")
    only(verdict_on(worker(), [0, 1, 2, 3, 4, 5], malformed=1), "have no number")


def test_first_occurrences_out_of_order():
    only(verdict_on(worker(), [0, 2, 1, 3, 4, 5]), "the first is record 1")


def test_more_duplicates_than_kfastd_counted():
    load = worker()
    load.journal.reported_in[0] = load.journal.reported_in[1] = 2
    came = [0, 1, 0, 1, 2, 3, 4, 5]
    assert verdict_on(load, came, resubmitted=2).violations == []
    # One more for a life that died between handing over and counting.
    assert verdict_on(load, came, resubmitted=1, deaths=1).violations == []
    only(verdict_on(load, came, resubmitted=1), "of which kfastd accounts for 1 at most")


def test_a_record_that_is_sent_again_after_its_report():
    load = worker()
    load.journal.reported_in[1] = 2
    only(verdict_on(load, [0, 1, 1, 0, 2, 3, 4, 5], resubmitted=9), "the first is record 0")
    assert verdict_on(load, [0, 1, 1, 2, 3, 4, 5], resubmitted=9).violations == []


def test_a_violation_that_kfastd_counted():
    only(verdict_on(worker(), [0, 1, 2, 3, 4, 5], violations=1), "kfastd counted 1 violations")

"""The oracle can fail: it tells when a rule of kfastd's journal is broken on purpose."""

import pytest


def broken(verdict, words):
    return [sentence for sentence in verdict.violations if words in sentence]


@pytest.mark.parametrize("rule", ["head_at_handover", ""])
def test_a_head_that_is_moved_at_hand_over_shows_as_losses(scene, rule):
    # librdkafka lingers long enough to hold records when kfastd dies.
    scene = scene(
        {"linger.ms": 500}, KFAST_BREAK=rule, KFAST_KILL_AT="daemon.take.handed_over:1500"
    )
    load = scene.load(count=3000, rate=5000, ring="1m")
    scene.lives.wait_killed()
    load.wait_sent()
    scene.lives.start()
    if rule:
        # It waits for reports of records that nobody has any more.
        scene.lives.wait_resumed(1)
        load.wait_polls(10)
        load.kill()
        verdict = scene.judge()
        assert broken(verdict, "accepted records are neither in Kafka nor reported")
        assert verdict.delivered < verdict.accepted
    else:
        scene.wait_end(load)
        assert scene.judge().violations == []


@pytest.mark.parametrize("rule", ["report_before_done", ""])
def test_a_report_before_the_done_bit_shows_as_records_sent_again(scene, rule):
    scene = scene(KFAST_BREAK=rule, KFAST_KILL_AT="daemon.settle.begin:1000")
    load = scene.load(count=3000, rate=5000)
    scene.lives.wait_killed()
    # It reads everything that the first life left, before the second one adds to it.
    load.wait_polls()
    scene.lives.start()
    scene.wait_end(load)
    verdict = scene.judge()
    if rule:
        assert broken(verdict, "sent again after their report")
        assert verdict.duplicates > 0
    else:
        assert verdict.violations == []

"""What the trial of checkpoints rests on: the same clock in both kinds of blocks, and full-page images as evidence."""

import time
from dataclasses import replace

import pytest

from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Block, Order, Proven
from pgwatch_wed.load.proof.checkpoint_clock import checkpoints_by_the_clock, clock_moments
from pgwatch_wed.load.proof.load_probes import (
    LoadProbe,
    LoadProbeKind,
    NotTriedError,
    ProbeLever,
)
from pgwatch_wed.load.proof.proof_bench import ProofBench, with_settings
from pgwatch_wed.load.proof.proof_pairs import TrialPair, judged
from pgwatch_wed.load.proof.setting_levers import checkpoints
from pgwatch_wed.load.proof.trial_metrics import PAGE_IMAGES, TrialMetric
from tests.load.grounds import own_ground
from tests.load.proof_blocks import ORDER, block

__all__ = ["own_ground"]

COUNTED = """
select case when to_regclass('pg_catalog.pg_stat_checkpointer') is null then 0
    else (select num_requested from pg_stat_checkpointer) end
"""


def pair(number: int, images: tuple[int | None, int | None]) -> TrialPair:
    """A pair that is twice as fast without the cause, but for a little that differs from pair to pair."""

    def one(ms: float, count: int | None) -> Block:
        found = block(ORDER, ms * (1 + number / 1000))
        assert found.work is not None
        return replace(found, work=replace(found.work, wal_full_page_images=count))

    return TrialPair(one(10, images[0]), one(5, images[1]))


@pytest.mark.parametrize(
    ("images", "shows", "said"),
    [
        ((1000, 200), Proven.PROVEN, "better by more"),
        ((1000, 1000), Proven.NOT_PROVEN, "hardly fewer full-page images"),
        ((200, 1000), Proven.NOT_PROVEN, "hardly fewer full-page images"),
        ((None, None), Proven.NOT_PROVEN, "are not counted here"),
    ],
)
def test_checkpoints_are_proven_only_where_fewer_page_images_confirm_it(
    images: tuple[int | None, int | None], shows: Proven, said: str
) -> None:
    pairs = [pair(n, images) for n in range(6)]
    found = judged(pairs, TrialMetric("p50"), PAGE_IMAGES)
    assert (found.shows, said in found.reason) == (shows, True)
    assert judged(pairs, TrialMetric("p50")).shows is Proven.PROVEN


def test_each_cycle_of_the_clock_has_a_checkpoint_in_its_middle() -> None:
    order = replace(ORDER, seconds=8.0, warmup_s=1.0)
    assert clock_moments(order, 4.0) == (3.0, 7.0)
    assert clock_moments(order, 20.0) == (5.0,)  # a block of another trial, shorter than a cycle


def test_both_kinds_of_blocks_have_as_many_checkpoints_by_the_clock(
    own_ground: EmbeddedGround,
) -> None:
    ground = own_ground.ground
    seen: list[tuple[bool, int]] = []

    def counted() -> int:
        with connected(ground) as session:
            row = session.execute(COUNTED).fetchone()
            return int(row[0]) if row else 0

    def run(order: Order) -> Block:
        before = counted()
        until = time.monotonic() + 60
        while counted() < before + 2 and time.monotonic() < until:
            time.sleep(0.05)  # a busy machine takes its time for a checkpoint
        time.sleep(order.seconds / 4)  # there is no third
        seen.append(("work_mem" in order.settings, counted() - before))
        return block(order, 1.0)

    lever = ProbeLever(
        changed=lambda o: with_settings(o, {"work_mem": "1MB"}), checkpoint_every_s=0.5
    )
    bench = ProofBench(ground, run)
    probe = LoadProbe(
        kind=LoadProbeKind.CHECKPOINTS, about="", tried="", cause="", lever=lambda *_: lever
    )
    arm = bench.set_up(probe, ORDER)
    order = replace(ORDER, seconds=1.2, warmup_s=0.0)
    for away in (False, True):
        bench.switch(arm, away=away)
        bench.run(order, arm)
    assert seen == [(False, 2), (True, 2)]
    with checkpoints_by_the_clock(ground, order, 0.5) as clock:
        pass
    with pytest.raises(NotTriedError, match="only 0 of the 2"):
        clock.check()


def test_a_load_whose_wal_triggers_none_is_not_tried(own_ground: EmbeddedGround) -> None:
    bench = ProofBench(
        own_ground.ground, lambda order: block(order, 1.0, wal_bytes=1024**2), own_ground.server
    )
    with pytest.raises(NotTriedError, match="not much more often than checkpoint_timeout, 300 s"):
        checkpoints(bench, ORDER)

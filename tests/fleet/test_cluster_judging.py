"""Large catalogs are judged by a process of their own, with the same result."""

import sys
from dataclasses import replace

import pytest

from pgwatch_wed.config import Config
from pgwatch_wed.fleet import cluster_judging
from pgwatch_wed.target.collect import collect
from tests.fleet.ground import Ground


def test_another_process_comes_to_the_same_conclusions(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = (collect(ground.primary().dsn("shop")),)
    settings = replace(Config(), window_days=0)
    here = cluster_judging.judged(read, settings, "shop")
    monkeypatch.setattr(cluster_judging, "LARGE", 0)
    monkeypatch.setattr(cluster_judging, "_here", lambda *_: pytest.fail("it was judged here"))
    elsewhere = cluster_judging.judged(read, settings, "shop")
    assert elsewhere == here
    assert here.report.findings


def test_a_process_that_dies_costs_nothing_but_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = (collect(ground.primary().dsn("shop")),)
    monkeypatch.setattr(cluster_judging, "LARGE", 0)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert cluster_judging.judged(read, Config(), "shop").report.verdicts

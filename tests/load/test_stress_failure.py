"""A load test whose server, disk or connections fail: what ran by then is reported."""

import errno
import json
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgwatch_wed.cli import stress as command
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import reaper
from pgwatch_wed.errors import CollectError, ConnectError
from pgwatch_wed.load.compare import against_course
from pgwatch_wed.load.compare.against import AgainstGrounds, AgainstSettings
from pgwatch_wed.load.course import stress_job
from pgwatch_wed.load.course.against_job import AgainstJob
from pgwatch_wed.load.course.stress_course import StressCourse
from pgwatch_wed.load.course.stress_job import LoadPlace, StressJob
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround, embedded_ground
from pgwatch_wed.load.ground.stop_conditions import stop_conditions
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    FailureKind,
    Ground,
    LoadScript,
    Order,
    Scenario,
)
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile
from pgwatch_wed.load.stress_report import PhaseKind, StressComparison, StressReport
from pgwatch_wed.progress import silent
from tests.load.grounds import own_ground
from tests.load.stress_samples import sample_report

__all__ = ["own_ground"]

SELECT_ONE = Scenario(
    name="one",
    title="A number",
    prepare=(),
    scripts=(LoadScript(name="one", text="select 1;"),),
    clients=1,
    is_writing=False,
)
BROKEN = replace(SELECT_ONE, name="broken", prepare=("select no_such_column",))
PROFILE = LoadProfile(
    name="short",
    scenarios={"one": 1},
    seconds={PhaseKind.STEADY: 3},
    rate=50.0,
    block_s=1,
    warmup_s=0,
)


def course(place: EmbeddedGround, profile: LoadProfile = PROFILE) -> StressCourse:
    return StressCourse(
        ground=place.ground,
        profile=profile,
        scenarios={"one": SELECT_ONE, "broken": BROKEN},
        run_block=runner(place.ground),
        settings=Config(),
        progress=silent,
    )


def test_a_server_that_dies_does_not_take_the_report_with_it() -> None:
    with embedded_ground() as place:
        run = course(place)
        real, done = run.run_block, list[Block]()

        def dying(order: Order) -> Block:
            if done:
                reaper.stop_postmaster(place.server.data)
            done.append(real(order))
            return done[-1]

        run.run_block = dying
        report = run.run()
    (only,) = report.runs
    assert isinstance(report.failure, ConnectError)
    assert report.ended_early == only.ended_early == report.failure.message
    assert [len(p.blocks) for p in only.phases] == [1]
    assert only.analysis is None
    assert only.no_analysis
    assert all(o.answer is not Answer.FAIL for o in only.objectives)


def job(**more: Any) -> StressJob:
    given: dict[str, Any] = {"profile": PROFILE, "progress": silent, **more}
    return StressJob(
        scenarios={"one": SELECT_ONE},
        settings=Config(),
        is_proving=False,
        original=None,
        **given,
    )


def test_a_run_that_the_servers_failure_ends_has_failed() -> None:
    with embedded_ground() as place, ExitStack() as ends:

        def told(what: str, _share: float) -> None:
            if "block 2" in what:  # dies during the block, or before it
                timer = threading.Timer(0.3, reaper.stop_postmaster, [place.server.data])
                ends.callback(timer.join)
                timer.start()

        report = job(progress=told).on(LoadPlace(place.ground, place.server))
    assert report.failure is not None
    assert report.failure.exit_status == 3
    assert report.ended_early
    assert report.runs[0].phases[0].blocks[0].transactions > 0


def test_a_server_that_does_not_answer_is_told_from_other_reasons(
    own_ground: EmbeddedGround,
) -> None:
    with stop_conditions(own_ground.ground) as stop:
        assert (stop(), stop.has_failed) == ("", False)
        stop.session.close()
        stop._asked = float("-inf")
        assert "does not answer" in stop()
        assert stop.has_failed


def test_a_run_ends_when_its_blocks_take_too_long_and_counts_timeouts(
    own_ground: EmbeddedGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job()._most_s() > 2 * PROFILE.total_s
    assert replace(job(), is_proving=True)._most_s() > 1200
    monkeypatch.setattr(stress_job, "_SLACK_S", 1.5 - 2 * PROFILE.total_s)
    slow = replace(SELECT_ONE, scripts=(LoadScript(name="one", text="select pg_sleep(0.02);"),))
    ordered = job(profile=replace(PROFILE, rate=20.0, timeout_s=0.01))
    place = LoadPlace(own_ground.ground, own_ground.server)
    report = replace(ordered, scenarios={"one": slow}).on(place)
    assert report.ended_early == "the time limit of 2 s is reached"
    assert report.failure is None
    assert any("longer than 10 ms" in note for note in report.notes)
    blocks = report.runs[0].phases[0].blocks
    assert len(blocks) < 3
    assert sum(b.transactions for b in blocks) == 0
    assert sum(b.failures.get(FailureKind.TIMEOUT, 0) for b in blocks) > 0


def test_a_scenario_that_cannot_be_prepared_keeps_those_before_it(
    own_ground: EmbeddedGround,
) -> None:
    report = course(own_ground, replace(PROFILE, scenarios={"one": 1, "broken": 1})).run()
    assert [r.scenario.name for r in report.runs] == ["one"]
    assert isinstance(report.failure, CollectError)
    assert "scenario broken could not be prepared" in report.ended_early
    with pytest.raises(CollectError):
        course(own_ground, replace(PROFILE, scenarios={"broken": 1, "one": 1})).run()


def test_a_full_disk_of_the_generator_is_one_line(
    own_ground: EmbeddedGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    order = Order(scripts=SELECT_ONE.scripts, clients=1, rate=50.0, seconds=1, warmup_s=0)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CollectError, match="files could not be written: No space left") as caught:
        runner(own_ground.ground)(order)
    assert tempfile.gettempdir() in caught.value.hint


def test_a_reason_to_stop_is_not_taken_for_slow_connections(own_ground: EmbeddedGround) -> None:
    order = Order(scripts=SELECT_ONE.scripts, clients=1, rate=None, seconds=5, warmup_s=0)
    block = runner(own_ground.ground, stop=lambda: "the disk is full")(order)
    assert block.ended_early == "the disk is full"


def comparing(kind: type[AgainstJob]) -> AgainstJob:
    return kind(
        against=AgainstSettings({"jit": "off"}, "jit = off"),
        target=None,
        owned=(),
        even_if=frozenset(),
        is_writing=True,
        pairs=None,
        progress=silent,
    )


class LostComparison(AgainstJob):
    """A comparison whose server goes away."""

    def compared(self, report: StressReport) -> AgainstGrounds:  # type: ignore[override]
        raise psycopg.OperationalError("server closed the connection")


@pytest.mark.parametrize("ended_early", ["", "the disk is full"])
def test_what_was_to_be_compared_and_was_not_is_said(ended_early: str) -> None:
    found = comparing(LostComparison).added_to(
        replace(sample_report(), comparison=None, ended_early=ended_early)
    )
    assert found.comparison is not None
    assert found.comparison.metrics == ()
    (note,) = found.comparison.notes
    assert note == f"nothing was compared: {ended_early}" if ended_early else "closed" in note


class InterruptedComparison(AgainstJob):
    """A comparison during whose third pair somebody pressed Ctrl-C."""

    def compared(self, report: StressReport) -> StressComparison:
        return StressComparison(
            label="jit = off", taken_at=None, metrics=(), ended_early="interrupted"
        )


def test_an_interrupted_comparison_is_an_interrupted_run() -> None:
    found = comparing(InterruptedComparison).added_to(replace(sample_report(), comparison=None))
    assert found.ended_early == "interrupted"
    assert found.comparison is not None


def test_a_block_that_is_interrupted_ends_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_course, "_run", lambda *_: [])
    ground = Ground(conninfo="", shown="", database="", server_version=180000, is_embedded=True)
    grounds = AgainstGrounds(base=ground, current=ground, label="jit = off")
    order = Order(scripts=SELECT_ONE.scripts, clients=1, rate=50.0, seconds=1, warmup_s=0)
    compared = against_course.compare_against(grounds, [(SELECT_ONE, order)], lambda *_: None)
    assert compared.ended_early == "interrupted"


def test_a_run_that_failed_is_written_and_then_fails(tmp_path: Path) -> None:
    gone = CollectError("the server is gone")
    output = command.StressOutput(("json",), tmp_path, (), None, None, quiet=True, verbose=False)
    with pytest.raises(CollectError) as caught:
        command._deliver(replace(sample_report(), failure=gone, ended_early=gone.message), output)
    assert caught.value is gone
    (path,) = tmp_path.glob("report-*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["ended_early"] == gone.message

"""A report with everything that one may contain, made up: for what renders it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pgwatch_wed.findings import Grade, Remedy
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockWork,
    FailureKind,
    Latencies,
    LoadObjective,
    LoadScript,
    Machine,
    ObjectiveResult,
    Order,
    Proven,
    Scenario,
    Spoilt,
    TimeSpent,
)
from pgwatch_wed.load.sampling.load_causes import CauseQuery, LoadCause, LoadCauseKind
from pgwatch_wed.load.stress_report import (
    ComparedAs,
    ComparedMetric,
    DbTime,
    DbTimeShare,
    Generator,
    Knee,
    PercentileFigure,
    Phase,
    PhaseFigures,
    PhaseKind,
    ProofChain,
    ProofStep,
    ReplayedStatement,
    ReplayFidelity,
    ScenarioRun,
    StressComparison,
    StressReport,
    StressTarget,
    WorkEffect,
)

SCENARIO = Scenario(
    name="transfers",
    title="Transfers between accounts",
    prepare=("create table accounts (id int primary key, balance int)",),
    scripts=(LoadScript(name="transfer", text="update accounts set balance = balance + 1;"),),
    clients=8,
    is_writing=True,
)


@dataclass(frozen=True, slots=True)
class ListedTimes:
    """Times in ms, one by one."""

    ms: tuple[float, ...]

    @property
    def count(self) -> int:
        return len(self.ms)

    def percentile(self, percent: float) -> float | None:
        beyond = self.count * (1 - percent / 100)
        return sorted(self.ms)[int(self.count * percent / 100)] if beyond >= 10 else None

    def mean(self) -> float | None:
        return sum(self.ms) / self.count if self.ms else None

    def above(self, limit_ms: float) -> int:
        return sum(t > limit_ms for t in self.ms)

    def added(self, other: Latencies) -> "ListedTimes":
        assert isinstance(other, ListedTimes)
        return ListedTimes(self.ms + other.ms)

    def encoded(self) -> str:
        return ",".join(f"{t:g}" for t in self.ms)


def block(
    ms: tuple[float, ...] = tuple(range(1, 501)),
    failures: dict[FailureKind, int] | None = None,
    spoilt: tuple[Spoilt, ...] = (),
    rate: float | None = 100.0,
    seconds: float = 5.0,
    **more: object,
) -> Block:
    times = ListedTimes(ms)
    spent = TimeSpent(latency=times, lag=None if rate is None else times, service=times)
    order = Order(scripts=SCENARIO.scripts, clients=8, rate=rate, seconds=seconds)
    made = Block(
        order=order,
        began=1_790_000_000.0,
        seconds=seconds,
        transactions=len(ms),
        failures=failures or {},
        retries=0,
        spent=spent,
        by_script={"transfer": spent},
        work=BlockWork(transactions=len(ms), blocks_hit=10 * len(ms), plans={"transfer": "Update"}),
        machine=Machine(cores=2, generator_cpu=0.1, pressure=0.05),
        spoilt=spoilt,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def sample_report() -> StressReport:
    """Return a report in which nothing is missing."""
    p95 = PercentileFigure(percent=95, ms=93.0, interval=(80.0, 101.0))
    p99 = PercentileFigure(percent=99, ms=None, reason="fewer than 10 transactions beyond it")
    figures = PhaseFigures(
        blocks=3,
        believed=2,
        seconds=15.0,
        is_open=True,
        rate=100.0,
        clients=8,
        transactions=1500,
        failures={FailureKind.DEADLOCK: 2, FailureKind.SKIPPED: 0},
        retries=3,
        tps=99.6,
        error_share=0.0013,
        error_interval=(0.0002, 0.0048),
        latency=(p95, p99),
        lag=(PercentileFigure(percent=95, ms=1.5),),
        service=(p95,),
        work=BlockWork(transactions=1500, blocks_hit=15_000, wal_records=4_500),
        histogram=ListedTimes((1.0, 2.0)),
    )
    spoilt = Spoilt(check="cpu-pressure", text="others used the CPU in 1 of 3 blocks")
    steady = Phase(
        kind=PhaseKind.STEADY, blocks=(block(), block(), block(spoilt=(spoilt,))), figures=figures
    )
    ramp = Phase(kind=PhaseKind.RAMP, blocks=(), figures=None, ended_early="out of time")
    remedy = Remedy(
        sql="CREATE INDEX CONCURRENTLY ON accounts (owner);",
        lock="SHARE UPDATE EXCLUSIVE",
        in_transaction=False,
        undo="DROP INDEX CONCURRENTLY accounts_owner_idx;",
    )
    proven = ProofStep(
        cause="missing index",
        probe="CREATE INDEX ON accounts (owner)",
        result=Proven.PROVEN,
        metric="p50",
        ratio=0.02,
        interval=(0.02, 0.03),
        pairs=6,
        pairs_needed=None,
        reason="",
        remedy=(remedy,),
        remains=True,
        capacity_before=40.0,
        capacity_after=410.0,
        capacity_interval=(402.0, 415.0),
        kind="index",
        share=0.83,
        findings=("0123456789abcdef",),
        before=(9.0,) * 6,
        after=(0.18,) * 6,
        work=(
            WorkEffect(
                name="blocks",
                before=(900.0,) * 6,
                after=(4.0,) * 6,
                ratio=0.0044,
                interval=(0.0044, 0.0044),
                shows=Proven.PROVEN,
            ),
        ),
        seconds=84.0,
    )
    unproven = ProofStep(
        cause="temporary files",
        probe="work_mem = 64MB",
        result=Proven.NOT_PROVEN,
        metric="p50",
        ratio=0.85,
        interval=(0.64, 1.11),
        pairs=6,
        pairs_needed=34,
        reason="the interval contains 1",
    )
    cause = LoadCause(
        kind=LoadCauseKind.MISSING_INDEX,
        share=0.83,
        direct=0.8,
        interval=(0.75, 0.9),
        queries=(CauseQuery(key="1", query_id=1, text="select …", share=0.8),),
        text="select … reads 10,000 rows for each that it returns",
        grade=Grade.A,
        concerns="accounts",
    )
    share = DbTimeShare(
        query_id=1,
        query="select …",
        wait="CPU",
        share=0.8,
        seconds=12.0,
        through={"Lock:transactionid": 0.1},
    )
    run = ScenarioRun(
        scenario=SCENARIO,
        seed=1,
        phases=(ramp, steady),
        objectives=(
            ObjectiveResult(
                objective=LoadObjective(name="p95", limit=200.0),
                answer=Answer.PASS,
                value=93.0,
                interval=(80.0, 101.0),
                reason="the interval is below the limit",
            ),
            ObjectiveResult(
                objective=LoadObjective(name="errors", limit=0.001),
                answer=Answer.UNKNOWN,
                value=0.0013,
                interval=(0.0002, 0.0048),
                reason="the interval contains the limit",
            ),
        ),
        spoilt=(spoilt,),
        knee=Knee(
            tps=410.0, clients=8, is_open=True, reason="it kept up with 410/s, not with 500/s"
        ),
        no_analysis="the server could not be read afterwards",
        causes=(cause,),
        db_time=DbTime(
            seconds=15.0, samples=150, active_sessions=1.0, largest_gap_s=0.2, charged=(share,)
        ),
        proof=ProofChain(steps=(proven, unproven), ended="nothing more was proven"),
        fidelity=ReplayFidelity(
            covered_share=0.71,
            statements=(
                ReplayedStatement(
                    query_id=2, query="select 2", share=0.1, is_used=False, reason="it locks rows"
                ),
            ),
            not_reproduced=("transactions", "order"),
        ),
        errors=("deadlock detected",),
    )
    metric = ComparedMetric(
        scenario="transfers",
        metric="blocks per transaction",
        is_work=True,
        before=10.0,
        after=16.3,
        ratio=1.63,
        interval=(1.62, 1.64),
        result=ComparedAs.REGRESSION,
        reason="above the margin of 2%",
    )
    return StressReport(
        generated_at=datetime(2026, 11, 26, 8, 0, tzinfo=UTC),
        tool_version="1.0",
        profile="quick",
        seed=1,
        target=StressTarget(
            label="embedded/pgwatch_wed_stress_0",
            is_embedded=True,
            server_version="18.6",
            server_version_num=180006,
            settings={"fsync": "on"},
            sync_ms=4.8,
            notes=("a note of the ground",),
        ),
        generator=Generator(program="pgbench 18.6", cores=2, cpu="some CPU", machine="0123"),
        runs=(run,),
        comparison=StressComparison(
            label="last week", taken_at=None, metrics=(metric,), notes=("another machine",)
        ),
        ended_early="interrupted",
        notes=("a note",),
    )

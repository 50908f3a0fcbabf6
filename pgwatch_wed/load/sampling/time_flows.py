"""Looks at sessions → where DB time went: pure.

Left out are idle sessions, whatever they are said to wait for, background processes, which are kept apart, and this
tool. A session that waits within a transaction for its client counts only through those that it blocks. Parallel workers are
no sessions: what they do is what their leader waits for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pgwatch_wed.load.ground.ground_connection import STRESS_NAME
from pgwatch_wed.load.sampling.active_samples import (
    IDLE_IN_TRANSACTION,
    NO_STATEMENT,
    NO_WAIT,
    FlowTime,
    QueueHead,
    TimeFlow,
    WaitName,
)
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind
from pgwatch_wed.load.sampling.look_times import idle_since
from pgwatch_wed.load.sampling.root_blockers import Roots, roots_behind
from pgwatch_wed.load.sampling.session_look import SeenProcess, SessionLook
from pgwatch_wed.load.sampling.statement_names import StatementNames
from pgwatch_wed.load.sampling.wait_kinds import wait_kind
from pgwatch_wed.target.connect import is_ours

ROUND_TRIP_S = 1.0
"""Who is idle within a transaction for longer does not wait for a round trip."""
IN_TRANSIT_S = 0.05
"""An active session that waits for its client's data for longer really does: state and wait are not read at one moment."""
_IDLE_IN_TRANSACTION = frozenset({"idle in transaction", "idle in transaction (aborted)"})
_ACTIVE = frozenset({"active", "fastpath function call"})
_CLIENT = "client backend"
_WORKER = "parallel worker"
_CHECKPOINTER = "checkpointer"
# A leader in one of these waits for its workers.
_PARALLEL = frozenset(
    name.lower()
    for name in (
        *("ExecuteGather", "BgWorkerStartup", "BgWorkerShutdown", "ParallelFinish"),
        *("MessageQueueSend", "MessageQueueReceive", "MessageQueueInternal", "ParallelBitmapScan"),
        *("ParallelCreateIndexScan", "HashBuildHashInner", "HashBuildAllocate", "HashBuildElect"),
        *("HashBuildHashOuter", "HashBatchAllocate", "HashBatchElect", "HashBatchLoad"),
        *("HashGrowBatchesElect", "HashGrowBatchesFinish", "HashGrowBatchesReallocate"),
        *("HashGrowBatchesRepartition", "HashGrowBucketsElect", "HashGrowBucketsReallocate"),
        *("HashGrowBucketsReinsert", "HashGrowBatchesDecide"),
    )
)


@dataclass(slots=True)
class FlowBook:
    """What was added up of the looks of a block."""

    database_oid: int
    names: StatementNames
    cores: int | None = None
    application_name: str = ""  # of the sessions of the block
    long_idles: frozenset[tuple[int, int]] = frozenset()
    busy: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0
    active_s: float = 0.0
    in_transaction_s: float = 0.0
    running_s: float = 0.0
    waiting_for_core_s: float = 0.0
    connecting_s: float = 0.0
    in_transit_s: float = 0.0
    checkpoint_s: float = 0.0
    most_active: int = 0
    hidden: int = 0
    untracked: int = 0
    flows: dict[TimeFlow, FlowTime] = field(default_factory=dict)
    background: Counter[tuple[str, WaitName]] = field(default_factory=Counter)

    def add(self, look: SessionLook) -> None:
        """Add what was seen in a look."""
        others = [p for p in look.processes if not _is_tool(p.application_name)]
        by_pid = {p.pid: p for p in others}
        workers: dict[int, list[SeenProcess]] = defaultdict(list)
        for p in others:
            if p.leader_pid is not None and p.leader_pid != p.pid:
                workers[p.leader_pid].append(p)
        seconds = look.stands_for_s
        self.busy.append((seconds, sum(1 for p in others if self._is_busy(p))))
        self.seconds += seconds
        self._whole(others, seconds)
        is_checkpoint = any(p.backend_type == _CHECKPOINTER for p in others)
        self.checkpoint_s += seconds if is_checkpoint else 0.0
        active = [p for p in others if self._is_of_load(p) and self._is_active(p, seconds)]
        self.active_s += seconds * len(active)
        self.most_active = max(self.most_active, len(active))
        long = frozenset(
            p.pid for p in others if (p.pid, idle_since(look.at, p.age_s)) in self.long_idles
        )
        holders = _row_holders(look.processes, self.database_oid)
        scene = _Scene(self.database_oid, by_pid, workers, self.names, long, holders)
        for flow, part in _look_flows(scene, active):
            spent = self.flows.setdefault(flow, FlowTime())
            spent.seconds += seconds * part
            spent.samples += 1
            spent.in_checkpoint_s += seconds * part if is_checkpoint else 0.0

    def _is_busy(self, process: SeenProcess) -> bool:
        """Tell whether a session of the block is in a transaction; those beside it have other names."""
        is_named = not self.application_name or process.application_name == self.application_name
        is_in = process.state in _ACTIVE or process.state in _IDLE_IN_TRANSACTION
        return is_named and is_in and self._is_of_load(process)

    def _is_of_load(self, process: SeenProcess) -> bool:
        return process.backend_type == _CLIENT and process.database_oid == self.database_oid

    def _is_active(self, process: SeenProcess, seconds: float) -> bool:
        if process.state not in _ACTIVE:
            return False
        self.in_transaction_s += seconds
        if _is_in_transit(process):
            self.in_transit_s += seconds
            return False
        return True

    def _whole(self, others: Iterable[SeenProcess], seconds: float) -> None:
        running = hidden = untracked = 0
        for p in others:
            is_session = p.backend_type == _CLIENT
            # that of a parallel worker which just ended is unknown, too, but not its state
            hidden += p.backend_type is None and p.state is None
            untracked += p.state == "disabled"
            if is_session and (p.state is None or p.state == "starting"):
                self.connecting_s += seconds
            if not is_session and p.backend_type not in (None, _WORKER):
                self.background[p.backend_type or "", _wait(p)] += seconds  # type: ignore[assignment]
            if (
                is_session
                and p.database_oid == self.database_oid
                and p.state in _IDLE_IN_TRANSACTION
            ):
                self.in_transaction_s += seconds
            running += p.wait_event_type is None and (not is_session or p.state in _ACTIVE)
        self.hidden = max(self.hidden, hidden)
        self.untracked = max(self.untracked, untracked)
        self.running_s += seconds * running
        if self.cores is not None:
            self.waiting_for_core_s += seconds * max(running - self.cores, 0)


@dataclass(frozen=True, slots=True)
class _Scene:
    database_oid: int
    by_pid: Mapping[int, SeenProcess]
    workers: Mapping[int, Sequence[SeenProcess]]
    names: StatementNames
    long_idle: frozenset[int] = frozenset()
    row_holders: Sequence[
        SeenProcess
    ] = ()  # who can hold rows that others wait for; empty if not known


def _row_holders(processes: Sequence[SeenProcess], database_oid: int) -> list[SeenProcess]:
    found = [
        p
        for p in processes
        if p.has_xid and not p.waits_for_lock and p.database_oid == database_oid
    ]
    is_known = all(p.backend_type is not None for p in processes)
    return [] if not is_known or any(_is_tool(p.application_name) for p in found) else found


def _look_flows(scene: _Scene, active: Sequence[SeenProcess]) -> list[tuple[TimeFlow, float]]:
    """Return what each active session spent this moment on; the parts of a session add up to 1."""
    found: list[tuple[TimeFlow, float]] = []
    unknown: list[SeenProcess] = []
    answers: dict[str | None, list[tuple[TimeFlow, float]]] = defaultdict(list)
    for p in active:
        if not p.waits_for_lock:
            found += _own(scene, p)
            continue
        roots = roots_behind(p, scene.by_pid)
        if not roots.is_known and roots.unasked:
            unknown.append(p)
            continue
        parts = _charged(scene, p, roots)
        if all(flow.holder is QueueHead.GONE for flow, _ in parts):
            parts = _passed_on(scene, p) or parts
        found += parts
        answers[p.wait_event] += parts
    for p in unknown:
        found += _like_others(scene, p, answers.get(p.wait_event) or [*chain(*answers.values())])
    return found


def _like_others(
    scene: _Scene, waiter: SeenProcess, others: Sequence[tuple[TimeFlow, float]]
) -> list[tuple[TimeFlow, float]]:
    """Of many that wait, some were asked for whom: the others wait for the same on average."""
    query, wait = scene.names.key(waiter), _wait(waiter)
    total = sum(part for _, part in others)
    if not total:
        return [(TimeFlow(query, wait, QueueHead.GONE, NO_STATEMENT, NO_WAIT), 1.0)]
    return [(flow._replace(query=query, wait=wait), part / total) for flow, part in others]


def _own(scene: _Scene, process: SeenProcess) -> list[tuple[TimeFlow, float]]:
    query = scene.names.key(process)
    doing = _doing(scene, process)
    return [
        (TimeFlow(query, wait, QueueHead.ITSELF, query, wait), 1 / len(doing)) for wait in doing
    ]


def _doing(scene: _Scene, process: SeenProcess) -> list[WaitName]:
    """Return what a session does, which is what its workers do if it waits for them."""
    own = _wait(process)
    workers = scene.workers.get(process.pid, ())
    if workers and own.event.lower() in _PARALLEL:
        theirs = [w for w in map(_wait, workers) if w.event.lower() not in _PARALLEL]
        return theirs or [own]
    return [own]


def _charged(scene: _Scene, waiter: SeenProcess, roots: Roots) -> list[tuple[TimeFlow, float]]:
    query, wait = scene.names.key(waiter), _wait(waiter)
    ends: list[TimeFlow] = []
    for pid in roots.pids:
        head = scene.by_pid.get(pid)
        ends += _ends(scene, query, wait, head)
    if roots.is_prepared:
        ends.append(TimeFlow(query, wait, QueueHead.PREPARED, NO_STATEMENT, NO_WAIT))
    if roots.is_cycle:
        ends.append(TimeFlow(query, wait, QueueHead.CYCLE, query, wait))
    ends = ends or [TimeFlow(query, wait, QueueHead.GONE, NO_STATEMENT, NO_WAIT)]
    return [(end, 1 / len(ends)) for end in ends]


def _passed_on(scene: _Scene, waiter: SeenProcess) -> list[tuple[TimeFlow, float]]:
    """Return what the holder did if its lock was passed on while it was looked up, and it can only have done one thing.

    Whom a session waits for is asked a moment after what all sessions do was read. The holder of a row at that moment
    was one of those with a transaction ID that did not wait for a lock themselves.
    """
    query, wait = scene.names.key(waiter), _wait(waiter)
    if wait_kind(wait) is not LoadCauseKind.ROW_LOCK:
        return []
    ends = [end for holder in scene.row_holders for end in _ends(scene, query, wait, holder)]
    if len({end._replace(held_query=NO_STATEMENT) for end in ends}) != 1:
        return []
    return [(end, 1 / len(ends)) for end in ends]


def _ends(scene: _Scene, query: str, wait: WaitName, head: SeenProcess | None) -> list[TimeFlow]:
    if head is None:
        return [TimeFlow(query, wait, QueueHead.GONE, NO_STATEMENT, NO_WAIT)]
    if head.backend_type != _CLIENT:
        who = head.backend_type or "a process that this role may not see"
        return [TimeFlow(query, wait, QueueHead.BACKGROUND, NO_STATEMENT, _wait(head), who)]
    is_of_load = head.database_oid == scene.database_oid
    holder = QueueHead.LOAD if is_of_load else QueueHead.OUTSIDE
    who = "" if is_of_load else head.application_name or "without a name"
    held = scene.names.key(head)
    is_long = (head.age_s or 0.0) >= ROUND_TRIP_S or head.pid in scene.long_idle
    if head.state in _IDLE_IN_TRANSACTION or _is_in_transit(head):
        return [TimeFlow(query, wait, holder, held, IDLE_IN_TRANSACTION, who, is_long)]
    if head.state == "idle":
        # a lock of the session, if it is one that outlives transactions; otherwise it has just ended
        if wait.event != "advisory":
            return [TimeFlow(query, wait, QueueHead.GONE, NO_STATEMENT, NO_WAIT)]
        return [TimeFlow(query, wait, holder, held, WaitName("Client", "idle"), who, is_long)]
    return [TimeFlow(query, wait, holder, held, each, who) for each in _doing(scene, head)]


def _is_in_transit(process: SeenProcess) -> bool:
    is_reading = (process.wait_event_type, process.wait_event) == ("Client", "ClientRead")
    return is_reading and process.state in _ACTIVE and (process.age_s or 0.0) < IN_TRANSIT_S


def _wait(process: SeenProcess) -> WaitName:
    return WaitName(process.wait_event_type or "", process.wait_event or "")


def _is_tool(application_name: str | None) -> bool:
    """Tell whether a session is of this tool, and not one of a load's."""
    is_of_load = (application_name or "").startswith(f"{STRESS_NAME} ")
    return is_ours(application_name) and not is_of_load

"""A stored load test, as far as it can be compared: read from its JSON document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pgwatch_wed.load.load_json import STRESS_SCHEMA_VERSION
from pgwatch_wed.load.load_model import BlockWork, FailureKind
from pgwatch_wed.load.stress_report import PhaseKind

T = TypeVar("T")

_MEASURED = (PhaseKind.SOAK.value, PhaseKind.STEADY.value)
_CHECKS_THAT_END = ("interrupted",)
# What never began costs nothing, and what came too late did all of its work.
_OF_TIME = (FailureKind.SKIPPED, FailureKind.TIMEOUT)
_COUNTS = (
    "blocks_hit",
    "blocks_read",
    "rows_changed",
    "temp_bytes",
    "wal_records",
    "wal_bytes",
    "wal_full_page_images",
    "upkeep",
)


class NoStressDocumentError(Exception):
    """A document is not what ``db-analyze stress --format json`` writes; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBlock:
    """A block of a stored run, without its times: those of another day say nothing.

    ``failed``: transactions that began and did not do all of their work.
    """

    transactions: int
    failed: int
    rate: float | None
    work: BlockWork | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredScenario:
    """A scenario of a stored run. ``same``: what must agree for a comparison, in words for people."""

    name: str
    same: Mapping[str, str]
    is_writing: bool
    blocks: tuple[MeasuredBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """A stored run. ``differs``: what may differ, and is said."""

    taken_at: datetime
    seed: int
    machine: str
    server_version: str
    settings: Mapping[str, str]
    differs: Mapping[str, str]
    scenarios: Mapping[str, MeasuredScenario]


def measured_run(document: object) -> MeasuredRun:
    """Read a document; raises :class:`NoStressDocumentError` if it is none or of another schema version."""
    if not isinstance(document, dict) or document.get("kind") != "stress":
        raise NoStressDocumentError("it is not a JSON report of db-analyze stress")
    version = document.get("schema_version")
    if version != STRESS_SCHEMA_VERSION:
        text = f"its schema version is {version!s:.20}, and {STRESS_SCHEMA_VERSION} is expected"
        raise NoStressDocumentError(text)
    try:
        return _run(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NoStressDocumentError("it is damaged or incomplete") from error


def _run(document: dict[str, Any]) -> MeasuredRun:
    target, generator = document["target"], document["generator"]
    return MeasuredRun(
        taken_at=datetime.fromisoformat(document["generated_at"]),
        seed=_count(document["seed"]),
        machine=str(generator["machine"]),
        server_version=str(target["server_version"]),
        settings={str(k): str(v) for k, v in target["settings"].items()},
        differs={
            "server version": str(target["server_version"]),
            "load generator": str(generator["program"]),
            "db-analyze": str(document["tool"]["version"]),
            "profile": str(document["profile"]),
        },
        scenarios={r["scenario"]["name"]: _scenario(r) for r in document["runs"]},
    )


def _scenario(run: dict[str, Any]) -> MeasuredScenario:
    told = run["scenario"]
    return MeasuredScenario(
        name=str(told["name"]),
        same={
            "the scripts": _scripts(told["scripts"]),
            "the scripts in the background": _scripts(told["background"]),
            "the data (scale)": str(told.get("data", "")),
            "the seed": str(run["seed"]),
            "the number of clients": str(told["clients"]),
            "the protocol": str(told["protocol"]),
            "connecting": "for each transaction" if told["reconnects"] else "once",
            "the pooler": "pgbouncer" if told["pooler"] else "none",
        },
        is_writing=bool(told["is_writing"]),
        blocks=_blocks(run["phases"]),
    )


def _scripts(scripts: list[dict[str, Any]]) -> str:
    return "\n".join(f"{s['weight']}@{s['name']}:{s['text']}" for s in scripts)


def _blocks(phases: list[dict[str, Any]]) -> tuple[MeasuredBlock, ...]:
    """Return the blocks that objectives are evaluated on: all have one rate."""
    for kind in _MEASURED:
        for phase in phases:
            if phase["kind"] == kind and (blocks := [b for b in phase["blocks"] if _is_whole(b)]):
                return tuple(_block(b) for b in blocks)
    return ()


def _is_whole(block: dict[str, Any]) -> bool:
    return not block["ended_early"] and not any(
        s["check"] in _CHECKS_THAT_END for s in block["spoilt"]
    )


def _block(block: dict[str, Any]) -> MeasuredBlock:
    work = block["work"]
    return MeasuredBlock(
        transactions=_count(block["transactions"]),
        failed=failed_in_part({k: _count(n) for k, n in block["failures"].items()}),
        rate=_maybe(float, block["rate"]),
        work=None if work is None else _work(work),
    )


def failed_in_part(failures: Mapping[str, int] | Mapping[FailureKind, int]) -> int:
    """Return how many transactions did only a part of their work."""
    return sum(n for kind, n in failures.items() if kind not in _OF_TIME)


def _work(work: dict[str, Any]) -> BlockWork:
    return BlockWork(
        transactions=_count(work["transactions"]),
        **{name: _maybe(_count, work.get(name)) for name in _COUNTS},
        plans={str(k): str(v) for k, v in work["plans"].items()},
    )


def _count(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("a count is negative")
    return number


def _maybe(convert: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else convert(value)

"""Which probe tries a cause or a finding. What leads to the same probe is tried once."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pgwatch_wed.findings import Finding, Report
from pgwatch_wed.load.load_model import Order
from pgwatch_wed.load.proof import hot_rows, setting_levers
from pgwatch_wed.load.proof.index_levers import (
    absent_index_lever,
    index_definitions,
    index_lever,
)
from pgwatch_wed.load.proof.load_probes import (
    LoadProbe,
    LoadProbeKind,
    NotTriedError,
    PreparedLever,
    ProbeLever,
)
from pgwatch_wed.load.proof.proof_bench import ProofBench
from pgwatch_wed.load.proof.table_levers import rebuild_lever, statistics_lever
from pgwatch_wed.load.proof.undo_journal import PREFIX, SCHEMA
from pgwatch_wed.load.sampling.load_causes import LoadCause, LoadCauseKind

# Probes that need to know nothing of the object: what they do, in one clause.
_SETTINGS: dict[LoadProbeKind, tuple[str, PreparedLever]] = {
    LoadProbeKind.WORK_MEM: ("more work_mem in the sessions of the load", setting_levers.work_mem),
    LoadProbeKind.JIT: ("jit off in the sessions of the load", setting_levers.jit_off),
    LoadProbeKind.PLANNING: ("statements planned once in a session", setting_levers.planning),
    LoadProbeKind.FLUSH: ("synchronous_commit off, only to see its share", setting_levers.no_flush),
    LoadProbeKind.REPLICATION: (
        "commits that do not wait for standbys, only to see their share",
        setting_levers.local_commit,
    ),
    LoadProbeKind.CHECKPOINTS: (
        "max_wal_size so large that checkpoints begin only by the clock",
        setting_levers.checkpoints,
    ),
    LoadProbeKind.CACHE: ("larger shared_buffers", setting_levers.cache),
    LoadProbeKind.WAL_BUFFERS: ("larger wal_buffers", setting_levers.wal_buffers),
    LoadProbeKind.POOLER: ("connections through a pooler", setting_levers.pooler),
    LoadProbeKind.SPREADING: (
        "rows of its own for each client, only to see the share of row locks",
        hot_rows.spreading,
    ),
}
_BY_CAUSE = {
    LoadCauseKind.FLUSH: LoadProbeKind.FLUSH,
    LoadCauseKind.WAL_INSERT: LoadProbeKind.WAL_BUFFERS,
    LoadCauseKind.REPLICATION: LoadProbeKind.REPLICATION,
    LoadCauseKind.CHECKPOINT: LoadProbeKind.CHECKPOINTS,
    LoadCauseKind.FULL_PAGE_IMAGES: LoadProbeKind.CHECKPOINTS,
    LoadCauseKind.TEMP_FILES: LoadProbeKind.WORK_MEM,
    LoadCauseKind.JIT: LoadProbeKind.JIT,
    LoadCauseKind.PLANNING: LoadProbeKind.PLANNING,
    LoadCauseKind.IO_READ: LoadProbeKind.CACHE,
    LoadCauseKind.IO_WRITE: LoadProbeKind.CACHE,
    LoadCauseKind.ROW_LOCK: LoadProbeKind.SPREADING,
    LoadCauseKind.CONNECTIONS: LoadProbeKind.POOLER,
}
_BY_RULE = {
    "query-temp-spill": LoadProbeKind.WORK_MEM,
    "cache-work-mem": LoadProbeKind.WORK_MEM,
    "cache-temp-files": LoadProbeKind.WORK_MEM,
    "query-jit-overhead": LoadProbeKind.JIT,
    "query-planning-heavy": LoadProbeKind.PLANNING,
    "wal-checkpoints-requested": LoadProbeKind.CHECKPOINTS,
    "wal-full-page-images": LoadProbeKind.CHECKPOINTS,
    "wal-buffers-full": LoadProbeKind.WAL_BUFFERS,
    "cache-hit-ratio": LoadProbeKind.CACHE,
    "cache-shared-buffers": LoadProbeKind.CACHE,
    "query-io-bound": LoadProbeKind.CACHE,
    "connection-churn": LoadProbeKind.POOLER,
}
_INDEX_RULES = frozenset({"index-missing", "index-missing-fk", "index-brin-candidate"})
_ABSENT_RULES = frozenset(
    {"index-unused", "index-rarely-used", "index-duplicate", "index-redundant"}
)
_STATISTICS_RULES = frozenset(
    {"analyze-stale", "analyze-stale-size", "analyze-never", "analyze-partition-parent"}
)
_BLOAT_RULES = frozenset({"table-bloat", "index-bloat", "vacuum-dead-tuples"})
ABOUT_WRITES = _ABSENT_RULES | {"index-missing-fk"}
"""What costs only those who write."""
ABOUT_TABLES = _STATISTICS_RULES | _BLOAT_RULES
"""What is found in tables, whoever uses them."""
_INDEX_CAUSES = frozenset({LoadCauseKind.MISSING_INDEX, LoadCauseKind.QUERY_CPU})
_VACUUM = "autovacuum works in cycles of minutes, longer than two of which no block lasts"
_WHY_NONE = {
    LoadCauseKind.VACUUM: _VACUUM,
    LoadCauseKind.CLIENT_ROUND_TRIPS: "it is what the client does between two statements",
    LoadCauseKind.IDLE_TRANSACTION: "it is what the client does between two statements",
    LoadCauseKind.RESULTS: "it is how fast the client takes results",
}
_NO_PROBE = "no probe takes this away"


def probes(causes: Iterable[LoadCause], report: Report | None) -> tuple[LoadProbe, ...]:
    """Return a probe for each cause and each finding, those of the causes first, in their order."""
    findings = tuple(f for f in report.findings if not _is_ours(f)) if report is not None else ()
    found: dict[object, LoadProbe] = {}
    for probe in (*_of_causes(causes, findings), *_of_findings(findings)):
        known = found.get(probe.key)
        found[probe.key] = probe if known is None else _both(known, probe)
    return tuple(_statistics_first(found.values()))


def _statistics_first(found: Iterable[LoadProbe]) -> list[LoadProbe]:
    """Put new statistics before a rebuilt copy of the same table: the copy is compared with a table that has new ones."""
    order = list(found)
    for rebuilt in [p for p in order if p.kind is LoadProbeKind.REBUILD]:
        at = order.index(rebuilt)
        for probe in order[at:]:
            if probe.kind is LoadProbeKind.STATISTICS and probe.about == rebuilt.about:
                order.remove(probe)
                order.insert(at, probe)
    return order


def _is_ours(finding: Finding) -> bool:
    """Whether it is about what stands there for the proof."""
    return any(
        o.schema == SCHEMA or (o.table or "").startswith(PREFIX) or o.name.startswith(PREFIX)
        for o in (finding.object, *finding.related)
    )


def _both(one: LoadProbe, other: LoadProbe) -> LoadProbe:
    shares = [p.share for p in (one, other) if p.share is not None]
    return replace(
        one,
        findings=tuple(dict.fromkeys((*one.findings, *other.findings))),
        remedy=one.remedy or other.remedy,
        share=max(shares, default=None),
    )


def _of_causes(causes: Iterable[LoadCause], findings: Iterable[Finding]) -> Iterator[LoadProbe]:
    known = tuple(findings)
    for cause in causes:
        kind = _BY_CAUSE.get(cause.kind)
        if kind is not None:
            tried, lever = _SETTINGS[kind]
            yield LoadProbe(
                kind=kind,
                about="",
                tried=tried,
                cause=_named(cause),
                lever=lever,
                share=cause.share,
            )
        elif cause.kind in _INDEX_CAUSES:
            yield from _indexes_for(cause, known)
        else:
            yield _untried(cause, _WHY_NONE.get(cause.kind, _NO_PROBE))


def _indexes_for(cause: LoadCause, findings: Iterable[Finding]) -> Iterator[LoadProbe]:
    """Yield the probes of what was found about a cause's statements; a cause about which nothing was found is told."""
    texts = {q.text for q in cause.queries if q.text}
    ids = {q.query_id for q in cause.queries if q.query_id is not None}
    about = [f for f in findings if _concerns(f, cause, ids, texts)]
    found = [p for f in about if (p := _of_finding(f)) is not None]
    for probe in found:
        yield replace(probe, cause=_named(cause), share=cause.share)
    if not found:
        yield _untried(cause, "nothing was found that could be changed about its statements")


def _concerns(finding: Finding, cause: LoadCause, ids: set[int], texts: set[str]) -> bool:
    if finding.rule in _INDEX_RULES:
        evidence = finding.evidence.get("query_ids") or ()
        queries = finding.evidence.get("queries") or ()
        return bool(
            ids & {int(i) for i in evidence if str(i).lstrip("-").isdigit()}
            or texts & set(map(str, queries))
            or (cause.concerns and cause.concerns in (finding.object.name, finding.object.table))
        )
    if finding.rule in _STATISTICS_RULES | _BLOAT_RULES:
        table = finding.object.table or finding.object.name
        return any(table in text for text in texts)
    return False


def _untried(cause: LoadCause, why: str) -> LoadProbe:
    def lever(_bench: ProofBench, _order: Order) -> ProbeLever:
        raise NotTriedError(why)

    return LoadProbe(
        kind=LoadProbeKind.NONE,
        about=f"{cause.kind} {cause.concerns or cause.text}",
        tried="nothing",
        cause=_named(cause),
        lever=lever,
        share=cause.share,
    )


def _named(cause: LoadCause) -> str:
    return f"{cause.kind.value} ({cause.concerns})" if cause.concerns else cause.kind.value


def _of_findings(findings: Iterable[Finding]) -> Iterator[LoadProbe]:
    for finding in findings:
        probe = _of_finding(finding)
        if probe is not None:
            yield probe


def _of_finding(finding: Finding) -> LoadProbe | None:
    schema, name = finding.object.schema or "public", finding.object.name
    table = finding.object.table or name

    def probe(kind: LoadProbeKind, about: str, tried: str, lever: PreparedLever) -> LoadProbe:
        return LoadProbe(
            kind=kind,
            about=about,
            tried=tried,
            cause=finding.title,
            lever=lever,
            findings=(finding.id,),
            remedy=finding.remedy,
        )

    if (kind := _BY_RULE.get(finding.rule)) is not None:
        tried, lever = _SETTINGS[kind]
        return probe(kind, "", tried, lever)
    if finding.rule in _INDEX_RULES:
        definitions = index_definitions(finding.remedy)
        about = "; ".join(definitions) or finding.id
        return probe(
            LoadProbeKind.INDEX, about, f"an index on {table}, as advised", index_lever(definitions)
        )
    if finding.rule in _ABSENT_RULES:
        lever = absent_index_lever(schema, name)
        return probe(
            LoadProbeKind.INDEX_ABSENT,
            f"{schema}.{name}",
            f"index {name} dropped for a while",
            lever,
        )
    if finding.rule in _STATISTICS_RULES:
        lever = statistics_lever(schema, table)
        return probe(
            LoadProbeKind.STATISTICS, f"{schema}.{table}", f"new statistics for {table}", lever
        )
    if finding.rule in _BLOAT_RULES:
        lever = rebuild_lever(schema, table)
        return probe(
            LoadProbeKind.REBUILD, f"{schema}.{table}", f"a rebuilt copy in place of {table}", lever
        )
    return None

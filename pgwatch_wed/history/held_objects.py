"""Whether a snapshot has what other advice makes: constraints, types, statistics, sequences, extensions, vacuums."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pgwatch_wed.facts import Constraint, Snapshot, Table
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.history.held_indexes import table_of
from pgwatch_wed.history.structure import Status, Structure

_THERE = Status(AppliedState.APPLIED)
_NOT = Status(AppliedState.ABSENT)
_NO_TABLE = Status(AppliedState.GONE, "the table is no longer there")


def _is(condition: object) -> Status:
    return _THERE if condition else _NOT


def place(snapshot: Snapshot, schema: str, name: str) -> dict[str, Any] | None:
    """Return what identifies a table; None if it is not among the facts."""
    found = (t for t in snapshot.tables_named.get(name, ()) if t.schema == schema)
    table = next(found, None)
    return (
        {"table_oid": table.oid, "schema": table.schema, "table": table.name}
        if table is not None
        else None
    )


# Constraints


def constraint(
    snapshot: Snapshot, known: Mapping[str, Any], name: str, wanted: str, kind: str = ""
) -> Structure:
    """Return the structure of a constraint that is ``wanted`` there, gone, validated or enforced."""
    own = next((c for c in snapshot.constraints_of[known["table_oid"]] if c.name == name), None)
    label = f"{wanted} constraint {name} on {known['schema']}.{known['table']}"
    oid = own.oid if own is not None else None
    return Structure(
        "constraint", label, {**known, "name": name, "oid": oid, "wanted": wanted, "of_kind": kind}
    )


def constraint_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a constraint is as advised, by its oid or name."""
    if "constraints" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["constraints"].reason)
    known = structure.known
    table = table_of(snapshot, known)
    if table is None:
        return _NO_TABLE
    found = _constraint(snapshot, table, known)
    match known["wanted"]:
        case "no":
            return _is(found is None)
        case "validated":
            return _is(found is not None and found.is_validated)
        case "enforced":
            return _is(found is not None and found.is_enforced)
    return _is(found is not None)


def _constraint(snapshot: Snapshot, table: Table, known: Mapping[str, Any]) -> Constraint | None:
    for own in snapshot.constraints_of[table.oid]:
        is_kind = bool(known["of_kind"]) and own.kind == known["of_kind"] == "p"
        if own.oid == known["oid"] or own.name == known["name"] or is_kind:
            return own
    return None


def domain_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a constraint of a domain was validated: only others are among the facts."""
    if "domain_constraints" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["domain_constraints"].reason)
    known = structure.known
    wanted = (known["schema"], known["domain"], known["name"])
    same = (c for c in snapshot.domain_constraints if (c.schema, c.domain, c.name) == wanted)
    return _is(not any(not c.is_validated for c in same))


# Columns


def column_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a column has the type, statistics target or number of values that was advised."""
    if "columns" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["columns"].reason)
    known = structure.known
    table = table_of(snapshot, known)
    if table is None:
        return _NO_TABLE
    is_same = table.oid == known["table_oid"]
    columns = snapshot.columns_of[table.oid]
    wanted = known["attnum"] if is_same else None
    own = next(
        (c for c in columns if c.attnum == wanted or (not is_same and c.name == known["column"])),
        None,
    )
    if own is None:
        return Status(AppliedState.GONE, "the column is no longer there")
    now = str(getattr(own, known["aspect"]))
    if now == known["value"]:
        return _THERE
    changed = now != known["before"]
    return Status(AppliedState.PARTLY, f"{now} instead of {known['value']}") if changed else _NOT


def replica_identity_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a table has the replica identity that was advised."""
    if "tables" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["tables"].reason)
    table = table_of(snapshot, structure.known)
    if table is None:
        return _NO_TABLE
    own, wanted = table.replica_identity, structure.known["value"]
    if own == wanted:
        return _THERE
    before = structure.known["before"]
    return Status(AppliedState.PARTLY, "another replica identity") if own != before else _NOT


# Statistics objects, sequences, extensions, slots, prepared transactions


_KINDS = {"ndistinct": "d", "dependencies": "f", "mcv": "m"}  # as in pg_statistic_ext


def statistics_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether extended statistics on these columns exist, whatever their name."""
    if "extended_statistics" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["extended_statistics"].reason)
    known = structure.known
    table = table_of(snapshot, known)
    if table is None:
        return _NO_TABLE
    columns = {c.name: c.attnum for c in snapshot.columns_of[table.oid]}
    wanted = {columns.get(name) for name in known["columns"]}
    here = [e for e in snapshot.extended_statistics if e.table_oid == table.oid]
    for own in here:
        if wanted <= set(own.columns) and {_KINDS[k] for k in known["kinds"]} <= set(own.kinds):
            built = own.is_built is not False
            return _THERE if built else Status(AppliedState.PARTLY, "no ANALYZE has run since")
    return _NOT


def sequence_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a sequence has another end than it had."""
    if "sequences" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["sequences"].reason)
    known = structure.known
    own = next((s for s in snapshot.sequences if s.oid == known["oid"]), None)
    if own is None:
        return Status(AppliedState.GONE, "the sequence is no longer there")
    now = abs(own.max_value if own.increment > 0 else own.min_value)
    return _is(now > known["end"])


def extension_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether an extension is installed, or has another version than before."""
    if "extensions" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["extensions"].reason)
    own = snapshot.extension(structure.known["name"])
    before = structure.known["before"]
    return _is(own is not None and own.installed_version != before)


def slot_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a replication slot is gone."""
    if "slots" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["slots"].reason)
    return _is(all(s.name != structure.known["name"] for s in snapshot.slots))


def prepared_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a prepared transaction has ended."""
    if "prepared_transactions" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["prepared_transactions"].reason)
    return _is(all(p.gid != structure.known["gid"] for p in snapshot.prepared_transactions))


def collation_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether the recorded version of a collation is that of the library again."""
    if "collation_versions" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["collation_versions"].reason)
    return _is(all(c.name not in structure.known["names"] for c in snapshot.collation_versions))


# What happens rather than lasts

_MANUAL = {"vacuum": "last_vacuum", "analyze": "last_analyze"}
_AUTO = {"vacuum": "last_autovacuum", "analyze": "last_autoanalyze"}


def maintained_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a table was vacuumed or analyzed since the advice was given, by whom does not matter."""
    known = structure.known
    table = table_of(snapshot, known)
    if table is None:
        return _NO_TABLE
    activity = snapshot.activity_by_oid.get(table.oid)
    if activity is None:
        lacking = snapshot.missing.get("table_activity")
        return Status(AppliedState.UNKNOWN, lacking.reason if lacking else "it has no counters")
    since = datetime.fromisoformat(known["since"])
    for names, note in ((_MANUAL, ""), (_AUTO, "by autovacuum")):
        moment = getattr(activity, names[known["what"]])
        if moment is not None and moment > since:
            return Status(
                AppliedState.APPLIED, " ".join(filter(None, (f"{moment:%Y-%m-%d %H:%M}", note)))
            )
    return _NOT


def frozen_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether the oldest transaction id of the database is younger than it was."""
    database = snapshot.database
    if database is None:
        return Status(AppliedState.UNKNOWN, "the age of the database is not known")
    return _is(database.xid_age_xids < structure.known["age"])


def shrunk_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a table became smaller: it was rewritten."""
    if "tables" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["tables"].reason)
    table = table_of(snapshot, structure.known)
    return _NO_TABLE if table is None else _is(table.pages < 0.9 * structure.known["pages"])

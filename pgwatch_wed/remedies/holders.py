"""SQL that releases what holds back VACUUM."""

from collections.abc import Iterator

from pgwatch_wed.facts import PreparedTransaction, Replica, Session, Slot
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres.horizon import Holder
from pgwatch_wed.quote import literal
from pgwatch_wed.remedies import sessions


def release(holder: Holder) -> Iterator[Remedy]:
    """Yield the SQL that releases the horizon, if what holds it is proven and can be named."""
    match holder.source:
        case Session() as s:
            yield sessions.stop(s)
        case PreparedTransaction() as p:
            yield sessions.rollback_prepared(p.gid)
        case Slot() as s if not s.is_active:
            yield _drop_slot(s)
        case Slot(slot_type="physical", xmin=int(xmin)) | Replica(backend_xmin=int(xmin)):
            yield sessions.end_on_standby(xmin)


def _drop_slot(slot: Slot) -> Remedy:
    name = literal(slot.name)
    if slot.slot_type == "logical":
        undo = f"SELECT pg_create_logical_replication_slot({name}, {literal(slot.plugin or '')});"
    else:
        undo = f"SELECT pg_create_physical_replication_slot({name}, true);"
    return Remedy(
        sql=f"SELECT pg_drop_replication_slot({name});",
        lock="none; if its consumer returns, it has to be set up again",
        in_transaction=slot.slot_type != "logical",
        undo=undo,
    )

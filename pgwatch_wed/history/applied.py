"""Whether a snapshot has what some advice would make."""

from collections.abc import Callable, Iterable

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.history import held_indexes, held_objects, held_settings
from pgwatch_wed.history.structure import Status, Structure, together

_STATES: dict[str, Callable[[Snapshot, Structure], Status]] = {
    "index": held_indexes.index_state,
    "no index": held_indexes.dropped_state,
    "rebuilt index": held_indexes.rebuilt_state,
    "server setting": held_settings.server_state,
    "role setting": held_settings.role_state,
    "table option": held_settings.option_state,
    "constraint": held_objects.constraint_state,
    "domain": held_objects.domain_state,
    "column": held_objects.column_state,
    "replica identity": held_objects.replica_identity_state,
    "statistics": held_objects.statistics_state,
    "sequence": held_objects.sequence_state,
    "extension": held_objects.extension_state,
    "no slot": held_objects.slot_state,
    "no prepared": held_objects.prepared_state,
    "collation": held_objects.collation_state,
    "maintained": held_objects.maintained_state,
    "frozen": held_objects.frozen_state,
    "shrunk": held_objects.shrunk_state,
}


def state_in(snapshot: Snapshot, structures: Iterable[Structure]) -> Status:
    """Return whether all of the structures are in a snapshot."""
    return together(_state(snapshot, each) for each in structures)


def _state(snapshot: Snapshot, structure: Structure) -> Status:
    look = _STATES.get(structure.kind)
    if look is None:  # written by a later version
        return Status(
            AppliedState.UNKNOWN, f"this version does not know how to follow {structure.label}"
        )
    return look(snapshot, structure)

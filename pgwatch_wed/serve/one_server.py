"""Targets that are databases of one server: what belongs to the server is counted, and told, once."""

from collections.abc import Mapping
from datetime import datetime

from pgwatch_wed.serve.state import Collected


def stand_ins(targets: Mapping[str, Collected]) -> dict[str, str]:
    """Return, for each target whose server another target watches as well, the first of those."""
    first: dict[tuple[str, datetime], str] = {}
    found: dict[str, str] = {}
    for name, collected in targets.items():
        if collected.snapshot is None:
            continue
        server = collected.snapshot.server
        if server.system_identifier is None:
            continue
        # a standby has the identifier of its primary, but was not started at the same moment
        one = first.setdefault((server.system_identifier, server.started_at), name)
        if one != name:
            found[name] = one
    return found

"""What clusters are compared by: a small document of each visit, stored beside the runs.

Reports over a thousand clusters read these, and no facts.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import blobs


@dataclass(frozen=True, slots=True)
class Traits:
    """Of a cluster: its version (``17.6``), the settings that were changed, and the extensions by database."""

    version: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, dict[str, str]] = field(default_factory=dict)


def of(snapshots: Sequence[Snapshot]) -> Traits:
    """Return the traits of the cluster whose databases were read."""
    first = snapshots[0]
    return Traits(version=first.server.version)


def put(connection: sa.Connection, traits: Traits, near: str | None = None) -> str:
    """Store traits; return their address. ``near`` is that of a sibling's, or of the visit before."""
    text = json.dumps(asdict(traits), ensure_ascii=False, sort_keys=True)
    return blobs.put(connection, text.encode("utf-8", "surrogatepass"), near)


def get(connection: sa.Connection, address: str) -> Traits:
    """Return stored traits; what a newer version added is left out."""
    values = json.loads(blobs.get(connection, address).decode("utf-8", "surrogatepass"))
    known = {name: values[name] for name in Traits.__dataclass_fields__ if name in values}
    return Traits(**known)

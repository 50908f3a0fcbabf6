"""What is read of a server at one moment, to be shown and not to be kept."""

from dataclasses import dataclass

from pgwatch_wed.facts.snapshot import Missing, Snapshot


@dataclass(frozen=True, slots=True)
class WalDirectory:
    """The files of the WAL on disk. SQL does not tell how much space is left there."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ServerMoment:
    """Sessions, locks and what belongs to the server; no tables. ``queries`` is how many queries it took."""

    snapshot: Snapshot
    wal: WalDirectory | Missing
    queries: int

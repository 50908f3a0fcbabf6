"""Placeholders for names: snapshots and reports that can be shown to anyone.

Every user-chosen name becomes ``table_1``, ``column_2`` and so on, the same one everywhere;
PostgreSQL's own names stay. It fails closed: what is not known to be PostgreSQL's own is replaced.
"""

from pgwatch_wed.redaction.names import REDACTED, Names
from pgwatch_wed.redaction.snapshot_names import redacted, with_names

__all__ = ["REDACTED", "Names", "redacted", "with_names"]

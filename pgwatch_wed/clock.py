"""The client's clock: for the ages of what is kept here, and for dates that are typed.

What a server tells is judged by that server's clock only, which stands in the snapshot.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment by the client's clock."""
    return datetime.now(UTC)

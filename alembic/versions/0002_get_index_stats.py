"""Indexes: sizes, scans and what they enforce."""

from pgwatch_wed.install import remove, run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make version 1."""
    run("get_index_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_index_stats")

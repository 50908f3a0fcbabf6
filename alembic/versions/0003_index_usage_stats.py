"""Indexes: whether queries use them."""

from pgwatch_wed.install import remove, run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make version 1."""
    run("index_usage_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("index_usage_stats")

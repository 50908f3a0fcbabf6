"""Cache hit ratios with the blocks they stand on."""

from pgwatch_wed.install import remove, run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make version 1."""
    run("get_cache_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_cache_stats")

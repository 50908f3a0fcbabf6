"""Cache ratios, described in PostgreSQL's words."""

from pgwatch_wed.install import restore, run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make version 2."""
    run("get_cache_stats", 2)


def downgrade() -> None:
    """Go back to version 1."""
    restore("get_cache_stats", 1)

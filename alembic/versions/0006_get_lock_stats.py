"""Who waits for whom."""

from pgwatch_wed.install import remove, run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make version 1."""
    run("get_lock_stats", 1)


def downgrade() -> None:
    """Remove it."""
    remove("get_lock_stats")

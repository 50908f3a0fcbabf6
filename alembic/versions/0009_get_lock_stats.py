"""Lock waits, in time proportional to the number of prepared transactions."""

from pgwatch_wed.install import restore, run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make version 2."""
    run("get_lock_stats", 2)


def downgrade() -> None:
    """Go back to version 1."""
    restore("get_lock_stats", 1)

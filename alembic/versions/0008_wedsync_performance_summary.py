"""All metrics with a judgement each."""

from pgwatch_wed.install import remove, run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make version 1."""
    run("wedsync_performance_summary", 1)


def downgrade() -> None:
    """Remove it."""
    remove("wedsync_performance_summary")

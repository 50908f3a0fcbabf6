"""Runs over many clusters, and what became of the visit to each."""

from alembic import op

from pgwatch_wed.history import kept_verdicts, snapshots
from pgwatch_wed.history.migrate import run

revision = "h0003"
down_revision = "h0002"
branch_labels = None


def upgrade() -> None:
    """Create the tables, and put the verdicts of each run together."""
    run("h0003")
    kept_verdicts.gather(op.get_bind())
    run("h0003_filled")


def downgrade() -> None:
    """Write the rows of before, and drop what is new."""
    run("h0003_old")
    kept_verdicts.scatter(op.get_bind())
    snapshots.unshare(op.get_bind())
    run("h0003_back")

"""Small parts of snapshots in groups, and the findings of each run together."""

from alembic import op

from pgwatch_wed.history import kept_findings, snapshots
from pgwatch_wed.history.migrate import run

revision = "h0004"
down_revision = "h0003"
branch_labels = None


def upgrade() -> None:
    """Put the findings of each run together. Parts are put together only of new runs."""
    run("h0004")
    kept_findings.gather(op.get_bind())
    run("h0004_filled")


def downgrade() -> None:
    """Write the rows of before, and each part by itself."""
    run("h0004_old")
    kept_findings.scatter(op.get_bind())
    snapshots.divide(op.get_bind())
    run("h0004_back")

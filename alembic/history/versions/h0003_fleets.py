"""Runs over many clusters, and what became of the visit to each."""

from pgwatch_wed.history.migrate import run

revision = "h0003"
down_revision = "h0002"
branch_labels = None


def upgrade() -> None:
    """Create the tables."""
    run("h0003")


def downgrade() -> None:
    """Drop them."""
    run("h0003_back")

"""Runs, what they read and concluded, and narrow series."""

from pgwatch_wed.history.migrate import run

revision = "h0001"
down_revision = None
branch_labels = ("history",)


def upgrade() -> None:
    """Create the tables."""
    run("h0001")

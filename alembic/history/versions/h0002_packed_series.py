"""Series packed by the interval, and facts kept as what differs from earlier ones."""

from alembic import op

from pgwatch_wed.history import repack
from pgwatch_wed.history.migrate import run

revision = "h0002"
down_revision = "h0001"
branch_labels = None


def upgrade() -> None:
    """Pack what there is."""
    run("h0002")
    repack.pack_series(op.get_bind())
    run("h0002_filled")


def downgrade() -> None:
    """Write the rows of before."""
    run("h0002_old")
    repack.unpack_series(op.get_bind())
    repack.unpack_blobs(op.get_bind())
    run("h0002_back")

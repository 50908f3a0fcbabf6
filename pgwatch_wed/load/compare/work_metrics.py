"""The work that is compared: what the server did for one transaction, by its own counters."""

from collections.abc import Callable
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.load.load_model import BlockWork


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkMetric:
    """What is counted. More is worse.

    ``without``: the same less what may have come from elsewhere, so that it differs without a cause in the statements;
    only what both show is a change. ``negligible``: an amount per transaction that does not matter.
    """

    name: str
    amount: Callable[[BlockWork], float | None]
    negligible: float
    without: Callable[[BlockWork], float | None] | None = None
    explained_by: str = ""
    is_bytes: bool = False

    def shown(self, amount: float) -> str:
        """Print an amount."""
        return units.size(amount) if self.is_bytes else units.short(amount)


def per_transaction(
    work: BlockWork | None, amount: Callable[[BlockWork], float | None]
) -> float | None:
    """Return an amount of a block for each of its transactions; None if it was not counted."""
    if work is None or work.transactions <= 0:
        return None
    total = amount(work)
    return None if total is None else total / work.transactions


def _blocks(work: BlockWork) -> float | None:
    # whether they were cached depends on what ran before, and on the machine
    if work.blocks_hit is None or work.blocks_read is None:
        return None
    return work.blocks_hit + work.blocks_read


def _records_without_images(work: BlockWork) -> float | None:
    """Leave out what hint bits write after a checkpoint: a record for each image."""
    if work.wal_records is None or work.wal_full_page_images is None:
        return None
    return max(work.wal_records - work.wal_full_page_images, 0)


WORK_METRICS = (
    WorkMetric(name="blocks touched", amount=_blocks, negligible=0.1),
    WorkMetric(
        name="WAL records",
        amount=lambda work: work.wal_records,
        negligible=0.02,
        without=_records_without_images,
        explained_by="full-page images, which follow checkpoints",
    ),
    WorkMetric(
        name="temporary files",
        amount=lambda work: work.temp_bytes,
        negligible=128,
        is_bytes=True,
    ),
    WorkMetric(name="rows changed", amount=lambda work: work.rows_changed, negligible=0.02),
)

"""How much of a statement's time its plan can have taken: the rest is waiting, or work outside of the plan.

pg_stat_statements counts the time that a statement waits for locks, and that its triggers and foreign keys take, as
execution. No index saves that. What a plan does is limited by what was counted besides: blocks, I/O, rows, and the
fastest call. The limits are generous, several times what current hardware takes.
"""

from dataclasses import dataclass

from pgwatch_wed.facts import Statement
from pgwatch_wed.sqltext.reading import read

# Below this ratio of measured to possible time, there is nothing to explain.
_CLEAR = 2.0


@dataclass(frozen=True, slots=True)
class _Pace:
    """Milliseconds that a plan may take, and how many times as long as the fastest call."""

    block: float
    block_read: float
    row: float
    call: float
    fastest: float


# Statements that lock rows queue up behind each other.
_LOCKING = _Pace(block=0.03, block_read=5.0, row=0.05, call=0.5, fastest=3.0)
# Others hardly wait (locks of tables are taken before execution begins), and one call may rightly take far longer than another.
_READING = _Pace(block=0.1, block_read=20.0, row=0.1, call=5.0, fastest=20.0)


def most_ms(statement: Statement) -> float:
    """Return the time that its plan can have taken: all of it, unless that is less than half."""
    text = statement.text
    if text is None:
        return statement.total_exec_ms
    possible = _possible_ms(statement, _LOCKING if read(text).locks_rows else _READING)
    return possible if possible * _CLEAR < statement.total_exec_ms else statement.total_exec_ms


def _possible_ms(s: Statement, pace: _Pace) -> float:
    hits = s.shared_blks_hit + s.local_blks_hit
    reads = s.shared_blks_read + s.local_blks_read + s.temp_blks_read + s.temp_blks_written
    measured = s.blk_read_ms + s.blk_write_ms + (s.temp_blk_ms or 0.0)
    work = pace.block * (hits + reads) + pace.row * s.rows + pace.call * s.calls
    waited = measured if s.blk_read_ms else pace.block_read * reads
    return max(work, pace.fastest * (s.min_exec_ms or 0.0) * s.calls) + waited + (s.jit_ms or 0.0)

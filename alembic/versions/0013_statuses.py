"""Tables and indexes with a status each, by the same conditions as the rules; the summary's worst first."""

from pgwatch_wed.install import remove, restore, run

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make version 2 of all that depend on each other."""
    remove("wedsync_performance_summary")
    remove("index_usage_stats")
    remove("get_index_stats")
    remove("get_table_stats")
    run("get_table_stats", 2)
    run("get_index_stats", 2)
    run("index_usage_stats", 2)
    run("wedsync_performance_summary", 2)


def downgrade() -> None:
    """Go back to version 1."""
    remove("wedsync_performance_summary")
    remove("index_usage_stats")
    remove("get_index_stats")
    remove("get_table_stats")
    restore("get_table_stats", 1)
    restore("get_index_stats", 1)
    restore("index_usage_stats", 1)
    restore("wedsync_performance_summary", 1)

"""What a server can do, by its version: one method per feature, which can also say why not.

Code calls ``server.features.has_generic_plans()`` instead of comparing versions, so that each
version is in one place, next to what was added in it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """Whether a server has something; true or false in an ``if``."""

    name: str
    since: int
    major: int

    def __bool__(self) -> bool:
        return self.major >= self.since

    @property
    def why_not(self) -> str:
        """The reason why the feature is absent; "" if it is present."""
        if self:
            return ""
        return (
            f"PostgreSQL {self.since} or later is required for {self.name}; "
            f"this server is {self.major}"
        )


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a major version that something here depends on, oldest first."""

    major: int

    @classmethod
    def of(cls, version_num: int) -> "Features":
        """Return those of a version number as libpq and the server report it, such as 170002."""
        return cls(version_num // 10_000)

    def has_read_all_data(self) -> Feature:
        """Tell whether there is a predefined role that can see every column's statistics."""
        return self._since(14, "the role pg_read_all_data")

    def has_expression_statistics(self) -> Feature:
        """Tell whether CREATE STATISTICS may name expressions."""
        return self._since(14, "extended statistics of expressions")

    def has_readable_subscriptions(self) -> Feature:
        """Tell whether everyone may read the columns of pg_subscription that contain no password."""
        return self._since(14, "reading pg_subscription without a GRANT")

    def has_wait_start(self) -> Feature:
        """Tell whether pg_locks shows since when a session has been waiting."""
        return self._since(14, "pg_locks.waitstart")

    def has_query_ids(self) -> Feature:
        """Tell whether pg_stat_activity shows the id of each session's query."""
        return self._since(14, "pg_stat_activity.query_id")

    def has_uncounted_rows(self) -> Feature:
        """Tell whether reltuples is -1 if the rows have not been counted yet."""
        return self._since(14, "reltuples of -1 for rows that were never counted")

    def has_connection_checks(self) -> Feature:
        """Tell whether the server notices during a query that the client has disconnected."""
        return self._since(14, "client_connection_check_interval")

    def has_incremental_sort_for_windows(self) -> Feature:
        """Tell whether an order that an index provides in part is completed for window functions."""
        return self._since(14, "incremental sorts for window functions")

    def has_consistent_statistics(self) -> Feature:
        """Tell whether it is configurable how much of the statistics is read at once."""
        return self._since(15, "stats_fetch_consistency")

    def has_database_collation_version(self) -> Feature:
        """Tell whether the version of a database's default collation is recorded."""
        return self._since(15, "the recorded version of a database's default collation")

    def has_parameter_grants(self) -> Feature:
        """Tell whether the right to change a setting can be granted."""
        return self._since(15, "GRANT ALTER SYSTEM ON PARAMETER")

    def has_generic_plans(self) -> Feature:
        """Tell whether EXPLAIN can plan a statement without values for its parameters."""
        return self._since(16, "EXPLAIN (GENERIC_PLAN)")

    def has_io_statistics(self) -> Feature:
        """Tell whether reads and writes are counted by backend type and context."""
        return self._since(16, "pg_stat_io")

    def has_membership_options(self) -> Feature:
        """Tell whether each membership, not the role, says whether privileges are inherited."""
        return self._since(16, "GRANT … WITH INHERIT")

    def has_hot_updates_beside_brin(self) -> Feature:
        """Tell whether an update that changes a column of a BRIN index may be HOT."""
        return self._since(16, "HOT updates of columns that are only in BRIN indexes")

    def has_incremental_sort_for_distinct(self) -> Feature:
        """Tell whether an order that an index provides in part is completed for DISTINCT."""
        return self._since(16, "incremental sorts for DISTINCT")

    def has_right_anti_joins(self) -> Feature:
        """Tell whether NOT EXISTS may build its hash table from the outer table."""
        return self._since(16, "right anti joins")

    def has_identity_of_partitioned_tables(self) -> Feature:
        """Tell whether ALTER TABLE may give a partitioned table and its partitions an identity column."""
        return self._since(17, "identity columns of partitioned tables")

    def has_maintain(self) -> Feature:
        """Tell whether the right to VACUUM and REINDEX a table can be granted."""
        return self._since(17, "the privilege MAINTAIN")

    def has_array_scans(self) -> Feature:
        """Tell whether one scan of a B-tree serves all values of ``b IN (1, 2)`` after another key without equality."""
        return self._since(17, "reading a B-tree once for an array of values")

    def has_ordered_unions(self) -> Feature:
        """Tell whether UNION may merge inputs that indexes provide in order."""
        return self._since(17, "UNION of ordered inputs")

    def has_joins_of_correlated_lists(self) -> Feature:
        """Tell whether ``a.x IN (SELECT … WHERE b.y = a.y)`` may become a join, where the subquery was run for each row."""
        return self._since(17, "joining IN (SELECT …) that refers to the outer query")

    def has_tests_of_null_left_out(self) -> Feature:
        """Tell whether ``a IS NOT NULL`` is left out if a is declared NOT NULL, so that a scan need not return a."""
        return self._since(17, "leaving out IS NOT NULL where a column is declared so")

    def has_transaction_timeout(self) -> Feature:
        """Tell whether a role may have a transaction timeout, which would end ours."""
        return self._since(17, "transaction_timeout")

    def has_signal_of_autovacuum(self) -> Feature:
        """Tell whether there is a predefined role that may cancel autovacuum workers."""
        return self._since(18, "the role pg_signal_autovacuum_worker")

    def has_inherited_not_null(self) -> Feature:
        """Tell whether NOT NULL of a child remembers if it is only inherited."""
        return self._since(18, "NOT NULL as a constraint")

    def has_skip_scan(self) -> Feature:
        """Tell whether a B-tree can be used well without a condition on its first key."""
        return self._since(18, "skipping the first key of an index")

    def has_right_semi_joins(self) -> Feature:
        """Tell whether EXISTS may build its hash table from the outer table."""
        return self._since(18, "right semi joins")

    def has_incremental_sort_for_joins(self) -> Feature:
        """Tell whether an order that an index provides in part is completed for merge joins."""
        return self._since(18, "incremental sorts for merge joins")

    def has_arrays_of_or(self) -> Feature:
        """Tell whether ``a = 1 OR a = 2`` is looked up as an array, in the order of the index."""
        return self._since(18, "looking up OR as an array")

    def has_arrays_of_values(self) -> Feature:
        """Tell whether ``IN (VALUES …)`` is looked up as an array."""
        return self._since(18, "looking up IN (VALUES …) as an array")

    def has_estimated_series(self) -> Feature:
        """Tell whether the rows of generate_series() over times are estimated."""
        return self._since(18, "estimates of generate_series() over times")

    def has_predicates_implied_by_declarations(self) -> Feature:
        """Tell whether the planner uses a partial index WHERE a IS NOT NULL because a is declared NOT NULL."""
        return self._since(19, "partial indexes implied by NOT NULL declarations")

    def has_repack(self) -> Feature:
        """Tell whether a table can be rewritten while it is in use."""
        return self._since(19, "REPACK (CONCURRENTLY)")

    def _since(self, major: int, name: str) -> Feature:
        return Feature(name, major, self.major)

"""What a server can do, by its version: a method a feature, each of which can say why not.

Code asks ``server.features.has_generic_plans()`` instead of comparing versions, so that a version
stands in one place, beside what came with it.
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
        """Why it is not there; "" where it is."""
        if self:
            return ""
        return f"{self.name} comes with PostgreSQL {self.since}; this server is {self.major}"


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one major version that something here depends on, oldest first."""

    major: int

    @classmethod
    def of(cls, version_num: int) -> "Features":
        """Return those of a version such as 170002, as libpq and the server say it."""
        return cls(version_num // 10_000)

    def has_read_all_data(self) -> Feature:
        """Tell whether one role may be granted that sees every column's statistics."""
        return self._since(14, "the role pg_read_all_data")

    def has_readable_subscriptions(self) -> Feature:
        """Tell whether everybody may read of pg_subscription what holds no password."""
        return self._since(14, "reading pg_subscription without a GRANT")

    def has_wait_start(self) -> Feature:
        """Tell whether pg_locks says since when a session waits."""
        return self._since(14, "pg_locks.waitstart")

    def has_uncounted_rows(self) -> Feature:
        """Tell whether reltuples is -1 where nobody has counted the rows."""
        return self._since(14, "reltuples of -1 for rows that were never counted")

    def has_connection_checks(self) -> Feature:
        """Tell whether the server notices during a query that its client is gone."""
        return self._since(14, "client_connection_check_interval")

    def has_consistent_statistics(self) -> Feature:
        """Tell whether one may choose how much of the statistics is read at once."""
        return self._since(15, "stats_fetch_consistency")

    def has_database_collation_version(self) -> Feature:
        """Tell whether the version of a database's default collation is recorded."""
        return self._since(15, "the recorded version of a database's default collation")

    def has_generic_plans(self) -> Feature:
        """Tell whether a statement is planned without values for its parameters."""
        return self._since(16, "EXPLAIN (GENERIC_PLAN)")

    def has_io_statistics(self) -> Feature:
        """Tell whether reads and writes are counted by who does them, and why."""
        return self._since(16, "pg_stat_io")

    def has_hot_updates_beside_brin(self) -> Feature:
        """Tell whether an update may be HOT though it changes a column of a BRIN index."""
        return self._since(16, "HOT updates of columns that only BRIN indexes have")

    def has_identity_of_partitioned_tables(self) -> Feature:
        """Tell whether ALTER TABLE may give a partitioned table and its partitions an identity column."""
        return self._since(17, "identity columns of partitioned tables")

    def has_transaction_timeout(self) -> Feature:
        """Tell whether a role may have a limit on transactions that would end ours."""
        return self._since(17, "transaction_timeout")

    def has_repack(self) -> Feature:
        """Tell whether a table can be rewritten while it is used."""
        return self._since(19, "REPACK (CONCURRENTLY)")

    def _since(self, major: int, name: str) -> Feature:
        return Feature(name, major, self.major)

"""What a configuration does to a judgement, on a real server."""

from collections.abc import Iterator

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config, parse
from pgwatch_wed.findings import Report
from pgwatch_wed.rules import rule
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.servers import Server

TWINS = """
create table {0}.t (id int primary key, a int);
create index "t_a 1" on {0}.t (a);
create index "t_a 2" on {0}.t (a);
"""


def report(dsn: str, **config: object) -> Report:
    return analyse([collect(dsn)], parse({"only": ["index-duplicate"], **config}, "test"))


def schemas(found: Report) -> list[str]:
    return sorted(f.object.schema or "" for f in found.findings)


@pytest.fixture
def shop(db: str) -> str:
    psql(db, "create schema audit_1; create schema auth; create schema shop;")
    for schema in ("audit_1", "auth", "shop"):
        psql(db, TWINS.format(schema))
    return db


def test_a_schema_of_yours_that_a_host_also_has_is_judged(shop: str) -> None:
    assert schemas(report(shop)) == ["audit_1", "auth", "shop"]


@pytest.fixture
def hosts_role(pg: Server, shop: str) -> Iterator[str]:
    psql(shop, "create role supabase_auth_admin;")
    yield "supabase_auth_admin"
    psql(shop, "drop owned by supabase_auth_admin cascade; drop role supabase_auth_admin;")


def test_a_hosts_own_schema_is_not_judged_and_that_is_said(shop: str, hosts_role: str) -> None:
    psql(shop, f"alter table auth.t owner to {hosts_role};")
    found = report(shop)
    assert schemas(found) == ["audit_1", "shop"]
    (said,) = found.coverage.left_out
    assert "1 table was not evaluated" in said
    assert "auth" in said


def test_schemas_to_skip_are_globs_and_are_counted(shop: str) -> None:
    found = report(shop, skip_schemas=["audit_*", "auth"])
    assert schemas(found) == ["shop"]
    assert any("audit_1, auth" in said for said in found.coverage.left_out)


def test_a_finding_is_ignored_by_fingerprint_glob_or_rule_until_a_day(shop: str) -> None:
    everything = report(shop)
    first = everything.findings[0]

    def left(**entry: object) -> int:
        found = report(shop, ignore=[{"reason": "on purpose", **entry}])
        assert len(found.findings) + len(found.ignored) == 3
        return len(found.findings)

    assert left(finding=first.id) == 2
    assert left(rule="index-*") == 0
    assert left(rule="index") == 0
    assert left(object="auth.*") == 2
    assert left(rule="index-*", until="2020-01-01") == 3
    assert left(rule="index-*", until="2999-01-01") == 0


def test_limits_take_units_and_profiles_and_the_file_wins() -> None:
    long = rule("lock-long-transaction")
    plain = Config().limits_of(long)
    analytics = Config(profile="analytics").limits_of(long)
    assert analytics != plain
    hit = rule("cache-hit-ratio")
    given = parse(
        {"profile": "analytics", "rules": {"cache-hit-ratio": {"min_ratio": 0.42}}}, "test"
    )
    assert given.limits_of(hit).min_ratio == 0.42
    sized = parse({"rules": {"index-unused": {"min_size_bytes": "10MB"}}}, "test")
    assert sized.limits_of(rule("index-unused")).min_size_bytes == 10 * 1024**2

"""db-analyze stress --users: what they cost, and that a soak is too short, is in the report."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import stress as command
from pgwatch_wed.errors import UsageError
from tests.load.test_own_pooler import needs_pgbouncer
from tests.test_cli import db_analyze

PROFILE = """
objectives = ["errors < 5%"]
[seconds]
soak = 5
block = 1
warmup = 0.5
[scenarios]
connection-storm-pooled = 1
[users]
count = 60
think = "1 s"
"""


@needs_pgbouncer
def test_a_run_with_users_says_what_they_cost_and_how_many_checkpoints_it_lacks(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "users.toml"
    profile.write_text(PROFILE)
    done = db_analyze("stress", "--profile", str(profile), "-o", str(tmp_path), "--format", "json")
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*.json")
    report = json.loads(file.read_text())
    notes = " ".join(report["notes"])
    assert re.search(r"connections? at a time through PgBouncer, which used", notes), notes
    assert "through PgBouncer 1." in notes
    assert "contains 0 checkpoints by time, fewer than 3: checkpoint_timeout is 5 min" in notes
    (run,) = report["runs"]
    assert [p["kind"] for p in run["phases"]] == ["soak"]
    # a busy machine does fewer of the 60 a second, but what was due and not done is counted, too
    figures = run["phases"][0]["figures"]
    assert figures["transactions"] > 0
    assert figures["transactions"] + sum(figures["failures"].values()) > 100


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--users", "5", "--think", "0"), "must be above 0"),
        (("--users", "5", "--think", "soon"), "is not a time such as 5s"),
        (("--users", "5", "--think", "-1s"), "is not a time such as 5s"),
        (("--users", "0", "--think", "5s"), "--users"),
        (("--users", "5"), "--think"),
        (("--users", "5", "--think", "5s", "--rate", "3"), "rate"),
        (("--scripts", "/nonexistent"), "could not be read"),
        (("--scripts", "/nonexistent", "--scenario", "hot-row"), "--scripts"),
        (("--profile", "fast"), "there is no profile 'fast'"),
    ],
)
def test_senseless_users_and_scripts_are_usage_errors(
    arguments: tuple[str, ...], says: str
) -> None:
    found = CliRunner().invoke(command.stress, arguments)
    assert found.exit_code != 0
    # a UsageError of ours is printed by the whole program
    assert isinstance(found.exception, SystemExit | UsageError)
    assert says in f"{found.output} {found.exception}"

"""A module that is not quite a rule is rejected when it is discovered, with a suggestion."""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgwatch_wed.errors import RuleError
from pgwatch_wed.rules import Rule, _contract, all_rules, discover

RULE = '''"""Tables that are odd.

## Why it matters
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Unknown

NEEDS = ("tables", "missing_indexes")


@dataclass(frozen=True, slots=True)
class Limits:
    min_size_bytes: int = 1_000_000
    window: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    yield from ()
'''
NAMES = (f"rules_of_a_test_{n}" for n in itertools.count())


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Discover":
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Discover(tmp_path)


class Discover:
    """Write real modules into a package of their own, and discover them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str, where: str = "index/odd.py", area: str = "") -> tuple[Rule, ...]:
        package = self.folder / next(NAMES)
        module = package / where
        module.parent.mkdir(parents=True)
        for each in (package, *package.glob("*/")):
            (each / "__init__.py").write_text(area if each != package else "", encoding="utf-8")
        module.write_text(text, encoding="utf-8")
        return discover(package.name)

    def refused(self, text: str, where: str = "index/odd.py", area: str = "") -> str:
        with pytest.raises(RuleError) as raised:
            self(text, where, area)
        assert raised.value.hint
        return raised.value.message


def test_a_whole_rule_is_taken(found: Discover) -> None:
    (rule,) = found(RULE, area='AREA = "vacuum"\n')
    assert (rule.id, rule.area, rule.scope) == ("index-odd", "vacuum", "database")
    assert rule.needs == ("tables", "missing_indexes")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (
            '"missing_indexes"',
            '"indices"',
            "NEEDS names 'indices', which is not a fact; did you mean 'indexes'",
        ),
        ('"missing_indexes"', '"table_by_oid"', "NEEDS names 'table_by_oid', which is not a fact"),
        ('("tables", "missing_indexes")', '("tables")', "NEEDS must be a tuple of strings"),
        ("NEEDS =", "NEED =", "NEED means nothing to db-analyze; did you mean NEEDS?"),
        ("NEEDS =", "_NEEDS =", "it has no NEEDS"),
        (
            "NEEDS =",
            'SCOPES = "cluster"\nNEEDS =',
            "SCOPES means nothing to db-analyze; did you mean SCOPE",
        ),
        ("NEEDS =", 'SCOPE = "server"\nNEEDS =', "SCOPE must be one of database, cluster"),
        (
            "NEEDS =",
            "PRIMARY = True\nNEEDS =",
            "PRIMARY means nothing to db-analyze; did you mean PRIMARY_ONLY",
        ),
        ("NEEDS =", "PRIMARY_ONLY = 'yes'\nNEEDS =", "PRIMARY_ONLY must be True or False"),
        (
            "NEEDS =",
            "PROFILE = {}\nNEEDS =",
            "PROFILE means nothing to db-analyze; did you mean PROFILES",
        ),
        ("NEEDS =", "AREA = 'vacuum'\nNEEDS =", "AREA belongs in the __init__ of its folder"),
        (
            "NEEDS =",
            "PROFILES = {'olap': {}}\nNEEDS =",
            "PROFILES has no profile 'olap'; did you mean 'oltp'?",
        ),
        (
            "NEEDS =",
            "PROFILES = {'oltp': {'min_size': 1}}\nNEEDS =",
            "PROFILES['oltp'] sets 'min_size', which is not a limit; did you mean 'min_size_bytes'?",
        ),
        ("Limits", "Limit", "Limit means nothing to db-analyze; did you mean Limits?"),
        ("frozen=True, ", "", "Limits must be frozen"),
        ("@dataclass(frozen=True, slots=True)\n", "", "it has no frozen dataclass Limits"),
        ("int = 1_000_000", "int", "every limit needs a default"),
        ("int = 1_000_000", "bytes = b''", "Limits.min_size_bytes must be one of int, float"),
        ("def check(", "def judge(", "it has no function check(snapshot, limits)"),
        ("limits: Limits)", "*, limits: Limits)", "check must take (snapshot, limits)"),
        (", limits: Limits", "", "check must take (snapshot, limits)"),
        ('"""Tables', '_ = """Tables', "it has no docstring"),
    ],
)
def test_what_is_nearly_a_rule_is_refused_with_what_was_meant(
    found: Discover, was: str, becomes: str, said: str
) -> None:
    text = RULE.replace(was, becomes)
    assert text != RULE
    message = found.refused(text)
    assert said in message
    assert ".index.odd: " in message


def test_all_faults_of_all_modules_are_said_at_once(found: Discover) -> None:
    message = found.refused(RULE.replace('"tables"', '"table"').replace("check(", "judge("))
    assert "did you mean 'tables'?" in message
    assert "it has no function check" in message


def test_a_folder_and_a_rule_beside_the_folders_are_checked_too(found: Discover) -> None:
    assert "AREAS means nothing to db-analyze; did you mean AREA?" in found.refused(
        RULE, area='AREAS = "x"\n'
    )
    assert "a rule belongs in the folder of its area" in found.refused(RULE, where="odd.py")


def test_private_names_and_imported_ones_are_the_modules_own_business(found: Discover) -> None:
    text = RULE.replace("NEEDS =", "_LIMITS = 5\nTIMEOUTS = ()\nNEEDS =")
    text = text.replace("import Snapshot", "import Snapshot, Setting as Scopes")
    assert len(found(text)) == 1


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; from pgwatch_wed import rules; from pgwatch_wed.rules.index import unused;"
        "unused.NEEDS = ('indices',); sys.argv = ['db-analyze', 'explain'];"
        "from pgwatch_wed.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "pgwatch_wed.rules.index.unused: NEEDS names 'indices'" in done.stderr
    assert "Traceback" not in done.stderr


def test_checking_costs_a_small_part_of_discovery() -> None:
    rules = all_rules()
    begun = time.process_time()
    assert not [fault for rule in rules for fault in _contract.faults(rule.module)]
    assert time.process_time() - begun < 0.1

"""What others make is named exactly: dependencies by version, actions by commit."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# A tag can be moved to other code; a commit cannot. The version behind it is for readers.
PINNED = re.compile(r"[\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
WORKFLOWS = sorted((ROOT / ".github").rglob("*.y*ml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.name)
def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    lines = workflow.read_text(encoding="utf-8").splitlines()
    used = [line.partition("uses:")[2].strip() for line in lines if re.match(r"[\s-]*uses:", line)]
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


def test_an_action_has_one_commit_everywhere() -> None:
    text = "\n".join(w.read_text(encoding="utf-8") for w in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w./-]+)@(\w+ # \S+)", text))
    assert len({action for action, _ in pins}) == len(pins) > 1


def test_every_dependency_has_one_version() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    pinned = {canonicalize_name(name) for name, _, _ in (p.partition("==") for p in pins)}
    assert all("==" in pin for pin in pins)
    wanted = [Requirement(text) for text in _declared()]
    loose = [r for r in wanted if not any(s.operator == "==" for s in r.specifier)]
    assert {canonicalize_name(r.name) for r in loose} - pinned == set()


def _declared() -> list[str]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"].values()
    return [*project["project"]["dependencies"], *(name for group in groups for name in group)]

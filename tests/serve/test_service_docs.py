"""The configuration in the documentation is one that the service takes."""

import re
from pathlib import Path

import pytest

from pgwatch_wed.serve import assembly
from pgwatch_wed.serve.state import Board
from tests.serve.states import NOW

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "service.md"


def test_the_configuration_in_the_documentation_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [text] = re.findall(r"```toml\n(\[serve\]\nlisten.*?)```", DOCUMENT.read_text(), re.DOTALL)
    rules = tmp_path / "rules.yaml"
    rules.write_text("groups: []\n")
    for name, path in re.findall(r'^(\w+) = "(/(?:run|etc)/[^"]+)"', text, re.MULTILINE):
        (tmp_path / name).write_text("x" * 20)
        text = text.replace(path, str(tmp_path / name))
    text = text.replace("/var/lib/pgwatch_wed", str(tmp_path)).replace("rules.yaml", str(rules))
    monkeypatch.setenv("ONCALL_URL", "https://oncall.example.com/hook")
    monkeypatch.setenv("PGWATCH_WED_PASSWORD", "p" * 20)
    file = tmp_path / "pgwatch_wed.toml"
    file.write_text(text)
    settings = assembly.load(file)
    assert [t.name for t in settings.serve.targets] == ["shop"]
    parts = assembly.parts(settings, Board(), lambda: NOW)
    assert {"probes", "collector-shop", "metrics", "alerts", "causes", "notify"} <= parts.keys()

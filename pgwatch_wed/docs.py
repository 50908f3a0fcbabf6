"""The documentation of the rules, generated from the rules: ``python -m pgwatch_wed.docs FOLDER``."""

import ast
import inspect
import sys
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from pgwatch_wed import units
from pgwatch_wed.rules import Rule, all_rules

_HEADER = "<!-- Generated from the rule by `make docs`; edit the rule's docstring instead. -->\n\n"


def page(rule: Rule) -> str:
    """Return the Markdown page of a rule."""
    title, _, body = rule.doc.strip().partition("\n")
    parts = [f"# {rule.id}", title.strip(), body.strip()]
    if fields(rule.limits):
        parts += ["## Limits", limits_table(rule, "github")]
        parts.append(f"Set them in `pgwatch_wed.toml` under `[rules.{rule.id}]`.")
    facts = ", ".join(f"`{n}`" for n in rule.needs) or "none"
    scope = "the whole server" if rule.scope == "cluster" else "each database"
    parts += ["## Facts", f"Judges {scope} from: {facts}."]
    return _HEADER + "\n\n".join(parts) + "\n"


def index_page() -> str:
    """Return the page that lists every rule."""
    lines = ["# Rules", ""]
    for area in sorted({r.area for r in all_rules()}):
        lines += [f"## {area}", ""]
        lines += [f"- [{r.id}]({r.id}.md): {r.summary}" for r in all_rules() if r.area == area]
        lines.append("")
    return _HEADER + "\n".join(lines)


def pages() -> dict[str, str]:
    """Return every page by file name."""
    return {"README.md": index_page()} | {f"{r.id}.md": page(r) for r in all_rules()}


def limits_table(rule: Rule, style: str = "plain") -> str:
    """Tabulate a rule's thresholds, with the comment above each."""
    comments = _comments(rule)
    rows = [(f.name, _show(_default(f)), comments.get(f.name, "")) for f in fields(rule.limits)]
    return tabulate(
        rows, headers=["limit", "default", "meaning"], tablefmt=style, disable_numparse=True
    )


def _default(spec: Any) -> Any:
    return spec.default_factory() if spec.default is MISSING else spec.default


def _show(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if seconds >= size and seconds % size == 0:
                return units.count(int(seconds / size), unit)
        return f"{seconds:g} s"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}".removesuffix(".0")
    return str(value)


def _comments(rule: Rule) -> dict[str, str]:
    """Map each limit to the comment above or next to it, or to the string below it.

    Limits on consecutive lines share the comment of the first.
    """
    source = inspect.getsource(rule.limits).splitlines()
    tree = ast.parse("\n".join(source)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    shared, line = "", 0
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        said = _beside(source, node) or _below(after)
        shared = said or (shared if node.lineno == line + 1 else "")
        line = node.end_lineno or node.lineno
        found[node.target.id] = shared
    return found


def _beside(source: list[str], node: ast.AnnAssign) -> str:
    above: list[str] = []
    line = node.lineno - 2
    while line >= 0 and source[line].strip().startswith("#"):
        above.insert(0, source[line].strip().lstrip("# "))
        line -= 1
    _, _, behind = source[(node.end_lineno or node.lineno) - 1].partition("  # ")
    return " ".join([*above, behind.strip()]).strip()


def _below(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def write(folder: Path) -> None:
    """Write every page, and remove the pages of rules that no longer exist."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for stale in {p.name for p in folder.glob("*.md")} - set(made):
        (folder / stale).unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

"""One meaning a word: no two classes, types or modules of one name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pgwatch_wed

PACKAGE = Path(pgwatch_wed.__file__).parent

# Classes that stand in more than one module, and why.
SAME_CLASSES = {
    "Limits": "every rule has its thresholds under this name",
}
# Types that stand in more than one module, and why.
SAME_TYPES = {
    "Connection": "psycopg's, with its rows",
}
# Modules of one name outside rules/, where a module's path is the rule's name; and why.
SAME_MODULES = {
    "__init__": "a package",
    "collect": "the command, and what it runs",
    "indexes": "the command; what PostgreSQL knows about indexes; the SQL that changes them",
    "install": "the command, and what it runs, which released migrations import",
    "run": "the command, and what it reads",
    "settings": "the tables of the service's parts; SQL that changes a server's settings",
}


def sources() -> Iterator[Path]:
    return (p for p in sorted(PACKAGE.rglob("*.py")) if "_assets" not in p.parts)


def places(kind: type[ast.ClassDef | ast.Assign]) -> dict[str, list[str]]:
    """Return where each public class or type alias of the modules is defined."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, kind) and is_type(name := name_of(node)):
                found[name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return found


def name_of(node: ast.AST) -> str:
    match node:
        case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def is_type(name: str) -> bool:
    return name[:1].isupper() and not name.isupper()


def test_no_class_is_defined_twice() -> None:
    found = places(ast.ClassDef)
    assert len(found) > 100
    assert {n: at for n, at in found.items() if len(at) > 1}.keys() == SAME_CLASSES.keys()


def test_no_type_has_the_name_of_another_or_of_a_class() -> None:
    aliases, classes = places(ast.Assign), places(ast.ClassDef)
    assert len(aliases) > 10
    twice = {n for n, at in aliases.items() if len(at) > 1 or n in classes}
    assert twice == SAME_TYPES.keys()


def test_no_module_has_the_name_of_another() -> None:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sources():
        if "rules" not in path.relative_to(PACKAGE).parts[:-1]:
            found[path.stem].append(path)
    assert {n: at for n, at in found.items() if len(at) > 1}.keys() == SAME_MODULES.keys()

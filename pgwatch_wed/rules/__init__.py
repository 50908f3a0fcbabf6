"""Rules: pure functions from a snapshot to findings and unknowns.

A rule is one module; ``rules/index/unused.py`` is ``index-unused``. Its docstring is its
documentation, ``NEEDS`` names the facts that it requires, ``Limits`` holds its thresholds, ``check``
yields. Nothing is registered: folders are discovered, and what each module defines is checked. A
folder's area is its name, unless its ``__init__`` defines ``AREA``.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from pgwatch_wed.errors import RuleError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Unknown
from pgwatch_wed.rules import _contract
from pgwatch_wed.rules._contract import PROFILES as PROFILES


@dataclass(frozen=True, slots=True)
class Rule:
    """A discovered rule module."""

    id: str
    area: str
    module: ModuleType

    @property
    def doc(self) -> str:
        """The module's docstring: its documentation."""
        return self.module.__doc__ or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.strip().splitlines()[0] if self.doc.strip() else self.id

    @property
    def needs(self) -> tuple[str, ...]:
        """The facts that it requires."""
        return tuple(self.module.NEEDS)

    @property
    def limits(self) -> type:
        """The dataclass of its thresholds."""
        limits: type = self.module.Limits
        return limits

    @property
    def scope(self) -> str:
        """``database`` (the default), or ``cluster`` if the snapshot of one database is enough."""
        return str(getattr(self.module, "SCOPE", "database"))

    @property
    def primary_only(self) -> bool:
        """Whether its remedies are impossible on a standby, for which the verdict is ``unknown``."""
        return bool(getattr(self.module, "PRIMARY_ONLY", False))

    def check(self, snapshot: Snapshot, limits: Any) -> Iterator[Finding | Unknown]:
        """Judge a snapshot that has all the required facts."""
        yield from self.module.check(snapshot, limits)


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by id."""
    return discover(__name__)


def discover(parent: str) -> tuple[Rule, ...]:
    """Return the rules below a package; raise :class:`RuleError` for a module that is not one."""
    found: list[Rule] = []
    wrong: list[str] = []
    for folder in _modules(importlib.import_module(parent)):
        package = importlib.import_module(f"{parent}.{folder}")
        wrong += _said(package, _contract.folder_faults(package))
        if not hasattr(package, "__path__"):
            continue
        area = str(getattr(package, "AREA", folder))
        for name in _modules(package):
            module = importlib.import_module(f"{package.__name__}.{name}")
            wrong += _said(module, _contract.faults(module))
            found.append(Rule(f"{folder}-{name}".replace("_", "-"), area, module))
    if wrong:
        raise RuleError("; ".join(wrong), "see docs/adding-a-rule.md for what a rule must have")
    return tuple(sorted(found, key=lambda rule: rule.id))


def _modules(package: ModuleType) -> Iterator[str]:
    names = (entry.name for entry in pkgutil.iter_modules(package.__path__))
    return (name for name in names if not name.startswith("_"))


def _said(module: ModuleType, faults: Iterator[str]) -> list[str]:
    return [f"{module.__name__}: {fault}" for fault in faults]


def rule(rule_id: str) -> Rule:
    """Return one rule; raise KeyError if there is no such rule."""
    return {r.id: r for r in all_rules()}[rule_id]


def areas() -> tuple[str, ...]:
    """Name every area."""
    return tuple(sorted({r.area for r in all_rules()}))

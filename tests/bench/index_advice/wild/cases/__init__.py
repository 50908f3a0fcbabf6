"""The workloads of the benchmark, one a module."""

import importlib
import pkgutil

from tests.bench.index_advice.wild.wild_case import Wild


def names() -> list[str]:
    """Return the names of all workloads."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def load(name: str) -> Wild:
    """Return the workload of a module."""
    case = importlib.import_module(f"{__name__}.{name}").CASE
    assert isinstance(case, Wild)
    assert case.name == name
    return case

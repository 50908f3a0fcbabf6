"""pg_stat_statements is missing, not loaded, or outdated.

## Why it matters
Without it, nobody knows which statements take the time, and half of the rules cannot judge.

## How sure we are
B: it follows from the catalogs and the settings.

## Not reported
An extension that works and has the server's own version.

## Remedy
CREATE EXTENSION, ALTER EXTENSION … UPDATE, or shared_preload_libraries and a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import literal
from pgwatch_wed.remedies import settings

NEEDS = ("extensions", "settings")

_NAME = "pg_stat_statements"


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: it either works or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield one finding for whatever prevents statements from being read."""
    extension = snapshot.extension(_NAME)
    loaded = snapshot.setting(f"{_NAME}.max") is not None
    if extension is None:
        yield _absent(snapshot, loaded=loaded)
    elif not loaded and "statements" in snapshot.missing:
        yield _not_loaded(snapshot)
    elif extension.default_version and _older(
        extension.installed_version, extension.default_version
    ):
        yield _old(snapshot, extension.installed_version or "", extension.default_version)


def _older(installed: str | None, default: str) -> bool:
    def key(text: str) -> tuple[int, ...]:
        return tuple(int(p) for p in text.split(".") if p.isdigit())

    return key(installed or "") < key(default)


def _object(snapshot: Snapshot) -> Object:
    return Object("extension", _NAME, database=snapshot.server.database)


def _preload(snapshot: Snapshot) -> tuple[Remedy, ...]:
    """Return the step that loads it in addition to what is loaded; none if that is not visible."""
    now = snapshot.setting("shared_preload_libraries")
    if now is None:
        return ()
    present = [p.strip() for p in now.split(",")]
    libraries = [literal(p.strip('"')) for p in present if p]
    wanted = ", ".join(dict.fromkeys((*libraries, literal(_NAME))))
    return (settings.alter_system(snapshot, "shared_preload_libraries", wanted),)


def _unseen(snapshot: Snapshot) -> tuple[str, ...]:
    if snapshot.setting("shared_preload_libraries") is not None:
        return ()
    return (f"This role may not see shared_preload_libraries: add {_NAME} to it and restart.",)


def _create() -> Remedy:
    return Remedy(
        sql=f"CREATE EXTENSION {_NAME};",
        lock="none on user tables",
        undo=f"DROP EXTENSION {_NAME};",
    )


def _absent(snapshot: Snapshot, *, loaded: bool) -> Finding:
    offered = any(e.name == _NAME for e in snapshot.extensions)
    steps = (_create(),) if loaded else (*_preload(snapshot), _create())
    return Finding(
        object=_object(snapshot),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"{_NAME} is not installed in {snapshot.server.database}",
        detail="It is not known which statements take the time."
        + (
            ""
            if offered
            else " It is not available on the server: install the contrib package first."
        ),
        evidence={"is_loaded": loaded, "is_available": offered},
        impact=Impact(risk="findings cannot refer to statements"),
        remedy=steps if offered else (),
        caveats=() if loaded else _unseen(snapshot),
    )


def _not_loaded(snapshot: Snapshot) -> Finding:
    return Finding(
        object=_object(snapshot),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"{_NAME} is installed, but the server does not load its library",
        detail="It counts nothing until it is in shared_preload_libraries and the server is restarted.",
        evidence={"shared_preload_libraries": snapshot.setting("shared_preload_libraries")},
        impact=Impact(risk="findings cannot refer to statements"),
        remedy=_preload(snapshot),
        caveats=_unseen(snapshot),
    )


def _old(snapshot: Snapshot, installed: str, default: str) -> Finding:
    return Finding(
        object=_object(snapshot),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{_NAME} {installed} is older than the server's version {default}",
        detail="A server upgrade does not update the extension; newer columns are missing.",
        evidence={"installed_version": installed, "default_version": default},
        impact=Impact(risk="columns such as JIT and temporary I/O times are missing"),
        remedy=(
            Remedy(
                sql=f"ALTER EXTENSION {_NAME} UPDATE;",
                lock="briefly ACCESS EXCLUSIVE on the extension's own views",
                undo=f"-- ALTER EXTENSION cannot downgrade: drop {_NAME} and create it with the old version",
            ),
        ),
        caveats=("Your own views that use it have to be dropped first.",),
    )

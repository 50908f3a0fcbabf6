"""Whether a snapshot has a setting as advised: for the server, a role, a database, or a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from pgwatch_wed.facts import RoleSetting, Setting, Snapshot
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.history.held_indexes import table_of
from pgwatch_wed.history.structure import Status, Structure
from pgwatch_wed.units import read_size, read_span, setting_factor

_TRUE = frozenset({"on", "true", "yes", "1", "t", "y"})
_FALSE = frozenset({"off", "false", "no", "0", "f", "n"})
_LISTS = frozenset(
    {"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"}
)
_OF_SOME = frozenset({"database", "user", "database user", "global"})


# The server


def server_setting(snapshot: Snapshot, name: str, value: str | None) -> Structure:
    """Return the structure of ALTER SYSTEM; ``value`` is None for RESET."""
    setting = snapshot.setting_by_name.get(name)
    before = setting.setting if setting is not None else None
    label = f"{name} = {value}" if value is not None else f"{name} reset"
    was_pending = setting is not None and setting.pending_restart
    return Structure(
        "server setting",
        label,
        {"name": name, "value": value, "before": before, "was_pending": was_pending},
    )


def server_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether the server has the setting, or at least some role or database."""
    known = structure.known
    name, value = known["name"], known["value"]
    setting = snapshot.setting_by_name.get(name)
    if setting is None:
        lacking = snapshot.missing.get("settings")
        reason = lacking.reason if lacking else f"this role cannot see {name}"
        return Status(AppliedState.UNKNOWN, reason)
    is_ours = _is_of_some(snapshot, setting)
    if not is_ours:
        found = _compared(setting, setting.setting, known)
        if found.state is not AppliedState.ABSENT:
            return found
    if setting.pending_restart and not known.get("was_pending"):
        return Status(AppliedState.PARTLY, "a change of it waits for a restart")
    for own in snapshot.role_settings:
        if own.name == name and value is not None and is_same(setting, own.value, value):
            return Status(AppliedState.PARTLY, f"only for {_whose(own)}, not for the server")
    if is_ours:
        return Status(
            AppliedState.UNKNOWN,
            f"the server's value of {name} is hidden by one for the role that connects, or the database",
        )
    return Status(AppliedState.ABSENT)


def _is_of_some(snapshot: Snapshot, setting: Setting) -> bool:
    """Tell whether what we see is not the server's value, but that of our role or database."""
    if setting.source != "session":
        return setting.source in _OF_SOME
    # set by us: the value of a new session is shown, and the catalog tells where it comes from
    ours = snapshot.server.role, snapshot.server.database
    return any(_wider(snapshot, *ours, setting.name))


def _compared(setting: Setting, now: str | None, known: Mapping[str, Any]) -> Status:
    """Compare a value with the one advised, and with the one at that time."""
    value, before = known["value"], known["before"]
    if value is None:  # RESET: any other value than before, or the built-in one
        is_reset = now != before or (now == setting.boot_val and setting.source not in _OF_SOME)
        return Status(AppliedState.APPLIED if is_reset else AppliedState.ABSENT)
    if now is None:
        return Status(AppliedState.UNKNOWN, f"this role cannot see {setting.name}")
    if is_same(setting, now, value):
        return Status(AppliedState.APPLIED)
    numbers = [number(setting, v) for v in (before, now, value)]
    if any(n is None for n in numbers):
        return Status(AppliedState.ABSENT)
    old, new, wanted = (float(n) for n in numbers if n is not None)
    if min(old, wanted) < new < max(old, wanted):
        return Status(AppliedState.PARTLY, f"{_shown(setting, now)} instead of {value}")
    if (new > wanted > old) or (new < wanted < old):
        return Status(AppliedState.APPLIED, f"even {_shown(setting, now)}")
    return Status(AppliedState.ABSENT)


def _shown(setting: Setting, value: str) -> str:
    return f"{setting.name} = {value}{f' × {setting.unit}' if setting.unit else ''}"


def is_same(setting: Setting | None, one: str, other: str) -> bool:
    """Tell whether two texts are the same value; a list must contain all that is advised."""
    if setting is not None and setting.name in _LISTS:
        return _members(other) <= _members(one)
    left, right = one.strip().lower(), other.strip().lower()
    if left == right:
        return True
    for words in (_TRUE, _FALSE):
        if left in words and right in words:
            return setting is None or setting.vartype == "bool"
    numbers = [number(setting, text) for text in (left, right)]
    return numbers[0] is not None and numbers[0] == numbers[1]


def _members(text: str) -> frozenset[str]:
    return frozenset(part.strip().strip("\"'") for part in text.split(",") if part.strip())


def number(setting: Setting | None, text: str | None) -> float | None:
    """Return a value in the base unit (bytes, milliseconds); a bare number has the setting's unit."""
    if text is None:
        return None
    factor = setting_factor(setting.unit or "") if setting is not None else 1
    try:
        return float(text) * factor
    except ValueError:
        pass
    for read in (read_size, _milliseconds):
        try:
            return float(read(text))
        except ValueError:
            continue
    return None


def _milliseconds(text: str) -> float:
    return read_span(text).total_seconds() * 1000


# Roles and databases


def role_setting(
    snapshot: Snapshot, role: str | None, database: str | None, name: str, value: str | None
) -> Structure:
    """Return the structure of ALTER ROLE or ALTER DATABASE SET; ``value`` is None for RESET."""
    own = next(_own(snapshot, role, database, name), None)
    before = own.value if own is not None else None
    who = _called(role, database)
    label = f"{name} = {value} for {who}" if value is not None else f"{name} reset for {who}"
    known = {"role": role, "database": database, "name": name, "value": value, "before": before}
    return Structure("role setting", label, known)


def role_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a role or database has the setting, be it from what is set for all."""
    if "role_settings" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["role_settings"].reason)
    known = structure.known
    name, value = known["name"], known["value"]
    setting = snapshot.setting_by_name.get(name)
    own = next(_own(snapshot, known["role"], known["database"], name), None)
    if value is None:
        return Status(AppliedState.APPLIED if own is None else AppliedState.ABSENT)
    if own is not None:
        if is_same(setting, own.value, value):
            return Status(AppliedState.APPLIED)
        return _between(setting, own.value, known)
    for wider in _wider(snapshot, known["role"], known["database"], name):
        if is_same(setting, wider.value, value):
            return Status(AppliedState.APPLIED, f"set for {_whose(wider)}")
    return _of_server(snapshot, setting, value)


def _of_server(snapshot: Snapshot, setting: Setting | None, value: str) -> Status:
    if setting is None or setting.setting is None or _is_of_some(snapshot, setting):
        return Status(AppliedState.ABSENT)
    is_set = is_same(setting, setting.setting, value)
    return (
        Status(AppliedState.APPLIED, "set for the whole server")
        if is_set
        else Status(AppliedState.ABSENT)
    )


def _between(setting: Setting | None, now: str, known: Mapping[str, Any]) -> Status:
    before = known["before"] or (setting.setting if setting is not None else None)
    if setting is None or now == before:
        return Status(AppliedState.ABSENT)
    return _compared(setting, now, {**known, "before": before})


def _own(
    snapshot: Snapshot, role: str | None, database: str | None, name: str
) -> Iterator[RoleSetting]:
    for each in snapshot.role_settings:
        if (each.role, each.database, each.name) == (role, database, name):
            yield each


def _wider(
    snapshot: Snapshot, role: str | None, database: str | None, name: str
) -> Iterator[RoleSetting]:
    for each in snapshot.role_settings:
        if each.name == name and each.role in (role, None) and each.database in (database, None):
            yield each


def _whose(own: RoleSetting) -> str:
    return _called(own.role, own.database)


def _called(role: str | None, database: str | None) -> str:
    parts = [f"role {role}" if role else "", f"database {database}" if database else ""]
    return " in ".join(filter(None, parts)) or "all roles"


# Tables


def option(snapshot: Snapshot, known: Mapping[str, Any], name: str, value: str | None) -> Structure:
    """Return the structure of a storage parameter; ``known`` identifies the table."""
    table = table_of(snapshot, known)
    before = None
    if table is not None:
        is_toast = name.startswith("toast.")
        before = table.toast_option(name.removeprefix("toast.")) if is_toast else table.option(name)
    what = f"{name} = {value}" if value is not None else f"{name} reset"
    label = f"{what} on {known['schema']}.{known['table']}"
    return Structure(
        "table option", label, {**known, "name": name, "value": value, "before": before}
    )


def option_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether a table has a storage parameter as advised."""
    known = structure.known
    if "tables" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["tables"].reason)
    table = table_of(snapshot, known)
    if table is None:
        return Status(AppliedState.GONE, "the table is no longer there")
    name: str = known["name"]
    is_toast = name.startswith("toast.")
    now = table.toast_option(name.removeprefix("toast.")) if is_toast else table.option(name)
    if known["value"] is None:
        return Status(AppliedState.APPLIED if now is None else AppliedState.ABSENT)
    if now is not None and is_same(None, now, known["value"]):
        return Status(AppliedState.APPLIED)
    if now is None or now == known["before"]:
        return Status(AppliedState.ABSENT)
    return Status(AppliedState.PARTLY, f"{name} = {now} instead of {known['value']}")

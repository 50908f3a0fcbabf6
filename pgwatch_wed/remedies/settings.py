"""Settings as remedies: what ALTER SYSTEM can change, when it takes effect, and how to undo it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Remedy, Unknown
from pgwatch_wed.quote import ident, literal

# Lists whose members are quoted one by one.
_LISTS = frozenset({"shared_preload_libraries", "search_path", "session_preload_libraries"})
_RELOAD = "SELECT pg_reload_conf();"
_BOUND = frozenset({"database", "user", "database user", "client", "session"})


def is_global(setting: Setting) -> bool:
    """Tell whether the value is that of the server, not just of our role or database."""
    return setting.source not in _BOUND


def hidden(snapshot: Snapshot, *names: str) -> Unknown | None:
    """Say which of the server's settings cannot be seen because ALTER ROLE or ALTER DATABASE overrides them."""
    own = [
        n for n in names if (s := snapshot.setting_by_name.get(n)) and _is_overridden(snapshot, s)
    ]
    if not own:
        return None
    return Unknown(
        f"the server's value of {', '.join(own)} is hidden by one set for the role that connects, or for the database",
        "ALTER ROLE … RESET or ALTER DATABASE … RESET it, or connect as another role",
    )


def _is_overridden(snapshot: Snapshot, setting: Setting) -> bool:
    if setting.source != "session":
        return setting.source == "global" or not is_global(setting)
    # set by us: the value of a new session is shown, and the catalog tells where it comes from
    mine = (snapshot.server.role, snapshot.server.database)
    return any(
        o.name == setting.name and o.role in (mine[0], None) and o.database in (mine[1], None)
        for o in snapshot.role_settings
    )


def alter_system(snapshot: Snapshot, name: str, value: str) -> Remedy:
    """Return ALTER SYSTEM SET with the reload or restart that it needs; ``value`` is SQL."""
    setting = snapshot.setting_by_name.get(name)
    needs_restart = setting is not None and setting.context == "postmaster"
    quoted = ident(*name.split("."))
    return Remedy(
        sql=_reloaded(f"ALTER SYSTEM SET {quoted} = {value};", needs_restart),
        lock=_when(setting, needs_restart),
        in_transaction=False,
        undo=_reloaded(_back(setting, quoted), needs_restart),
    )


def together(changes: Sequence[Remedy]) -> Remedy:
    """Return several changes of settings as one script, with one reload at its end."""
    return replace(
        changes[0],
        sql=_one_reload(c.sql for c in changes),
        undo=_one_reload(c.undo for c in changes),
        lock="; ".join(dict.fromkeys(c.lock for c in changes)),
    )


def _one_reload(scripts: Iterable[str]) -> str:
    lines = [line for script in scripts for line in script.split("\n")]
    reloads = [_RELOAD] if _RELOAD in lines else []
    return "\n".join([*(line for line in lines if line != _RELOAD), *reloads])


def _reloaded(sql: str, needs_restart: bool) -> str:
    return sql if needs_restart else f"{sql}\n{_RELOAD}"


def _when(setting: Setting | None, needs_restart: bool) -> str:
    if needs_restart:
        return "none; takes effect after a server restart"
    if setting is not None and setting.context in ("backend", "superuser-backend"):
        return "none; takes effect in new sessions"
    return "none; takes effect on reload"


def _back(setting: Setting | None, quoted: str) -> str:
    """Return the SQL that restores the old value: RESET, unless ALTER SYSTEM had set it."""
    if (
        setting is None
        or setting.setting is None
        or not (setting.sourcefile or "").endswith("postgresql.auto.conf")
    ):
        return f"ALTER SYSTEM RESET {quoted};"
    if setting.name in _LISTS:
        values = (v.strip().strip('"') for v in setting.setting.split(","))
        return f"ALTER SYSTEM SET {quoted} = {', '.join(literal(v) for v in values)};"
    unit = setting.unit or ""
    value = setting.setting
    if unit and unit[0].isdigit():  # 8kB, 16MB: the unit of a number without one
        unit = ""
    return f"ALTER SYSTEM SET {quoted} = {literal(value + unit)};"


def caveats(setting: Setting | None) -> tuple[str, ...]:
    """Return what prevents ALTER SYSTEM from working here."""
    if setting is not None and setting.source == "command line":
        return ("It was set on the server's command line, which ALTER SYSTEM does not override.",)
    return ()


def undo_role_setting(snapshot: Snapshot, role: str, name: str) -> str:
    """Return the SQL that restores a role's own setting."""
    before = [
        s.value
        for s in snapshot.role_settings
        if s.name == name and s.role == role and s.database is None
    ]
    if before:
        return f"ALTER ROLE {ident(role)} SET {ident(name)} = {literal(before[0])};"
    return f"ALTER ROLE {ident(role)} RESET {ident(name)};"

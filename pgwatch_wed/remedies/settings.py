"""Settings as remedies: what ALTER SYSTEM can change, when it takes effect, and the way back."""

from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Remedy, Unknown
from pgwatch_wed.quote import ident, literal

# Lists whose members are quoted one by one.
_LISTS = frozenset({"shared_preload_libraries", "search_path", "session_preload_libraries"})
_BOUND = frozenset({"database", "user", "database user", "client", "session"})


def is_global(setting: Setting) -> bool:
    """Tell whether the value is the server's, and not only our role's or database's."""
    return setting.source not in _BOUND


def hidden(snapshot: Snapshot, *names: str) -> Unknown | None:
    """Say which of the server's settings cannot be seen: ALTER ROLE or ALTER DATABASE hides them from us."""
    own = [
        n for n in names if (s := snapshot.setting_by_name.get(n)) and _is_overridden(snapshot, s)
    ]
    if not own:
        return None
    return Unknown(
        f"a value of {', '.join(own)} that is bound to the role that looks, or to the database, hides the server's",
        "ALTER ROLE … RESET or ALTER DATABASE … RESET it, or look as another role",
    )


def _is_overridden(snapshot: Snapshot, setting: Setting) -> bool:
    if setting.source != "session":
        return setting.source == "global" or not is_global(setting)
    # our own guards: shown is what a new session would have, and the catalog tells from where
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


def _reloaded(sql: str, needs_restart: bool) -> str:
    return sql if needs_restart else f"{sql}\nSELECT pg_reload_conf();"


def _when(setting: Setting | None, needs_restart: bool) -> str:
    if needs_restart:
        return "none; it takes effect after a restart of the server"
    if setting is not None and setting.context in ("backend", "superuser-backend"):
        return "none; new sessions take it up"
    return "none; it takes effect at the reload"


def _back(setting: Setting | None, quoted: str) -> str:
    """Return what restores the value of before: RESET, unless ALTER SYSTEM itself had set it."""
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
    if unit and unit[0].isdigit():  # 8kB, 16MB: a bare number counts those
        unit = ""
    return f"ALTER SYSTEM SET {quoted} = {literal(value + unit)};"


def caveats(setting: Setting | None) -> tuple[str, ...]:
    """Return what keeps ALTER SYSTEM from working here."""
    if setting is not None and setting.source == "command line":
        return ("It was given on the server's command line, which ALTER SYSTEM does not override.",)
    return ()


def undo_role_setting(snapshot: Snapshot, role: str, name: str) -> str:
    """Return the SQL that gives a role's own setting back."""
    before = [
        s.value
        for s in snapshot.role_settings
        if s.name == name and s.role == role and s.database is None
    ]
    if before:
        return f"ALTER ROLE {ident(role)} SET {ident(name)} = {literal(before[0])};"
    return f"ALTER ROLE {ident(role)} RESET {ident(name)};"

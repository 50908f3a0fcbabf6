"""What differs in the server: version, settings, extensions, roles, databases, replication slots."""

from collections.abc import Iterator, Set

from pgwatch_wed import units
from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.facts.lineage import Bond
from pgwatch_wed.findings import Object
from pgwatch_wed.history.change import Change, ChangeKind, What, altered, compared, yes
from pgwatch_wed.history.pairing import Pairing


def server_changes(pairing: Pairing) -> Iterator[Change]:
    """Yield what differs in the server."""
    yield from _server(pairing)
    yield from _settings(pairing)
    yield from _role_settings(pairing)
    yield from _extensions(pairing)
    yield from _databases(pairing)
    yield from _roles(pairing)
    yield from _slots(pairing)


def _server(pairing: Pairing) -> Iterator[Change]:
    old, new = pairing.old.server, pairing.new.server
    server = Object("server", "PostgreSQL")
    if old.version != new.version:
        yield Change(ChangeKind.VERSION, What.ALTERED, server, old.version, new.version)
    if pairing.crashed is not None:
        how = _CRASHES[pairing.bond is Bond.RESTARTED]
        yield Change(ChangeKind.RESTART, What.CRASHED, server, None, how, at=pairing.crashed)
    elif pairing.bond is Bond.RESTARTED:
        when = max(old.started_at, new.started_at)
        times = (old.started_at.isoformat(), new.started_at.isoformat())
        yield Change(ChangeKind.RESTART, What.RESTARTED, server, *times, at=when)
    if pairing.bond is not None and old.is_in_recovery != new.is_in_recovery:
        what = What.PROMOTED if old.is_in_recovery else What.ALTERED
        yield Change(ChangeKind.RECOVERY, what, server, old.node, new.node)


_CRASHES = {
    True: "was restarted after a crash or an immediate stop",
    False: "ended all sessions since one of them had crashed",
}


# --- settings -------------------------------------------------------------------------------------

# What our own session, role or database sets says nothing about the server; role settings tell it.
_OURS = frozenset(("client", "global", "user", "database", "database user"))
# Not configured, but what the server is doing, or computed from other settings.
_STATE = frozenset(
    (
        *("in_hot_standby", "is_superuser", "role", "session_authorization", "seed"),
        *("transaction_deferrable", "transaction_isolation", "transaction_read_only"),
        *("server_version", "server_version_num", "application_name", "config_file"),
        *("shared_memory_size", "shared_memory_size_in_huge_pages", "num_os_semaphores"),
    )
)


def _settings(pairing: Pairing) -> Iterator[Change]:
    found = compared(pairing, "settings", lambda s: s.name)
    of_roles = {s.name for side in (pairing.old, pairing.new) for s in side.role_settings}
    for was, now in found.both:
        if _is_ours(was, of_roles) or _is_ours(now, of_roles) or _is_computed(was, now):
            continue
        name = Object("setting", now.name)
        before, after = shown(was), shown(now)
        if before != after:
            yield Change(ChangeKind.SETTING, What.ALTERED, name, before, after)
        if now.pending_restart and not was.pending_restart:
            yield Change(
                ChangeKind.SETTING, What.ALTERED, name, "no", "yes", aspect="pending restart"
            )
    # Which settings a role may see depends on the role, and which exist on version and libraries.
    if not _sees_the_same(pairing):
        return
    for setting in found.gone:
        if setting.source not in _OURS | {"default"}:
            name = Object("setting", setting.name)
            yield Change(ChangeKind.SETTING, What.DROPPED, name, shown(setting), None)
    for setting in found.come:
        if setting.source not in _OURS | {"default"}:
            name = Object("setting", setting.name)
            yield Change(ChangeKind.SETTING, What.CREATED, name, None, shown(setting))


def _is_ours(setting: Setting, of_roles: Set[str]) -> bool:
    return setting.source in _OURS or (setting.source == "session" and setting.name in of_roles)


def _is_computed(was: Setting, now: Setting) -> bool:
    """Tell whether a value follows from the server's state, or from settings that are told themselves."""
    nobody = {was.source, now.source} <= {"default", "override"} and was.boot_val == now.boot_val
    return was.name in _STATE or (nobody and was.name != "data_checksums")


def _sees_the_same(pairing: Pairing) -> bool:
    """Tell whether a setting that only one snapshot has was really added or removed."""
    old, new = pairing.old.server, pairing.new.server
    if old.features != new.features:
        return False
    return (old.role, old.is_superuser, old.role_memberships) == (
        *(new.role, new.is_superuser, new.role_memberships),
    )


def shown(setting: Setting) -> str | None:
    """Print a setting as SHOW does, with the largest unit that loses nothing."""
    if setting.setting is None or not setting.unit:
        return setting.setting
    return units.setting(setting.setting, setting.unit).replace(" ", "")


def _role_settings(pairing: Pairing) -> Iterator[Change]:
    found = compared(pairing, "role_settings", lambda s: (s.role, s.database, s.name))

    def named(row: object) -> Object:
        role, database = getattr(row, "role", None), getattr(row, "database", None)
        where = " in ".join(filter(None, (role, database)))
        return Object("setting", f"{getattr(row, 'name', '')} of {where or 'all roles'}")

    kind = ChangeKind.ROLE_SETTING
    for row in found.gone:
        yield Change(kind, What.DROPPED, named(row), row.value, None)
    for row in found.come:
        yield Change(kind, What.CREATED, named(row), None, row.value)
    for was, now in found.both:
        if was.value != now.value:
            yield Change(kind, What.ALTERED, named(now), was.value, now.value)


# --- what else belongs to the server --------------------------------------------------------------


def _extensions(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has("extensions"):
        return
    before, after = _installed(pairing.old), _installed(pairing.new)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was != now:
            what = What.CREATED if was is None else What.DROPPED if now is None else What.ALTERED
            database = pairing.new.server.database
            yield Change(ChangeKind.EXTENSION, what, Object("extension", name, database), was, now)


def _installed(snapshot: Snapshot) -> dict[str, str]:
    return {e.name: e.installed_version for e in snapshot.extensions if e.installed_version}


def _databases(pairing: Pairing) -> Iterator[Change]:
    by_oid = pairing.bond is not None
    found = compared(pairing, "databases", lambda d: d.oid if by_oid else d.name)
    kind = ChangeKind.DATABASE
    if by_oid:
        for row in found.gone:
            yield Change(kind, What.DROPPED, Object("database", row.name), row.name, None)
        for row in found.come:
            yield Change(kind, What.CREATED, Object("database", row.name), None, row.name)
    for was, now in found.both:
        name = Object("database", now.name)
        if was.name != now.name and pairing.has_names:
            yield Change(kind, What.RENAMED, name, was.name, now.name)
        for aspect, a, b in altered(was, now, _DATABASE):
            yield Change(kind, What.ALTERED, name, a, b, aspect=aspect)


_DATABASE = {
    "connection limit": lambda d: d.connection_limit,
    "allows connections": lambda d: yes(d.allows_connections),
    "collation version": lambda d: d.collation_version,
}


def _roles(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has_names:
        return
    found = compared(pairing, "roles", lambda r: r.name)
    kind = ChangeKind.ROLE
    for row in found.gone:
        yield Change(kind, What.DROPPED, Object("role", row.name), row.name, None)
    for row in found.come:
        yield Change(kind, What.CREATED, Object("role", row.name), None, row.name)
    for was, now in found.both:
        for aspect, a, b in altered(was, now, _ROLE):
            yield Change(kind, What.ALTERED, Object("role", now.name), a, b, aspect=aspect)


_ROLE = {
    "superuser": lambda r: yes(r.is_superuser),
    "connection limit": lambda r: r.connection_limit,
    "replication": lambda r: yes(r.is_replication),
}


def _slots(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has_names:
        return
    found = compared(pairing, "slots", lambda s: s.name)
    kind = ChangeKind.SLOT
    for row in found.gone:
        if not row.is_temporary:
            yield Change(kind, What.DROPPED, Object("slot", row.name), row.slot_type, None)
    for row in found.come:
        if not row.is_temporary:
            yield Change(kind, What.CREATED, Object("slot", row.name), None, row.slot_type)
    for was, now in found.both:
        if was.is_active != now.is_active:
            name = Object("slot", now.name)
            values = yes(was.is_active), yes(now.is_active)
            yield Change(kind, What.ALTERED, name, *values, aspect="active")

"""libpq's pg_service.conf: each section is a cluster."""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.member_table import (
    NO_TEXT,
    WrongEntryError,
    checked_name,
    is_storable,
)
from pgwatch_wed.fleet.members import LeftOut, Member

_SECTION = re.compile(r"\[([^\]]*)\]\s*\Z")
_MOST_BYTES = 1023  # libpq refuses a longer line


@dataclass(slots=True)
class _Section:
    name: str
    line: int
    parameters: dict[str, str] = field(default_factory=dict)
    wrong: list[tuple[int, str]] = field(default_factory=list)


def user_file() -> Path:
    """Return the file in which libpq looks first."""
    named = os.environ.get("PGSERVICEFILE")
    return Path(named) if named else Path.home() / ".pg_service.conf"


def system_file() -> Path | None:
    """Return the file in which libpq looks next, as far as the environment names it."""
    folder = os.environ.get("PGSYSCONFDIR")
    return Path(folder) / "pg_service.conf" if folder else None


def default_files() -> tuple[Path, ...]:
    """Return those of libpq's files that exist."""
    files = (user_file(), system_file())
    return tuple(file for file in files if file is not None and file.is_file())


def in_full(conninfo: str) -> dict[str, str]:
    """Return the parameters of a conninfo, with those of the service that it names, as far as its files tell."""
    given = {k: str(v) for k, v in libpq.conninfo_to_dict(conninfo).items()} if conninfo else {}
    service = given.get("service")
    for file in default_files() if service else ():
        try:
            found = _parameters(file, file.stat().st_mtime_ns).get(str(service))
        except OSError:
            continue
        if found is not None:
            return {**found, **given}
    return given


@lru_cache(maxsize=8)
def _parameters(file: Path, _changed: int) -> dict[str, dict[str, str]]:
    sections = _sections(file.read_text(encoding="utf-8", errors="replace"))
    return {section.name: section.parameters for section in reversed(sections)}


def service_members(text: str, located: Located) -> Listing:
    """Return a member for each section.

    libpq reads the section itself where it would find it; of other files we give it what the section says.
    """
    members: list[Member] = []
    left_out: list[LeftOut] = []
    known: dict[str, int] = {}
    is_own = _is_users(Path(located.value))
    for section in _sections(text):
        place = f"{located.label}:{section.line}"
        wrong = [(line, why) for line, why in section.wrong]
        if section.name in known:
            wrong = [
                (
                    section.line,
                    f"a second [{section.name}]; the first is in line {known[section.name]}",
                )
            ]
        known.setdefault(section.name, section.line)
        try:
            name = checked_name(section.name)
            conninfo = libpq.make_conninfo(
                "", **{"service": name} if is_own else section.parameters
            )
        except (WrongEntryError, psycopg.ProgrammingError, UnicodeError) as error:
            wrong.append((section.line, _why(error)))
            name = section.name
        for line, why in wrong:
            left_out.append(LeftOut(name, f"{located.label}:{line}", why, is_wrong=True))
        if not wrong:
            members.append(Member(name, (conninfo,), place=place))
    return Listing(tuple(members), tuple(left_out))


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, WrongEntryError) else "libpq does not accept the section"


def _is_users(path: Path) -> bool:
    try:
        return path.resolve() == user_file().resolve()
    except OSError:
        return False


def _sections(text: str) -> list[_Section]:
    found: list[_Section] = []
    # before the first section, libpq ignores all lines
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line.startswith("["):
            matched = _SECTION.match(line)
            found.append(_Section(matched[1] if matched else line[1:], number))
            if matched is None:
                found[-1].wrong.append((number, "the section's name has no ]"))
        elif found and line and not line.startswith("#"):
            _add(found[-1], line, number)
    return found


def _add(section: _Section, line: str, number: int) -> None:
    """Add a line as libpq does: no space around the =, a line of LDAP, no service in a service."""
    key, separator, value = line.partition("=")
    if line.startswith("ldap"):
        why = "its parameters are in LDAP, which is not asked"
    elif not separator:
        why = "the line has no ="
    elif key == "service":
        why = "a service cannot name another service"
    elif key not in _keywords():
        why = f"libpq has no parameter {key[:60]!r}"
    elif not is_storable(line):
        why = f"the line {NO_TEXT}"
    elif len(line.encode()) > _MOST_BYTES:
        why = "the line is longer than libpq reads"
    else:
        section.parameters.setdefault(key, value)
        return
    section.wrong.append((number, why))


def _keywords() -> frozenset[str]:
    return _KEYWORDS


_KEYWORDS = frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()) - {
    "service"
}

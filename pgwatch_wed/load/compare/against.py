"""What ``--against`` says: settings of another server like this one, or another server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_wed import paths
from pgwatch_wed.errors import UsageError, said
from pgwatch_wed.load.load_model import Ground

_SETTING = re.compile(r"\s*([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*\Z", re.DOTALL)
_NEXT = re.compile(r",\s*(?=[A-Za-z_][\w.]*\s*=)")
_LINE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^\s#]+)\s*(?:#.*)?\Z")
# of libpq, and of no server
_CONNECTING = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "password", "service", "sslmode"}
)


@dataclass(frozen=True, slots=True)
class AgainstSettings:
    """Settings that differ from those of this run. ``shown`` names them for people."""

    settings: Mapping[str, str]
    shown: str


@dataclass(frozen=True, slots=True)
class AgainstServer:
    """Another server, as a TARGET; it may contain secrets."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstGrounds:
    """Where the two sides run; on one ground, ``settings`` are of the sessions of the base. ``no_times`` says why not."""

    base: Ground
    current: Ground
    label: str
    settings: Mapping[str, str] = field(default_factory=dict)
    no_times: str = ""


def read_against(text: str) -> AgainstSettings | AgainstServer:
    """Understand ``name=value,…``, a file of such lines, or a TARGET; raises :class:`UsageError` for nonsense."""
    if not text.strip():
        raise UsageError(
            "--against is empty", "settings as work_mem=64MB, a file of them, or a TARGET"
        )
    if paths.exists(Path(text)) and not paths.is_directory(Path(text)):
        return AgainstSettings(_from_file(Path(text)), Path(text).name)
    if "://" in text:
        return AgainstServer(text)
    parts = [_SETTING.match(part) for part in _NEXT.split(text)]
    pairs = {m[1]: _unquoted(m[2]) for m in parts if m}
    # a conninfo is one part with spaces in it, and begins with a word of libpq
    if not pairs or None in parts or _CONNECTING & pairs.keys():
        return AgainstServer(text)
    return AgainstSettings(pairs, ", ".join(f"{name} = {value}" for name, value in pairs.items()))


def _from_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        text = said(error) if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read the settings {path}: {text}") from error
    settings: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            raise UsageError(f"{path}, line {number}: not a setting as in postgresql.conf")
        settings[found[1]] = _unquoted(found[2])
    if not settings:
        raise UsageError(f"{path} contains no settings")
    return settings


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    return value

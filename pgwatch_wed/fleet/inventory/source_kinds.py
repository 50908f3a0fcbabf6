"""What kind of source a text on the command line names: by its prefix, its file name, or what is in it."""

import os
import re
import shlex
from pathlib import Path

from pgwatch_wed import paths
from pgwatch_wed.errors import redact
from pgwatch_wed.fleet.inventory.listing import Located, SourceFailureError
from pgwatch_wed.suggestions import meant

KINDS = {
    "service": "libpq's pg_service.conf",
    "toml": "our TOML",
    "json": "our JSON",
    "exec": "a command that prints JSON",
    "patroni": "Patroni's REST API",
    "pgwatch": "pgwatch's sources, in YAML",
    "rds": "JSON of aws rds describe-db-instances and describe-db-clusters",
    "cnpg": "CloudNativePG's clusters, as JSON",
    "file_sd": "Prometheus' file_sd",
}
ANY = "document"
"""The kind of a file whose content says what it is."""
STANDARD_INPUT = "-"

_PREFIX = re.compile(r"\A([A-Za-z][A-Za-z0-9_-]*):(.*)\Z", re.DOTALL)
# What a shared folder or an archive marks as executable, but is not.
_DATA = (".toml", ".json", ".yaml", ".yml", ".conf", ".ini")


def locate(source: str, folder: Path) -> Located:
    """Return what a source is; ``folder`` is where relative paths begin."""
    kind, value = _split(source, folder)
    if kind == "exec":
        return Located(kind, value, _command_label(value), folder)
    if kind == "patroni" and value != STANDARD_INPUT and not paths.exists(folder / value):
        return Located(kind, value, redact(without_query(f"patroni:{value}")), folder)
    if value == STANDARD_INPUT:
        return Located(kind or ANY, value, "standard input", folder, is_text=True)
    if kind == "service" and not value:
        return _default_service_file(folder)
    try:
        path = folder / Path(value).expanduser()
    except RuntimeError:
        raise SourceFailureError("it begins with the home directory of nobody") from None
    found = kind or kind_of_file(path)
    if found == "exec":
        return Located(found, shlex.quote(str(path.absolute())), redact(value), folder)
    return Located(found, str(path), redact(value), path.parent, is_text=True)


def without_query(urls: str) -> str:
    """Return URLs without what follows a question mark, which may be secret."""
    return re.sub(r"\?[^,\s]*", "?…", urls)


def _command_label(command: str) -> str:
    """Name a command without its arguments, which may be secret."""
    program, *arguments = command.split(None, 1)
    return redact(f"exec:{program}{' …' if arguments else ''}")


def _split(source: str, folder: Path) -> tuple[str, str]:
    if not source.strip() or "\0" in source:
        raise SourceFailureError("the name of the source is empty or not valid")
    if source.startswith(("http://", "https://")):
        return "patroni", source
    found = _PREFIX.match(source)
    if found is None or paths.exists(folder / source):
        return "", source
    kind, value = found[1], found[2]
    if kind not in KINDS:
        hint = meant(kind, KINDS) or f"kinds are {', '.join(KINDS)}"
        raise SourceFailureError(f"unknown kind {kind!r}; {hint}")
    if not value.strip() and kind != "service":
        raise SourceFailureError(f"nothing follows {kind}:")
    return kind, value


def _default_service_file(folder: Path) -> Located:
    from pgwatch_wed.fleet.inventory.service_file import default_files, user_file

    path = next(iter(default_files()), user_file())
    return Located("service", str(path), str(path), folder)


def kind_of_file(path: Path) -> str:
    """Return the kind of a file by its name and mode; :data:`ANY` if its content must tell."""
    if path.name in ("pg_service.conf", ".pg_service.conf") or path.suffix in (".conf", ".ini"):
        return "service"
    if path.suffix == ".toml":
        return "toml"
    if path.suffix not in _DATA and _is_program(path):
        return "exec"
    return ANY


def _is_program(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:  # a name that is too long, for example
        return False

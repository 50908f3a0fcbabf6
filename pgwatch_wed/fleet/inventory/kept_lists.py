"""The last good list of each source, in the user's state directory: it stands for a source that fails.

A list has no secrets. A password that came from a variable of the environment is kept as the name of that variable;
for any other, a member of a kept list has what libpq finds by itself: the password file, a service, a certificate.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any

import platformdirs
import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed import clock
from pgwatch_wed.errors import redact
from pgwatch_wed.fleet.inventory.listing import Include, Listing, Located, SourceFailureError
from pgwatch_wed.fleet.inventory.source_kinds import STANDARD_INPUT
from pgwatch_wed.fleet.members import AllowedTime, DatabaseChoice, Member

_FORM = 1
_SECRETS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
) | {o.keyword.decode() for o in psycopg.pq.Conninfo.get_defaults() if o.dispchar == b"*"}
_VARIABLE = re.compile(r"\$\{\w+\}\Z")


@dataclass(frozen=True, slots=True)
class KeptList:
    """A list that was kept, and how old it is."""

    listing: Listing
    age_s: float


class KeptLists:
    """Where the lists are; a list that cannot be read is none, and one that cannot be written is not kept."""

    def __init__(self, folder: Path, *, forgets: bool = False) -> None:
        self._folder = folder
        self._forgets = forgets

    def check(self, identity: str, located: Located, listing: Listing) -> None:
        """Raise a failure for an empty list of a source that had clusters."""
        says_why = any(not entry.is_wrong for entry in listing.left_out)
        if listing.members or listing.includes or says_why:
            return
        if located.value == STANDARD_INPUT:
            raise SourceFailureError("it gives no clusters")
        before = self.last(identity)
        if before is not None:
            count = len(before.listing.members)
            raise SourceFailureError(
                f"it gives no clusters, and gave {count:,} before; if that is right, use fleet list --forget"
            )

    def last(self, identity: str) -> KeptList | None:
        """Return the last good list of a source."""
        if self._forgets:
            return None
        try:
            document = json.loads(self._file(identity).read_text(encoding="utf-8"))
            if document["form"] != _FORM:
                return None
            read_at = datetime.fromisoformat(document["read_at"])
            members = tuple(_read_member(each) for each in document["members"])
            includes = tuple(Include(**each) for each in document["includes"])
        except (OSError, ValueError, KeyError, TypeError, psycopg.Error):
            return None
        return KeptList(
            Listing(members, (), includes), max(0.0, (clock.now() - read_at).total_seconds())
        )

    def keep(self, identity: str, located: Located, listing: Listing) -> None:
        """Keep a list; standard input is no source that could be recognized the next time."""
        if located.value == STANDARD_INPUT:
            return
        with contextlib.suppress(OSError):
            file = self._file(identity)
            if not listing.members and not listing.includes:
                file.unlink(missing_ok=True)
                return
            document = {
                "form": _FORM,
                "source": located.label,
                "read_at": clock.now().isoformat(),
                "members": [_written_member(m, listing.variables) for m in listing.members],
                "includes": [
                    {
                        "source": i.source,
                        "place": i.place,
                        "name": i.name,
                        "common": _without_secrets(i.common),
                    }
                    for i in listing.includes
                    if redact(i.source) == i.source
                ],
            }
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}.new")
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps(document), encoding="utf-8")
            unfinished.replace(file)

    def _file(self, identity: str) -> Path:
        name = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / f"{name}.json"


def default_folder() -> Path:
    """Return where lists are kept if nothing else is requested."""
    return platformdirs.user_state_path("pgwatch_wed") / "inventories"


# --- members --------------------------------------------------------------------------------------


def _written_member(member: Member, variables: frozenset[str]) -> dict[str, Any]:
    allowed = member.allowed
    return {
        "name": member.name,
        "targets": [_written_target(target, variables) for target in member.targets],
        "take": member.databases.take,
        "leave": member.databases.leave,
        "tags": dict(member.tags),
        "group": member.group,
        "budget_s": member.budget_s,
        "allowed": allowed
        and [allowed.begins.isoformat(), allowed.ends.isoformat(), sorted(allowed.days)],
        "is_enabled": member.is_enabled,
        "place": redact(member.place),
    }


def _written_target(target: str, variables: frozenset[str]) -> dict[str, Any]:
    if redact(target) == target and not any(key in target for key in _SECRETS):
        return {"conninfo": target, "variables": {}}
    parts = {key: str(value) for key, value in libpq.conninfo_to_dict(target).items()}
    secrets = {key: parts.pop(key) for key in _SECRETS & parts.keys()}
    return {
        "conninfo": libpq.make_conninfo("", **parts),
        "variables": {
            key: name
            for key, text in secrets.items()
            for name in sorted(variables)
            if _of_environment(name, key) == text
        },
    }


def _of_environment(name: str, key: str) -> str | None:
    """Return a parameter that is the value of a variable, or is in the connection string that its value is."""
    value = os.environ.get(name)
    if value is None:
        return None
    with contextlib.suppress(psycopg.Error, UnicodeError):
        return str(libpq.conninfo_to_dict(value).get(key, value))
    return value


def _without_secrets(common: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is common to an included source; ``${NAME}`` is no secret."""
    found = {key: value for key, value in common.items() if key != "target"}
    with contextlib.suppress(psycopg.Error, UnicodeError, TypeError):
        parts = libpq.conninfo_to_dict(common["target"]) if "target" in common else {}
        kept = {
            key: value
            for key, value in parts.items()
            if key not in _SECRETS or _VARIABLE.match(str(value))
        }
        if kept:
            found["target"] = libpq.make_conninfo("", **kept)
    return found


def _read_member(values: Mapping[str, Any]) -> Member:
    allowed = values["allowed"]
    return Member(
        name=values["name"],
        targets=tuple(_read_target(each) for each in values["targets"]),
        databases=DatabaseChoice(tuple(values["take"]), tuple(values["leave"])),
        tags=dict(values["tags"]),
        group=values["group"],
        budget_s=values["budget_s"],
        allowed=allowed
        and AllowedTime(
            time.fromisoformat(allowed[0]), time.fromisoformat(allowed[1]), frozenset(allowed[2])
        ),
        is_enabled=values["is_enabled"],
        place=values["place"],
    )


def _read_target(values: Mapping[str, Any]) -> str:
    named: Mapping[str, str] = values["variables"]
    if not named:
        return str(values["conninfo"])
    secrets = {key: _of_environment(name, key) for key, name in named.items()}
    return libpq.make_conninfo(values["conninfo"], **secrets)

"""The planner settings with which each role's statements run: ALTER ROLE and ALTER DATABASE … SET."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgwatch_wed.quote import ident
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.unencoded import readable


@dataclass(frozen=True, slots=True)
class PlannerSetting:
    """A setting of a role, of a database, or of both; ``role`` None means all roles."""

    role: str | None
    is_of_database: bool
    name: str
    value: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """What differs from the ``base``, the settings of the role that asks."""

    base: Mapping[str, str] = field(default_factory=dict)
    each: tuple[PlannerSetting, ...] = ()

    def of(self, user: str | None) -> dict[str, str]:
        """Return a role's settings, as far as they are not the base's."""
        if not user or self._is_ours(user):
            return {}
        found = {name: value for name in self._names() if (value := self._value(user, name))}
        path = found.get("search_path", self.base.get("search_path", ""))
        if '"$user"' in path:
            found["search_path"] = path.replace('"$user"', ident(user))
        return {name: value for name, value in found.items() if value != self.base.get(name)}

    def unknown(self, user: str | None) -> list[str]:
        """Return the settings that only the role that asks has: what others have is not visible."""
        if user is None or self._is_ours(user):
            return []
        own = (s.name for s in self.each if s.is_ours and s.name in self.base)
        return [name for name in dict.fromkeys(own) if self._value(user, name) is None]

    def _is_ours(self, user: str) -> bool:
        return any(s.is_ours and s.role == user for s in self.each)

    def _names(self) -> list[str]:
        return [name for name in dict.fromkeys(s.name for s in self.each) if name in self.base]

    def _value(self, user: str, name: str) -> str | None:
        mine = [s for s in self.each if s.name == name and s.role in (user, None)]
        # a role's setting counts more than a database's, and one of both most
        mine.sort(key=lambda s: (s.role is not None, s.is_of_database))
        return mine[-1].value if mine else None


def read(
    connection: psycopg.Connection[Any], base: Mapping[str, str], users: Collection[str]
) -> PlannerSettings:
    """Read the settings of a target's roles."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = composed("whatif", "role_planner_settings")
        found = cursor.execute(query, {"users": sorted(users)}).fetchall()
        rows = [{name: readable(value) for name, value in row.items()} for row in found]
    return PlannerSettings(base, tuple(PlannerSetting(**row) for row in rows))

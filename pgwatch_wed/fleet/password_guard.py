"""A password that is wrong everywhere is not tried on every server: accounts that live in one place would be locked.

LDAP, Active Directory or a vault count refusals of one account, whichever of sixty servers asks. So only a few attempts are
under way until a server has accepted a password, and none begins after it was refused a few times.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet.password_sources import UserPassword, password_of
from pgwatch_wed.target import connect

MOST_REFUSED = 3
_SLOW_S = 5.0
"""Who has not answered for so long has hardly come to the password: another attempt may begin beside it."""


@dataclass(slots=True)
class _Pair:
    """What is known of a user with a password: refusals, whether it was accepted, and when attempts began."""

    refused: int = 0
    is_accepted: bool = False
    slow: int = 0
    begun: list[float] = field(default_factory=list)

    def may_begin(self, now: float) -> bool:
        """Tell whether another attempt may begin, so that no more than allowed can be refused."""
        late = [each for each in self.begun if now - each >= _SLOW_S]
        for each in late:
            self.begun.remove(each)
        self.slow += len(late)
        return self.is_accepted or self.refused + len(self.begun) < MOST_REFUSED + self.slow


@dataclass(slots=True)
class PasswordGuard:
    """What servers said to passwords, for one run; threads share it.

    A pair of user and password is known by a keyed hash, which never leaves this process.
    """

    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _pairs: dict[bytes, _Pair] = field(default_factory=dict, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self, given: UserPassword) -> float | None:
        """Wait until a password may be tried, and return when that began; None if it may not be any more."""
        with self._changed:
            pair = self._pair(given)
            while pair.is_accepted or pair.refused < MOST_REFUSED:
                now = time.monotonic()
                if pair.may_begin(now):
                    pair.begun.append(now)
                    return now
                self._changed.wait(max(0.01, _SLOW_S - (now - min(pair.begun, default=now))))
        return None

    def end(self, given: UserPassword, begun: float, *, refused: bool | None) -> None:
        """Note what became of an attempt; ``refused`` is None if the server never came to the password."""
        with self._changed:
            pair = self._pair(given)
            if begun in pair.begun:
                pair.begun.remove(begun)
            pair.refused += refused is True
            pair.is_accepted |= refused is False
            self._changed.notify_all()

    def learn(self, targets: Iterable[str]) -> None:
        """Take over that another process was refused at a member with these targets."""
        given: dict[bytes, UserPassword] = {}
        for target in targets:
            with suppress(UsageError):
                found = password_of(connect.resolve(target))
                if found is not None:
                    given[self._digest(found)] = found
        with self._changed:
            for each in given.values():
                self._pair(each).refused += 1

    def _pair(self, given: UserPassword) -> _Pair:
        return self._pairs.setdefault(self._digest(given), _Pair())

    def _digest(self, given: UserPassword) -> bytes:
        text = f"{given.user}\0{given.password}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, "sha256")

"""Redis or Valkey: whether it answers, how often the cache hits, how full it is."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes.extras import needed
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure, of_network
from pgwatch_wed.serve.probes.probe_settings import Address, ProbeSettings, Secret, plain
from pgwatch_wed.serve.state import PREFIX, Family, Health, Labels, Reason, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings(ProbeSettings):
    """A cache. Its hit ratio is that of the last ``window``, and none if there were few lookups."""

    url: Address
    user: str = ""
    password: Secret | None = None
    authority: str = ""
    auth: Health = Health.WARN
    hit_ratio: float = 0.9
    window_s: float = 300.0
    lookups: int = 100
    memory_ratio: float = 0.9  # of the limit, where nothing is evicted and writes would fail

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        ProbeSettings.check(self, where)
        if urlsplit(plain(self.url)).scheme not in ("redis", "rediss", "unix"):
            raise UsageError(f"{where}.url must begin with redis://, rediss:// or unix://")


@dataclass(frozen=True, slots=True)
class _Counted:
    at: float
    hits: int
    misses: int


@dataclass(slots=True)
class RedisProbe:
    """Asks over a new connection; remembers counters, which are since the start and of everybody."""

    settings: RedisSettings
    now: Callable[[], float]
    _counted: deque[_Counted] = field(default_factory=deque)

    def __call__(self, limit: Limit) -> Observation:
        """Ask it."""
        redis = needed("redis", "redis")
        client = self._client(redis, limit)
        try:
            client.ping()
            info = client.info()
        except redis.RedisError as error:
            raise _failure(redis, error) from None
        finally:
            client.close()
        return self._judged(info, limit)

    def _client(self, redis: Any, limit: Limit) -> Any:
        wanted = self.settings
        more: dict[str, Any] = {"username": wanted.user} if wanted.user else {}
        if wanted.password:
            more["password"] = wanted.password.value()
        if wanted.authority:
            more["ssl_ca_certs"] = wanted.authority
        return redis.Redis.from_url(
            plain(wanted.url),
            # by default it waits for ever, and then tries again
            socket_timeout=limit.left(),
            socket_connect_timeout=limit.left(),
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            decode_responses=True,
            encoding_errors="replace",
            client_name="pgwatch_wed",
            **more,
        )

    def _judged(self, info: Mapping[str, Any], limit: Limit) -> Observation:
        seen = Observation(families=self._families(info))
        if _whole(info, "loading"):
            seen = seen.warned("it is loading its data")
        if info.get("role") == "slave" and info.get("master_link_status") == "down":
            seen = seen.warned("the replica has lost its primary")
        if info.get("rdb_last_bgsave_status", "ok") != "ok":
            seen = seen.warned("the last snapshot to disk has failed")
        used, most = _whole(info, "used_memory"), _whole(info, "maxmemory")
        # where keys are evicted, a full cache is as it should be
        evicts = info.get("maxmemory_policy", "noeviction") != "noeviction"
        if most and not evicts and used / most > self.settings.memory_ratio:
            seen = seen.warned(
                f"{units.share(used / most)} of the memory limit is used, and nothing is evicted"
            )
        return self._hit(seen, info, limit.monotonic())

    def _hit(self, seen: Observation, info: Mapping[str, Any], at: float) -> Observation:
        counted = _Counted(at, _whole(info, "keyspace_hits"), _whole(info, "keyspace_misses"))
        last = self._counted[-1] if self._counted else counted
        if counted.hits < last.hits or counted.misses < last.misses:  # a restart or a reset
            self._counted.clear()
        self._counted.append(counted)
        while len(self._counted) > 2 and at - self._counted[1].at >= self.settings.window_s:
            self._counted.popleft()
        first = self._counted[0]
        hits, misses = counted.hits - first.hits, counted.misses - first.misses
        if hits + misses < max(1, self.settings.lookups):
            return seen
        ratio = hits / (hits + misses)
        seen = Observation(
            seen.status,
            seen.reason,
            seen.detail,
            {**seen.readings, "cache_hit_ratio": ratio},
            seen.families,
        )
        if ratio < self.settings.hit_ratio:
            return seen.warned(
                f"{units.share(ratio)} of {units.count(hits + misses, 'lookup')} within "
                f"{units.duration((at - first.at) * 1000)} were hits"
            )
        return seen

    def _families(self, info: Mapping[str, Any]) -> tuple[Family, ...]:
        cache: Labels = (("cache", self.settings.name),)

        def family(kind: str, name: str, about: str, *values: tuple[Labels, str]) -> Family:
            samples = tuple(
                Sample(PREFIX + name, cache + more, float(_whole(info, key)))
                for more, key in values
            )
            return Family(PREFIX + name, kind, about, samples, "cache")

        return (
            family(
                "counter",
                "cache_lookups_total",
                "Lookups of keys by result.",
                ((("result", "hit"),), "keyspace_hits"),
                ((("result", "miss"),), "keyspace_misses"),
            ),
            family("gauge", "cache_memory_bytes", "Memory of data.", ((), "used_memory")),
            family(
                "gauge", "cache_memory_limit_bytes", "Memory limit; 0 for none.", ((), "maxmemory")
            ),
            family("counter", "cache_evictions_total", "Evicted keys.", ((), "evicted_keys")),
            family("gauge", "cache_clients", "Connected clients.", ((), "connected_clients")),
        )


def _whole(info: Mapping[str, Any], key: str) -> int:
    value = info.get(key)
    return value if isinstance(value, int) else 0


def _failure(redis: Any, error: Exception) -> ProbeFailure:
    match error:
        case redis.exceptions.AuthenticationError() | redis.exceptions.NoPermissionError():
            return ProbeFailure(Reason.AUTH)
        case redis.exceptions.BusyLoadingError():
            return ProbeFailure(Reason.CONDITION, "it is loading its data")
        case redis.exceptions.TimeoutError():
            return ProbeFailure(Reason.TIMEOUT)
    # The server has no code for it, and never another language.
    if "max number of clients" in str(error):
        return ProbeFailure(Reason.LIMIT)
    return of_network(error) or ProbeFailure(Reason.PROTOCOL)

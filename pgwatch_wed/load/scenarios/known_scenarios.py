"""The scenarios that come with us: SQL texts in ``sql/load/<folder>/``, filled in with scale and seed."""

from dataclasses import dataclass
from functools import cache

from pglast import split

from pgwatch_wed import assets
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.load_model import LoadScript, Scenario

MAX_SCALE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A scenario without its texts; ``scripts`` and ``background`` are file names and weights."""

    title: str
    folder: str
    scripts: tuple[tuple[str, int], ...]
    clients: int
    is_writing: bool
    background: tuple[str, ...] = ()
    reconnects: bool = False
    pooler: bool = False


_KINDS = {
    "tpcb-like": _Kind(
        title="Transfers between accounts, as in TPC-B",
        folder="tpcb-like",
        scripts=(("transfer", 1),),
        clients=16,
        is_writing=True,
    ),
    "read-mostly": _Kind(
        title="A shop: 95% reads, of few customers and products most of the time",
        folder="read-mostly",
        scripts=(("customer", 40), ("order", 25), ("product", 20), ("city", 10), ("purchase", 5)),
        clients=16,
        is_writing=True,
    ),
    "write-heavy": _Kind(
        title="Events of devices: inserts, updates and deletes, with four indexes to maintain",
        folder="write-heavy",
        scripts=(("append", 60), ("state", 25), ("batch", 10), ("purge", 5)),
        clients=16,
        is_writing=True,
    ),
    "hot-row": _Kind(
        title="Nine of ten transactions update the same row",
        folder="hot-row",
        scripts=(("popular", 9), ("other", 1)),
        clients=16,
        is_writing=True,
    ),
    "scan-beside": _Kind(
        title="Short queries, while a report scans the whole table again and again",
        folder="scan-beside",
        scripts=(("latest", 3), ("reading", 7)),
        clients=16,
        is_writing=False,
        background=("report",),
    ),
    "connection-storm": _Kind(
        title="A new connection for each transaction",
        folder="connection-storm",
        scripts=(("lookup", 1),),
        clients=32,
        is_writing=False,
        reconnects=True,
    ),
    "connection-storm-pooled": _Kind(
        title="A new connection for each transaction, through PgBouncer",
        folder="connection-storm",
        scripts=(("lookup", 1),),
        clients=32,
        is_writing=False,
        reconnects=True,
        pooler=True,
    ),
}


def names() -> tuple[str, ...]:
    """Return the names of all scenarios."""
    return tuple(_KINDS)


def scenario(name: str, *, scale: int = 1, seed: int = 1, clients: int | None = None) -> Scenario:
    """Return a scenario; its data depends on scale and seed alone. ``clients`` replaces its own number.

    Raises :class:`UsageError` if there is none of this name.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise UsageError(f"there is no scenario {name!r}", f"scenarios: {', '.join(_KINDS)}")
    if not 1 <= scale <= MAX_SCALE:
        raise UsageError(f"the scale must be between 1 and {MAX_SCALE:,}, not {scale:,}")
    return Scenario(
        name=name,
        title=kind.title,
        prepare=_prepare(kind.folder, scale, seed),
        scripts=tuple(_script(kind.folder, n, scale, seed, weight) for n, weight in kind.scripts),
        clients=clients or kind.clients,
        is_writing=kind.is_writing,
        reconnects=kind.reconnects,
        pooler=kind.pooler,
        background=tuple(_script(kind.folder, n, scale, seed) for n in kind.background),
    )


@cache
def _prepare(folder: str, scale: int, seed: int) -> tuple[str, ...]:
    texts = (_text("draws.sql"), _filled(_text(folder, "prepare.sql"), scale, seed))
    return tuple(statement for text in texts for statement in split(text))


def _script(folder: str, name: str, scale: int, seed: int, weight: int = 1) -> LoadScript:
    text = _filled(_text(folder, f"{name}.sql"), scale, seed)
    return LoadScript(name=name, text=text, weight=weight)


def _text(*parts: str) -> str:
    return assets.text("sql", "load", *parts)


def _filled(text: str, scale: int, seed: int) -> str:
    return text.replace("@scale@", str(scale)).replace("@seed@", str(seed))

"""Where a replay runs: a copy of production, as it is, with its data and nothing of ours but a role."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Server
from pgwatch_wed.load.ground import server_answer
from pgwatch_wed.load.ground.ground_refusals import WATCHED_S
from pgwatch_wed.load.ground.server_answer import ServerAnswer
from pgwatch_wed.load.ground.server_environment import without_chosen_server
from pgwatch_wed.load.ground.target_ground import allowed
from pgwatch_wed.load.load_model import Block, Ground
from pgwatch_wed.load.proof.proof_leftovers import undone_leftovers
from pgwatch_wed.load.replay import replay_window
from pgwatch_wed.load.replay.mixing import mixed
from pgwatch_wed.load.replay.replay_mix import ReplayMix
from pgwatch_wed.load.replay.replay_window import ReplayWindow
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.target import connect, door
from pgwatch_wed.whatif import planner
from pgwatch_wed.whatif.proof import copies

NOW = "now"
_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """What is replayed: two snapshot files, or what a target does in the next seconds.

    ``target`` is production, if it can be reached; without it, ``files``.
    """

    target: str | None
    files: tuple[Path, Path] | None = None
    window_s: float = _WINDOW_S

    @classmethod
    def of_option(cls, given: str, target: str | None, window_s: float | None) -> "ReplaySource":
        """Return what ``--replay`` asks for: ``now``, or ``OLD,NEW``; raises :class:`UsageError`."""
        if given == NOW:
            if target is None:
                raise UsageError(
                    "--replay now reads TARGET twice, and there is none", "specify TARGET"
                )
            return cls(target, window_s=window_s or _WINDOW_S)
        old, comma, new = given.partition(",")
        if not comma or not old or not new or "," in new:
            raise UsageError(
                f"--replay takes two snapshot files, OLD,NEW, or {NOW}",
                "create them with db-analyze collect -o FILE, some time apart",
            )
        if window_s is not None:
            raise UsageError("--window is for --replay now; the window of two files is theirs")
        return cls(target, (Path(old), Path(new)))

    def window(self, progress: Progress = silent) -> ReplayWindow:
        """Read the window; raises :class:`pgwatch_wed.errors.Error` kinds."""
        if self.files is not None:
            return replay_window.of_files(*self.files)
        assert self.target is not None
        return replay_window.of_target(connect.resolve(self.target), self.window_s, progress)


@dataclass(frozen=True, slots=True)
class ReplayGround:
    """A copy on which a mix may run; ``left`` tells at the end what could not be dropped."""

    ground: Ground
    mix: ReplayMix
    left: list[str] = field(default_factory=list)


@contextmanager
def replay_ground(
    source: ReplaySource,
    copy: str,
    owned: str,
    even_if: frozenset[str] = frozenset(),
    *,
    is_proving: bool = False,
    seed: int = 1,
    progress: Progress = silent,
    watched_s: float = WATCHED_S,
) -> Iterator[ReplayGround]:
    """Yield a copy and the mix for it; its owner confirms it with ``owned``, as it answers.

    ``is_proving``: indexes, statistics and tables of the copy are changed for a while, so it must allow that, and nobody
    else may prove there meanwhile. What an earlier proof has left is put back first, in any case. Raises :class:`UsageError` if the copy is production itself or may not be used, and other
    :class:`pgwatch_wed.errors.Error` kinds.
    """
    with without_chosen_server(keep_harmless=True):
        answer, notes = allowed(copy, owned, even_if, writing=is_proving, watched_s=watched_s)
        path = ""
        if source.target is not None:
            production = connect.resolve(source.target)
            copies.check(answer.conninfo, production)
            with door.asking(production, "copy") as connection:
                path = planner.read(connection).get("search_path", "")
        window = source.window(progress)
        if source.target is None:
            _check_apart(answer.conninfo, window.origin)
        notes += undone_leftovers(answer.conninfo)
        ground = Ground(
            conninfo=answer.conninfo,
            shown=answer.shown,
            database=answer.server.database,
            server_version=answer.version,
            is_embedded=False,
            data_directory=server_answer.visible_directory(answer.server),
            notes=notes,
        )
        left: list[str] = []
        with (
            _reserved(answer) if is_proving else nullcontext(),
            mixed(
                window, answer.conninfo, path=path, seed=seed, progress=progress, left=left
            ) as mix,
        ):
            yield ReplayGround(ground, mix, left)


@contextmanager
def _reserved(answer: ServerAnswer) -> Iterator[None]:
    """Keep others from proving on a copy; what the proof needs is asked before the load, which takes long."""
    if not answer.server.may_create_schema:
        raise UsageError(
            f"the role {answer.server.role} may not create the schema in which --prove writes down how to undo each change",
            "GRANT CREATE ON DATABASE … TO it, or connect to the copy as its owner",
        )
    with copies.reserved(answer.conninfo):
        yield


def _check_apart(conninfo: str, origin: Server) -> None:
    """Raise :class:`UsageError` if a copy is the database of a snapshot, or may be."""
    with copies.connected(conninfo) as connection:
        here = copies.place(connection)
    known = (origin.system_identifier, origin.timeline, origin.database)
    if here.system is None or origin.system_identifier is None:
        raise UsageError(
            "the copy cannot be distinguished from the database of the snapshots",
            "specify TARGET, too; or read both as a role that may execute pg_control_system()",
        )
    if (str(here.system), here.timeline, here.database) == (str(known[0]), *known[1:]):
        raise UsageError(
            f"the copy is the database of the snapshots itself (database {here.database})",
            "specify a copy: a restored dump, or a promoted or renamed copy",
        )


def without_texts_of(block: Block) -> Block:
    """Return a block that does not repeat what the server said: that may contain values of users."""
    said = (text.partition(":")[0] for text in block.errors)
    told = dict.fromkeys(f"{name}: an error, whose text may contain values" for name in said)
    return replace(block, errors=tuple(told))

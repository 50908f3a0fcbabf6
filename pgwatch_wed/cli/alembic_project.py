"""The user's own Alembic project: its head, and where its revisions are."""

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from pgwatch_wed import paths
from pgwatch_wed.errors import Error, UsageError, said

_NO_PROJECT = "it is the directory with alembic.ini, or the one with env.py and versions"


@dataclass(frozen=True, slots=True)
class AlembicProject:
    """``head`` is None if there is no revision yet; new ones belong into ``versions``."""

    head: str | None
    versions: Path


def project(folder: Path) -> AlembicProject:
    """Read a project, which loads its revisions; raise :class:`Error` in one line if it cannot be added to."""
    place = folder.resolve()
    try:
        with _inside(place):
            heads, versions = _read(place)
    except CommandError as error:
        raise UsageError(f"--alembic-dir {folder}: {said(error)}", _NO_PROJECT) from None
    except Exception as error:  # noqa: BLE001 - loading a revision runs the user's code
        raise Error(
            f"the revisions in {folder} cannot be loaded: {type(error).__name__}: {said(error)}",
            "`alembic heads` has to work there",
        ) from None
    if len(heads) > 1:
        raise UsageError(
            f"the project in {folder} has {len(heads)} heads: {', '.join(sorted(heads))}",
            "merge them first (alembic merge heads)",
        )
    return AlembicProject(heads[0] if heads else None, versions)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Read as Alembic does in the folder of alembic.ini: it takes relative paths to be below the current directory."""
    if not paths.exists(folder / "alembic.ini"):
        yield
        return
    with chdir(folder):
        yield


def _read(folder: Path) -> tuple[list[str], Path]:
    """Return the heads, and where the next revision belongs."""
    scripts = _scripts(folder)
    heads = scripts.get_heads()
    if len(heads) != 1:
        return heads, Path(scripts.versions).resolve()
    revision = scripts.get_revision(heads[0])
    assert revision is not None
    return heads, Path(revision.path).resolve().parent


def _scripts(folder: Path) -> ScriptDirectory:
    ini = folder / "alembic.ini"
    if paths.exists(ini):
        return ScriptDirectory.from_config(Config(ini))
    if not paths.exists(folder / "env.py"):
        raise CommandError("no Alembic project")
    return ScriptDirectory(str(folder))

"""The user's own Alembic project: its head, and where its revisions are."""

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
    try:
        scripts = _scripts(folder)
        heads = scripts.get_heads()
        if len(heads) == 1:
            revision = scripts.get_revision(heads[0])
            assert revision is not None
            versions = Path(revision.path).parent
        else:
            versions = Path(scripts.versions)
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


def _scripts(folder: Path) -> ScriptDirectory:
    ini = folder / "alembic.ini"
    if paths.exists(ini):
        return ScriptDirectory.from_config(Config(ini))
    if not paths.exists(folder / "env.py"):
        raise CommandError("no Alembic project")
    return ScriptDirectory(str(folder))

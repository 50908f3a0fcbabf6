"""Where snapshots are written: one file, one per database, or one per database and time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from pgwatch_wed import paths
from pgwatch_wed.cli import report_files
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot

_SUFFIX = ".json.zst"


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """``is_dated``: the time of the snapshot is part of each name, so that none replaces another."""

    folder: Path
    stem: str
    suffix: str
    is_dated: bool

    @classmethod
    def of(cls, output: str, *, is_repeated: bool = False) -> "SnapshotFiles":
        """Return the files that ``--output`` means; a directory is one that exists, or ends with a slash."""
        path = Path(output)
        if paths.is_directory(path) or output.endswith("/"):
            _make(path)
            report_files.check_writable(path)
            return cls(path, "snapshot", _SUFFIX, is_dated=True)
        if not paths.is_directory(path.parent):
            is_file = paths.exists(path.parent)
            raise UsageError(
                f"{path.parent} is {'not a directory' if is_file else 'a directory that does not exist'}",
                "create it, or use -o DIRECTORY/, which is created",
            )
        report_files.check_file(path)
        stem, dot, suffix = path.name.partition(".")
        return cls(path.parent, stem, dot + suffix, is_dated=is_repeated)

    def paths(self, snapshots: tuple[Snapshot, ...]) -> list[Path]:
        """Return one file name per database; that of the first has no number."""
        first = self._free(snapshots[0].now) if self.is_dated else self.stem
        numbers = (f"-{s.server.database_oid}" for s in snapshots[1:])
        return [self.folder / f"{first}{number}{self.suffix}" for number in ("", *numbers)]

    def _free(self, when: datetime) -> str:
        return next(
            stem
            for stem in self._stems(when)
            if not paths.exists(self.folder / (stem + self.suffix))
        )

    def _stems(self, when: datetime) -> Iterator[str]:
        dated = f"{self.stem}-{when:%Y%m%d-%H%M%S}"
        yield dated
        yield from (f"{dated}-{number}" for number in count(2))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"directory {folder} cannot be created: {error.strerror or error}"
        ) from None

"""What programs call; ``import pgwatch_wed`` has it. Documented in docs/library.md, kept by tests/test_library.py."""

from collections.abc import Sequence
from typing import Literal, overload

from pgwatch_wed.analyse import analyse as judged
from pgwatch_wed.config import Config as Config
from pgwatch_wed.config import check_names
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot as Snapshot
from pgwatch_wed.facts.together import check_together
from pgwatch_wed.findings import Report as Report
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.progress import silent
from pgwatch_wed.render.rendering import FORMATS, document, text
from pgwatch_wed.rules import PROFILES
from pgwatch_wed.suggestions import meant
from pgwatch_wed.target import connect

TextFormat = Literal["html", "json", "text", "markdown", "sarif", "junit"]


def collect(
    target: str | None = None,
    *,
    standbys: Sequence[str] = (),
    advise: bool = True,
    budget: float | None = 300,
) -> Snapshot:
    """Read a server, as ``db-analyze collect`` does: a URI, a libpq connection string or a service name.

    Without ``target``, DATABASE_URL and libpq's environment count. ``standbys`` are targets whose
    index scans count, too; ``advise`` searches for missing indexes in the lab, which takes a quarter
    of a minute; ``budget`` is the time limit in seconds. Raises :class:`pgwatch_wed.errors.Error`.
    """
    wanted = Wanted(standbys=tuple(standbys), advise=advise, budget_s=budget)
    (snapshot,) = gather(connect.resolve(target), wanted, silent)
    return snapshot


def analyse(snapshots: Snapshot | Sequence[Snapshot], config: Config | None = None) -> Report:
    """Judge a snapshot, or those of several databases of one server. Pure: it connects to nothing.

    Raises :class:`pgwatch_wed.errors.UsageError` for a configuration that names what does not exist, and for
    snapshots of several servers or of two moments of a database.
    """
    return judged(_several(snapshots), _checked(config or Config()))


@overload
def render(
    report: Report, snapshots: Snapshot | Sequence[Snapshot], form: TextFormat = "html"
) -> str: ...
@overload
def render(
    report: Report, snapshots: Snapshot | Sequence[Snapshot], form: Literal["pdf"]
) -> bytes: ...
def render(
    report: Report, snapshots: Snapshot | Sequence[Snapshot], form: str = "html"
) -> str | bytes:
    """Return the report as a document in one of the formats of docs/report.md; PDF is bytes, all others are text.

    ``snapshots`` are those that were judged: charts and tables are made of them.
    """
    if form not in FORMATS:
        known = f"valid formats: {', '.join(FORMATS)}"
        raise UsageError(f"there is no format {form!r}", meant(form, FORMATS) or known)
    if not FORMATS[form].is_file:
        return text(report)
    data = document(form, report, _several(snapshots))
    return data.decode("utf-8") if FORMATS[form].is_text else data


def _several(snapshots: Snapshot | Sequence[Snapshot]) -> Sequence[Snapshot]:
    found = (snapshots,) if isinstance(snapshots, Snapshot) else snapshots
    if not found:
        raise UsageError("there is no snapshot", "pass what collect() returned")
    names = [f"snapshot {number}" for number in range(1, len(found) + 1)]
    check_together(found, names, lambda _, new: f"pass only {new}, or each in a call of its own")
    return found


def _checked(config: Config) -> Config:
    # a name that selects nothing would look like a server without faults
    check_names((*config.only, *config.ignore, *config.limits), "Config")
    if config.profile not in PROFILES:
        known = f"valid profiles: {', '.join(PROFILES)}"
        raise UsageError(f"Config: there is no profile {config.profile!r}", known)
    return config

"""What is said of a regression that several clusters have."""

from collections import Counter
from collections.abc import Iterator

from pgwatch_wed import units
from pgwatch_wed.fleet.experiment.attributes import AttributeKind
from pgwatch_wed.fleet.experiment.experiments import Association, SharedRegression

_MOST_TEXT = 60
_NOT_CAUSE = "This is an association, which does not prove a cause."
_COMPARED = "versions, settings, extensions, indexes and tags"
# A p above this is not worth a word.
_CLOSE = 0.2
_PAIR = 2
_VERSIONS = (AttributeKind.VERSION, AttributeKind.MAJOR)


def words_of(found: SharedRegression) -> tuple[str, str]:
    """Return the title and the sentences."""
    return _title(found), " ".join(_sentences(found))


def distribution(found: Association) -> str:
    """Return who has it: ``all 14 have PostgreSQL 17.6, none of the 46 others``."""
    what = " and ".join(a.label for a in found.attributes)
    everyone = "both" if found.slower == _PAIR else f"all {found.slower}"
    of_slower = everyone if found.slower_with == found.slower else None
    of_slower = of_slower or f"{found.slower_with} of the {found.slower} slower ones"
    of_others = f"none of the {found.others} others" if not found.others_with else None
    of_others = of_others or f"{found.others_with} of the {found.others} others"
    is_version = all(a.kind in _VERSIONS and not a.is_other for a in found.attributes)
    have = "run" if is_version else "have"
    if found.slower_with == 1 and found.slower > 1:
        have = "runs" if is_version else "has"
    return f"{of_slower} {have} {what}, {of_others}"


def probability(p: float) -> str:
    """Print a p value: ``6e-14``, ``0.03``."""
    return f"{p:.0e}".replace("e-0", "e-") if p < 0.001 else f"{p:.2g}"


def shown(text: str) -> str:
    """Print a statement in a line."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"


def _title(found: SharedRegression) -> str:
    what = shown(found.texts[0]) if found.texts[0] else "The server as a whole"
    more = len(found.texts) - 1
    if more:
        what += f" and {units.count(more, 'other statement')}"
    verb = "are" if more else "is"
    since = _since(found)
    return (
        f"{what} {verb} slower on {len(found.slower)} of {units.count(found.of, 'cluster')}{since}"
    )


def _since(found: SharedRegression) -> str:
    dates = sorted(s.since for s in found.slower if s.since is not None)
    if not dates:
        return ""
    first, last = (f"{d:%Y-%m-%d}" for d in (dates[0], dates[-1]))
    return (
        f" since {first}"
        if first == last
        else f", on the first since {first}, on the last since {last}"
    )


def _sentences(found: SharedRegression) -> Iterator[str]:
    yield _measured(found)
    yield from _exposure(found)
    yield from _not_compared(found)


def _measured(found: SharedRegression) -> str:
    ratios = sorted(s.ratio for s in found.slower)
    low, high = units.short(ratios[0]), units.short(ratios[-1])
    factor = f"{low} times" if low == high else f"{low} to {high} times"
    group = f" of group {found.group}" if found.group else ""
    return (
        f"On {len(found.slower)} of the {units.count(found.of, 'cluster')}{group} that "
        f"{'run' if found.texts[0] else 'could be compared with'} "
        f"{'it' if found.texts[0] and len(found.texts) == 1 else 'them' if found.texts[0] else 'their past'}, "
        f"a call takes {factor} as long as before."
    )


def _exposure(found: SharedRegression) -> Iterator[str]:
    if found.associations:
        for number, each in enumerate(found.associations):
            yield _told(each, found.compared if not number else 0)
        yield _NOT_CAUSE
    elif not found.others:
        yield (
            "No common cause can be looked for: no cluster runs it without being slower, so that there is nothing to "
            "compare with."
        )
    elif found.is_too_few:
        yield _too_few(found)
    else:
        yield from _none(found)


def _told(each: Association, compared: int) -> str:
    corrected = (
        f", {probability(each.corrected_p)} after correction for all that was compared: {units.count(compared, 'difference')} here"
        if compared
        else ""
    )
    said = f"{_capital(each.told)} (Fisher p {probability(each.p_value)}{corrected})."
    if len(each.attributes) > 1:
        names = " and ".join(a.label for a in each.attributes)
        said += f" Here, {names} always occur together: which of them matters cannot be told."
    return said + _dated(each)


def _dated(each: Association) -> str:
    """Say on how many clusters it was new when calls became slower."""
    if not each.dated:
        return ""
    known = "" if each.dated == each.slower else " of which that is known"
    first, *others = zip(each.attributes, each.new_on, strict=True)
    of = units.count(each.dated, "cluster")
    new = f"{first[0].label} was new on {first[1]} of {of}{known}"
    rest = "".join(f", {a.label} on {n}" for a, n in others)
    old = "" if any(each.new_on) else "; what was there before is hardly all of the reason"
    return f" When calls became slower, {new}{rest}{old}."


def _too_few(found: SharedRegression) -> str:
    needed = (
        f" At least {found.needed_clusters} clusters would have to run it."
        if found.needed_clusters is not None
        else ""
    )
    return (
        f"No common cause can be told: with {len(found.slower)} of {units.count(found.of, 'cluster')}, even what all the slower "
        f"ones and none of the others have would be no more than chance.{needed}"
    )


def _none(found: SharedRegression) -> Iterator[str]:
    if not found.compared:
        yield f"No common cause found: the clusters do not differ in their {_COMPARED}."
        return
    tried = units.count(found.compared, "difference")
    yield f"No common cause found: {tried} in {_COMPARED} were compared, and none goes with it."
    closest = found.closest
    if closest is not None and closest.p_value <= _CLOSE:
        more = ", which is not specific" if closest.corrected_p <= 0.05 else ""
        yield (
            f"The closest: {closest.told} (Fisher p {probability(closest.p_value)}, "
            f"{probability(closest.corrected_p)} after correction{more})."
        )


def _not_compared(found: SharedRegression) -> Iterator[str]:
    if found.not_compared:
        reasons = Counter(found.not_compared.values())
        told = ", ".join(f"{n} ({reason})" for reason, n in reasons.most_common())
        yield f"Not counted are clusters of which nothing can be told: {told}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

"""What a load on an HTTP service came to, for a terminal: first whether to believe it."""

from collections.abc import Iterator

from pgwatch_wed.load.http_load.http_outcome import HttpOutcome
from pgwatch_wed.load.load_model import Latencies, TimeSpent
from pgwatch_wed.units import count, short

_PERCENTILES = (50, 95, 99)
_MOST_NAMES = 20


def http_text(outcome: HttpOutcome) -> str:
    """Return the report, a line each."""
    return "\n".join(_lines(outcome)) + "\n"


def _lines(outcome: HttpOutcome) -> Iterator[str]:
    order = outcome.order
    for each in outcome.spoilt:
        yield f"Not to be believed ({each.check}): {each.text}"
    how = (
        f"{order.rate:,g} requests due each second, latency from the moment at which one was due"
        if order.rate is not None
        else "closed loop: each user waits for the answer, so stalls look shorter than they are"
    )
    yield f"{outcome.host}: {count(order.users, 'user')} for {outcome.seconds:.0f} s; {how}"
    failed = sum(outcome.failures.values())
    yield f"{count(outcome.requests, 'request')} succeeded, {outcome.rps:,.1f} each second; {_share(failed, outcome.attempts)} failed"
    for kind, number in outcome.failures.items():
        yield f"  {kind.value}: {number:,}"
    yield from (f"  {text}" for text in outcome.errors)
    if outcome.spoilt:
        yield "Times are not shown, since they tell about this machine rather than the service."
    else:
        yield from _times("all requests", outcome.spent)
        for name, spent in list(outcome.by_name.items())[:_MOST_NAMES]:
            yield from _times(name, spent)
    yield from (f"Left out: {text}" for text in outcome.left_out)


def _share(failed: int, attempts: int) -> str:
    return (
        f"{failed:,} of {attempts:,} ({failed / attempts:.2%})"
        if failed
        else f"none of {attempts:,}"
    )


def _times(name: str, spent: TimeSpent) -> Iterator[str]:
    yield f"{name}: {_percentiles(spent.latency)}"
    if spent.lag is not None:
        yield f"  of it waiting for a free user: {_percentiles(spent.lag)}"


def _percentiles(times: Latencies) -> str:
    found = ((percent, times.percentile(percent)) for percent in _PERCENTILES)
    return ", ".join(f"p{p} {'unknown' if ms is None else f'{short(ms)} ms'}" for p, ms in found)

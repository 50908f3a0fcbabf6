"""What a load on an HTTP service came to, in sentences that text and HTML share."""

from pgwatch_wed import units
from pgwatch_wed.load.http_load.http_outcome import REQUEST
from pgwatch_wed.load.http_load.http_report import HttpReport
from pgwatch_wed.load.load_words import short_rate
from pgwatch_wed.load.stress_report import PhaseFigures


def how_words(report: HttpReport) -> str:
    """Return how requests were due."""
    order = report.outcome.order
    if order.rate is None:
        return "closed loop: each user waits for the answer, so stalls look shorter than they are"
    return f"open loop: {short_rate(order.rate)} requests due each second, latency from the moment at which one was due"


def load_words(figures: PhaseFigures) -> str:
    """Return what ran."""
    return (
        f"{short_rate(figures.tps)}/s done by {units.count(figures.clients, 'user')}; "
        f"{units.count(figures.transactions, REQUEST)} succeeded in "
        f"{units.count(figures.blocks, 'block')}, {units.duration(figures.seconds * 1000)} in all"
    )

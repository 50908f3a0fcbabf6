"""What a load on an HTTP service came to, for a terminal: first whether to believe it."""

from pgwatch_wed import units
from pgwatch_wed.load.http_load.http_outcome import REQUEST
from pgwatch_wed.load.http_load.http_report import HttpReport
from pgwatch_wed.load.http_load.http_words import how_words, load_words
from pgwatch_wed.load.load_model import Answer
from pgwatch_wed.load.load_words import answer_line, failures_words, percentiles_words
from pgwatch_wed.render.text_page import TextPage

_BOLD = "1"
_ANSWERS = {Answer.PASS: "1;32", Answer.FAIL: "1;31", Answer.UNKNOWN: "1;33"}
_NAMES = 20


def http_text(
    report: HttpReport, *, width: int = 80, colour: bool = False, verbose: bool = False
) -> str:
    """Render the report."""
    page = TextPage(width, colour=colour)
    outcome = report.outcome
    page.wrap(f"{outcome.host} · profile {report.profile}, seed {outcome.order.seed}", style=_BOLD)
    if outcome.ended_early:
        page.wrap(f"ENDED EARLY: {outcome.ended_early}. This is what ran until then.", style="1;33")
    _http_credibility(page, report)
    page.line()
    for result in report.objectives:
        mark = page.paint(f"{result.answer.value:<7}", _ANSWERS[result.answer])
        # the mark may contain invisible characters, so it is not wrapped
        first, *rest = page.wrapped(answer_line(result, REQUEST), " " * 10) or [""]
        page.line(f"  {mark} {first.strip()}")
        for each in rest:
            page.line(each)
    _http_figures(page, report, verbose=verbose)
    for error in outcome.errors:
        page.wrap(f"error: {error}", "  ", hang="    ")
    for left in outcome.left_out:
        page.wrap(f"left out: {left}", "  ", hang="    ")
    generator = report.generator
    cpu = f" ({generator.cpu})" if generator.cpu else ""
    page.line()
    page.wrap(f"Load by {generator.program} on {units.count(generator.cores, 'core')}{cpu}.")
    return str(page)


def _http_credibility(page: TextPage, report: HttpReport) -> None:
    if report.is_believable:
        page.wrap("The measured times can be believed.", style="1;32")
        return
    page.wrap(
        "The measured times CANNOT BE BELIEVED and are not evaluated; errors are:", style="1;31"
    )
    for each in report.spoilt:
        page.wrap(each.text, "  ", hang="    ")


def _http_figures(page: TextPage, report: HttpReport, *, verbose: bool) -> None:
    figures = report.figures
    page.wrap(how_words(report), "  ", hang="    ")
    if figures is None:
        return
    page.wrap(load_words(figures), "  ", hang="    ")
    if said := failures_words(figures):
        page.wrap(said, "    ", hang="      ")
    if report.spoilt:
        page.wrap("Times are not shown: they tell about this machine or the backlog.", "  ")
        return
    if not any(p.ms for p in figures.latency):
        page.wrap(f"latency: unknown, too few {REQUEST}s succeeded", "    ")
        return
    page.wrap(f"latency: {percentiles_words(figures.latency)}", "    ", hang="      ")
    if any(p.ms for p in figures.lag):
        said = percentiles_words(figures.lag)
        page.wrap(f"of which lag (no user was free): {said}", "    ", hang="      ")
    names = report.names if len(report.names) > 1 or verbose else ()
    for each in names if verbose else names[:_NAMES]:
        counted = units.count(each.requests, REQUEST)
        said = percentiles_words(each.latency)
        page.wrap(f"{each.name}: {counted}, {said}", "    ", hang="      ")
    if not verbose and len(names) > _NAMES:
        page.line(f"    and {len(names) - _NAMES:,} more (-v shows them)")

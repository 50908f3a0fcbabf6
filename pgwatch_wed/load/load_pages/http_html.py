"""A load on an HTTP service as one HTML file: whether to believe it, the objectives, and what that rests on."""

from markupsafe import Markup

from pgwatch_wed.load import load_words as words
from pgwatch_wed.load.http_load.http_outcome import REQUEST
from pgwatch_wed.load.http_load.http_report import HttpReport
from pgwatch_wed.load.http_load.http_words import how_words, load_words
from pgwatch_wed.load.load_model import Answer
from pgwatch_wed.load.load_pages.block_chart import HEIGHT, WIDTH, BlockChart, block_chart
from pgwatch_wed.load.load_pages.load_html import badge_of, load_css
from pgwatch_wed.render import html

_MAX_ROWS = 500


def http_html(report: HttpReport) -> str:
    """Return the page of ``db-analyze stress --http``."""
    css = load_css()
    return (
        html.environment()
        .get_template("stress_http.html.j2")
        .render(
            report=report,
            outcome=report.outcome,
            how=how_words(report),
            ran=load_words(report.figures) if report.figures else "",
            words=words,
            what=REQUEST,
            badge=badge_of,
            drawn=_drawn(report),
            chart_size=(WIDTH, HEIGHT),
            max_rows=_MAX_ROWS,
            answers=Answer,
            css=Markup(css),  # noqa: S704 - our own files
            policy=html.policy(css),
        )
    )


def _drawn(report: HttpReport) -> BlockChart | None:
    """Return the course, unless no block of it can be believed."""
    limit = next((o.objective.limit for o in report.objectives if o.objective.name == "p95"), None)
    if report.spoilt:
        return None
    return block_chart(report.outcome.blocks[:_MAX_ROWS], limit, REQUEST)

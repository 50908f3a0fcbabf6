"""The difference of two runs as one HTML file, both windows side by side; no scripts, no network."""

from markupsafe import Markup

from pgwatch_wed import assets
from pgwatch_wed.findings import Standing
from pgwatch_wed.history.change import What
from pgwatch_wed.history.run_difference import SCHEMA, SETTINGS, SIZES, RunDifference
from pgwatch_wed.render import diff_words, html, standing
from pgwatch_wed.render.html import pretty


def render(found: RunDifference) -> str:
    """Return the page."""
    css = assets.text("reports", "templates", "report.css")
    environment = html.environment()
    template = environment.get_template("diff.html.j2")
    report = found.report
    changed = [f for f in report.findings if report.standing(f) is not Standing.KNOWN]
    return template.render(
        found=found,
        report=report,
        changed=changed,
        counts=standing.counts(report.compared) if report.compared else "",
        mark=lambda f: standing.mark(report, f),
        was=lambda f: standing.was(report, f),
        heading=diff_words.heading(found),
        subject=diff_words.subject,
        values=diff_words.values,
        span=diff_words.span,
        cells=diff_words.cells,
        pretty=pretty,
        groups=lambda d: (
            ("Server and settings", d.of(*SETTINGS)),
            ("Schema", d.of(*SCHEMA)),
            ("Sizes", d.of(*SIZES)),
        ),
        maintained=lambda d: (d.maintained(What.ANALYZED), d.maintained(What.VACUUMED)),
        css=Markup(css),  # noqa: S704 - our own file
        policy=html.policy(css),
    )

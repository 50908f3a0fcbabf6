"""docs/metrics.md, out of the registry: ``python -m pgwatch_wed.serve.metrics.metrics_page > docs/metrics.md``."""

import sys

from pgwatch_wed.serve.metrics import exporter, of_other_parts, settings, sticky

_PAGE = """\
<!-- Generated from the registry by `make docs`; edit pgwatch_wed/serve/metrics/ instead. -->

# Metrics

`db-analyze serve` exposes these at `/{page}`, in Prometheus' text format. Nothing is read from a server during a scrape: the
page is rendered after each collection. There are no timestamps, so that what is no longer collected disappears.

- Units are seconds, bytes and ratios (1 is all of it); transactions are `_xids`. Counters end with `_total`.
- What cannot be read has no value; `fact_missing` says which facts these are. No value is ever NaN.
- At most `series` series are exposed (`[serve.metrics]`, {limit:,} by default). The largest families are cut, and
  `series_dropped_total` counts what is left out.
- Statements: the {most} that take most time have series of their own, once they have been among them in {rounds} readings and
  until they have not been for an hour; `query_id="other"` is all others. Each difference is counted in one of these series, so
  `sum(rate(…))` is the rate of all statements. Statements of this tool are left out, and so are nested ones. The counters begin
  at 0 when the service starts, and neither evictions nor resets nor restarts make them fall. pg_stat_statements counts a
  statement when it ends: for those that hang, see `longest_query_seconds`.
- Labels are names of things. Texts, users and what anybody typed never are.

`/metrics/postgres_exporter` (off by default, `postgres_exporter = true` in `[serve]`) has the 18 names that the dashboard of
postgres_exporter asks for, with a label `target`. What version 17 moved keeps its name there.

| metric | type | labels | from | meaning |
|---|---|---|---|---|
{rows}
"""


def page() -> str:
    """Return the page."""
    rows = [
        f"| `{m.full_name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {m.source} | {m.help} |"
        for m in of_other_parts.listed()
    ]
    return _PAGE.format(
        page=exporter.PAGE,
        limit=settings.MetricsSettings().series,
        most=sticky.MOST,
        rounds=sticky.ROUNDS_TO_ENTER,
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    sys.stdout.write(page())

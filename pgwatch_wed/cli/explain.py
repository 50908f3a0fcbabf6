"""db-analyze explain: what a rule looks at, its thresholds, its pitfalls, its remedy."""

from dataclasses import fields

import click

from pgwatch_wed.docs import limits_table
from pgwatch_wed.errors import UsageError
from pgwatch_wed.rules import Rule, all_rules, areas
from pgwatch_wed.suggestions import meant
from pgwatch_wed.target import queries


@click.command()
@click.argument("rule", required=False, metavar="[RULE|AREA]")
@click.option("--sql", is_flag=True, help="Print the queries behind the rule's facts.")
def explain(rule: str | None, sql: bool) -> None:
    """Explain RULE, or list all rules, or those of an area."""
    rules = {r.id: r for r in all_rules()}
    if rule is None or rule in areas():
        click.echo(_listing(tuple(r for r in rules.values() if rule in (None, r.area))))
        return
    if rule not in rules:
        raise UsageError(
            f"rule or area {rule!r} does not exist",
            meant(rule, [*areas(), *rules]) or "db-analyze explain lists all rules",
        )
    click.echo(_sql(rules[rule]) if sql else _page(rules[rule]))


def _listing(rules: tuple[Rule, ...]) -> str:
    lines: list[str] = []
    width = max(len(r.id) for r in rules)
    for area in sorted({r.area for r in rules}):
        lines.append(click.style(area, bold=True))
        lines += [f"  {r.id:<{width}}  {r.summary}" for r in rules if r.area == area]
        lines.append("")
    lines.append("db-analyze explain RULE shows the details.")
    return "\n".join(lines)


def _page(rule: Rule) -> str:
    parts = [click.style(rule.id, bold=True), "", rule.doc.strip(), ""]
    if fields(rule.limits):
        parts += ["## Limits", limits_table(rule), ""]
    parts += ["## Facts", ", ".join(rule.needs) or "none", ""]
    parts.append(f"db-analyze explain {rule.id} --sql prints the queries.")
    return "\n".join(parts)


def _sql(rule: Rule) -> str:
    names = [name for need in rule.needs for name in queries.behind(need)]
    files = [q for name in names for q in queries.all_queries() if q.fact == name]
    return (
        "\n".join(f"-- sql/collect/{q.file}\n{q.sql}" for q in files)
        or "-- this rule has no query of its own"
    )

"""How the statements of scripts are planned: the shape that tells whether two runs did the same thing."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from pglast import split
from pglast.parser import ParseError

from pgwatch_wed.errors import Error
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Block, BlockRunner, Ground, LoadScript, Order

# pgbench replaces these by parameters; a cast has two colons
_VARIABLE = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
_NAME = "pgwatch_wed_plan"
_LONGEST = 300
_HIDDEN_BELOW = frozenset({"Hash", "Materialize", "Memoize"})


@dataclass(slots=True)
class PlannedBlocks:
    """Runs blocks, and notes with each how its statements are planned then."""

    ground: Ground
    run: BlockRunner

    def __call__(self, order: Order) -> Block:
        """Run a block."""
        block = self.run(order)
        if block.work is None or block.ended_early:
            return block
        plans = plan_shapes(self.ground, order.scripts, order.settings)
        return replace(block, work=replace(block.work, plans={**block.work.plans, **plans}))


def plan_shapes(
    ground: Ground, scripts: Iterable[LoadScript], settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the shape of each script's plans, for parameters of any value; without what cannot be planned."""
    shapes: dict[str, str] = {}
    try:
        with connected(ground) as session:
            for name, value in {
                **(settings or {}),
                "plan_cache_mode": "force_generic_plan",
            }.items():
                session.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
            for script in scripts:
                for number, statement in enumerate(_statements(script.text), 1):
                    if (shape := _shape(session, statement)) is not None:
                        shapes[f"{script.name}, statement {number}"] = shape
    except (psycopg.Error, Error):
        return shapes  # the load is what matters, and says itself what is wrong
    return shapes


def _statements(text: str) -> Iterator[str]:
    """Return the statements of a script, with parameters in place of its variables."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("\\"))
    try:
        # variables are no SQL yet, which the scanner does not mind
        statements = split("\n".join(lines), with_parser=False)
    except ParseError:
        return
    for statement in statements:
        numbers: dict[str, int] = {}

        def parameter(found: re.Match[str], numbers: dict[str, int] = numbers) -> str:
            return f"${numbers.setdefault(found[1], len(numbers) + 1)}"

        yield _VARIABLE.sub(parameter, statement)


def _shape(session: psycopg.Connection[Any], statement: str) -> str | None:
    numbers = {int(n) for n in re.findall(r"\$(\d+)", statement)}
    given = f"({', '.join(['null'] * max(numbers))})" if numbers else ""
    try:
        session.execute(f"prepare {_NAME} as {statement}".encode())
        try:
            row = session.execute(
                f"explain (format json, costs off) execute {_NAME}{given}".encode()
            ).fetchone()
        finally:
            session.execute(f"deallocate {_NAME}")
    except psycopg.Error:
        if session.closed:
            raise
        return None
    if row is None:
        return None
    plans = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return _short(" > ".join(_nodes(plans[0]["Plan"]))) if "Plan" in plans[0] else None


def _nodes(node: Mapping[str, Any]) -> Iterator[str]:
    if (kind := node["Node Type"]) not in _HIDDEN_BELOW:
        operation = node.get("Operation", kind)
        on = node.get("Index Name") or node.get("Relation Name") or ""
        yield f"{operation} {on}".rstrip()
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _short(shape: str) -> str:
    if len(shape) <= _LONGEST:
        return shape
    return f"{shape[:_LONGEST]}… {hashlib.sha256(shape.encode()).hexdigest()[:8]}"

"""Prometheus' own tests of PromQL (promql/promqltest/testdata of its repository), run on our evaluator.

python -m tests.bench.service.prometheus_suite DIRECTORY [-v]

Only what our subset covers is counted: floats, no native histograms, no functions that are refused.
"""

import math
import re
import sys
from collections import Counter
from pathlib import Path

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts.promql.evaluate import Moment, as_vector, evaluate
from pgwatch_wed.serve.alerts.promql.number_texts import duration_ms
from pgwatch_wed.serve.alerts.promql.parse import QueryError, parsed
from pgwatch_wed.serve.alerts.promql.vectors import EvaluationError, Semantics, Vector
from pgwatch_wed.serve.alerts.sample_memory import STALE, SampleMemory
from pgwatch_wed.serve.state import Labels

_SERIES = re.compile(r"\s*([\w:]*)\s*(\{.*\})?\s+(.*)")
_LABEL = re.compile(r"""([\w.:"]+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`)""")
_EXPANDED = re.compile(r"(\S+?)([+-]\S+?)?x(\d+)")
# What these test is off unless Prometheus is started with a feature flag.
_BEHIND_FLAGS = (
    "name_label_dropping",
    "delayed_name",
    "range_queries",
    "native_",
    "info",
    "limit",
    "fill",
)
_SEMANTICS = Semantics(step_ms=60_000)


def labels_of(name: str, braces: str) -> Labels:
    found = {k.strip('"'): v[1:-1].replace('\\"', '"') for k, v in _LABEL.findall(braces or "")}
    if name:
        found["__name__"] = name
    return tuple(sorted((k, v) for k, v in found.items() if v))


def values_of(text: str) -> list[float | None]:
    found: list[float | None] = []
    for word in text.split():
        match = _EXPANDED.fullmatch(word)
        if word in ("_", "stale"):
            found.append(None if word == "_" else STALE)
        elif match is None:
            found.append(float(word))
        elif match[1] == "_":
            found += [None] * int(match[3])
        else:
            step = float(match[2] or 0)
            found += [float(match[1]) + step * i for i in range(int(match[3]) + 1)]
    return found


def agrees(found: Vector, expected: Vector) -> bool:
    if found.keys() != expected.keys():
        return False
    return all(_near(v, expected[k]) for k, v in found.items())


def _near(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6) or a == b


class Suite:
    """One file of tests."""

    def __init__(self, is_verbose: bool) -> None:
        self.memory = SampleMemory()
        self.counts: Counter[str] = Counter()
        self.is_verbose = is_verbose
        self.histograms: set[str] = set()

    def run(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        blocks: list[list[str]] = []
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if not line[0].isspace() and re.match(r"(load|eval|clear)", line):
                blocks.append([line])
            elif blocks:
                blocks[-1].append(line.strip())
        for block in blocks:
            self._block(path, block)

    def _block(self, path: Path, block: list[str]) -> None:
        words = block[0].split()
        if words[0] == "clear":
            self.memory = SampleMemory()
            self.histograms.clear()
        elif words[0].startswith("load"):
            step = duration_ms(words[-1])
            for line in {_SERIES.sub(r"\1\2", b): b for b in block[1:]}.values():
                self._load(line, step)
                if words[0] == "load_with_nhcb" or "with_nhcb" in words:
                    self.histograms.add(line.split("{")[0].removesuffix("_bucket"))
        elif words[:2] == ["eval", "instant"]:
            self._instant(path, block)
        else:
            self.counts["skipped"] += 1

    def _is_of_histograms(self, query: str) -> bool:
        if self.histograms and "__name__=~" in query:
            return True
        return any(re.search(rf"\b{h}\b", query) for h in self.histograms if h)

    def _load(self, line: str, step: int) -> None:
        match = _SERIES.fullmatch(line)
        if match is None or "{{" in match[3]:
            self.histograms.add(match[1] if match else "")
            return
        labels = labels_of(match[1], match[2] or "")
        for i, value in enumerate(values_of(match[3])):
            if value is not None:
                self.memory.append(labels, i * step, value)

    def _instant(self, path: Path, block: list[str]) -> None:
        match = re.fullmatch(r"eval instant at (\S+)\s+(.*)", block[0])
        assert match
        body = [b for b in block[1:] if not b.startswith("expect") or "fail" in b]
        if self._is_of_histograms(match[2]) or any(
            "{{" in b or "expect string" in b for b in block
        ):
            self.counts["skipped"] += 1
            return
        try:
            at = duration_ms(match[1]) if not match[1].isdigit() else int(match[1]) * 1000
            node = parsed(match[2])
        except (QueryError, ValueError):
            self.counts["refused"] += 1
            return
        self._compare(path, body, match[2], node, at)

    def _compare(self, path: Path, body: list[str], query: str, node: object, at: int) -> None:
        fails = any(b.startswith("expect fail") for b in body)
        try:
            found = as_vector(evaluate(node, Moment(self.memory, at, _SEMANTICS)))  # type: ignore[arg-type]
        except EvaluationError:
            self._count(fails, path, query, "fails")
            return
        except Error:
            self.counts["refused"] += 1
            return
        expected: Vector = {}
        for line in body:
            match = re.fullmatch(r"(?:([\w:]+(?=[\s{]))?\s*(\{.*\})?\s+)?(\S+)", line)
            if match and not line.startswith("expect"):
                expected[labels_of(match[1], match[2] or "")] = float(match[3])
        self._count(not fails and agrees(found, expected), path, query, f"{found} not {expected}")

    def _count(self, is_right: bool, path: Path, query: str, what: str) -> None:
        self.counts["agree" if is_right else "differ"] += 1
        if self.is_verbose and not is_right:
            print(f"{path.name}: {query}: {what}")


def main() -> None:
    total: Counter[str] = Counter()
    for path in sorted(Path(sys.argv[1]).glob("*.test")):
        if path.name.startswith(_BEHIND_FLAGS):
            continue
        suite = Suite("-v" in sys.argv)
        suite.run(path)
        total += suite.counts
        print(f"{path.name}: {dict(suite.counts)}")
    print(f"evaluations that agree: {total['agree']}, that differ: {total['differ']}")


if __name__ == "__main__":
    main()

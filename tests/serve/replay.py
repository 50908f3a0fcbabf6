"""Rendered pages → a real Prometheus that has scraped them, without waiting for scrapes."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgwatch_wed.embedded.server import free_port
from tests.serve import parts

Query = Callable[[str], list[dict[str, Any]]]


@contextmanager
def replayed(pages: Sequence[tuple[float, str]], folder: Path) -> Iterator[Query]:
    """Yield what asks Prometheus at the moment of the last page; a page is at Unix seconds."""
    data, source = folder / "data", folder / "pages.txt"
    source.write_text(_openmetrics(pages), encoding="utf-8")
    subprocess.run(
        [parts.program("promtool"), "tsdb", "create-blocks-from", "openmetrics", source, data],
        check=True,
        capture_output=True,
    )
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    command = (
        parts.program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
    )

    def ask(expression: str) -> list[dict[str, Any]]:
        words = urllib.parse.urlencode({"query": expression, "time": pages[-1][0]})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{words}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    with parts.process(*command, port=port):
        _wait_until_ready(port)
        yield ask


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready").close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _openmetrics(pages: Sequence[tuple[float, str]]) -> str:
    """Return all samples of a family together, with their moments."""
    kinds: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for moment, page in pages:
        family = ""
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split()
                kinds[family] = kind
            elif not line.startswith("#"):
                samples.setdefault(family, []).append(f"{line} {moment:.3f}")
    lines: list[str] = []
    for family, found in samples.items():
        lines.append(f"# TYPE {family.removesuffix('_total')} {_kind(family, kinds[family])}")
        lines += sorted(found, key=lambda line: (line.rpartition("}")[0], line.rsplit(" ", 1)[1]))
    return "\n".join([*lines, "# EOF", ""])


def _kind(family: str, kind: str) -> str:
    # the names of postgres_exporter's counters do not end as OpenMetrics wants them to
    return "unknown" if kind == "counter" and not family.endswith("_total") else kind

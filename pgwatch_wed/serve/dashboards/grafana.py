"""A dashboard as Grafana reads it.

The data source is a *variable*: ``__inputs`` is resolved only by the import dialog, never when a file is provisioned.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgwatch_wed.serve.dashboards.boards import all_dashboards
from pgwatch_wed.serve.dashboards.panels import Dashboard, Panel
from pgwatch_wed.serve.metrics.collection_families import SUCCESS

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8


def write(folder: Path, namespace: str = "app") -> Sequence[Path]:
    """Write each dashboard to a file; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for dashboard in all_dashboards(namespace):
        path = folder / f"{dashboard.uid}.json"
        path.write_text(json.dumps(document(dashboard), indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as a document."""
    return {
        "uid": dashboard.uid,
        "title": f"PostgreSQL watch: {dashboard.title}",
        "tags": ["pgwatch_wed"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _variables(dashboard)},
        "panels": [_panel(panel, place) for place, panel in enumerate(dashboard.panels)],
    }


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource"}
    variables: list[dict[str, Any]] = [{**source, "query": "prometheus", "refresh": 1}]
    if dashboard.has_targets:
        query = f"label_values({SUCCESS.full_name}, target)"
        variables.append(
            {
                "name": "target",
                "label": "Server",
                "type": "query",
                "datasource": _SOURCE,
                "query": {"query": query, "refId": "targets"},
                "definition": query,
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }
        )
    return variables


def _panel(panel: Panel, place: int) -> dict[str, Any]:
    return {
        "id": place + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {
            "h": _HEIGHT,
            "w": _WIDTH,
            "x": place % _COLUMNS * _WIDTH,
            "y": place // _COLUMNS * _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }

"""Files of rules in Prometheus' YAML: read, checked, and refused in one line if something is wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install
from pgwatch_wed.serve.alerts.promql.nodes import Node
from pgwatch_wed.serve.alerts.promql.number_texts import duration_ms
from pgwatch_wed.serve.alerts.promql.parse import QueryError, parsed
from pgwatch_wed.serve.alerts.templates import Template, TemplateError, template

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_GROUP_KEYS = frozenset({"name", "interval", "query_offset", "limit", "labels", "rules"})
_RULE_KEYS = frozenset(
    {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
)
# Actions of a Helm chart; those of an annotation begin with a $ or a name of Prometheus' own.
_HELM = re.compile(r"\{\{-|\{\{ *(?:include|toYaml|tpl)\b|\{\{ *\.Values\b")
# A rule with this label can only be evaluated by somebody outside: whether the service itself is up.
OUTSIDE = ("evaluated", "outside")


class RuleFileError(UsageError):
    """A file of rules that cannot be used: which file, which rule, why."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A recording rule (``record``) or an alerting one."""

    name: str
    query: str
    node: Node
    group: str
    source: str
    is_record: bool = False
    for_ms: int = 0
    keep_firing_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    label_templates: Mapping[str, Template] = field(default_factory=dict)
    annotation_templates: Mapping[str, Template] = field(default_factory=dict)

    @property
    def is_outside(self) -> bool:
        """Tell whether it can only be evaluated by another Prometheus."""
        return self.labels.get(OUTSIDE[0]) == OUTSIDE[1]


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated in order."""

    name: str
    rules: tuple[AlertRule, ...]
    interval_ms: int | None = None
    source: str = ""


def read(paths: Sequence[Path]) -> tuple[RuleGroup, ...]:
    """Read files of rules."""
    groups: list[RuleGroup] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise RuleFileError(f"{path}: cannot be read: {reason}") from None
        groups += parse(text, str(path))
    return tuple(groups)


def parse(text: str, source: str) -> tuple[RuleGroup, ...]:
    """Read the text of a file of rules."""
    found = _documents(text, source)
    if not found:
        return ()
    if len(found) > 1:
        raise RuleFileError(f"{source}: more than one YAML document; put all groups into one")
    [document] = found
    _check_keys(document, {"groups"}, source)
    groups = tuple(_group(g, source) for g in _sequence(document.get("groups"), source, "groups"))
    names = [g.name for g in groups]
    for name in names:
        if names.count(name) > 1:
            raise RuleFileError(f"{source}: group {name}: the name is used twice")
    return groups


def readable(text: str, source: str) -> tuple[tuple[AlertRule, ...], tuple[str, ...]]:
    """Return the rules of a file that can be evaluated, and why others cannot; templates are not read.

    Kubernetes' PrometheusRules are read too, among other objects.
    """
    tables = [t for d in _documents(text, source) for t in _with_groups(d)]
    if not tables:
        raise RuleFileError(f"{source}: has neither the key groups nor a PrometheusRule")
    rules: list[AlertRule] = []
    refused: list[str] = []
    for group in (g for t in tables for g in _sequence(t.get("groups"), source, "groups")):
        if not isinstance(group, dict):  # other keys than ours are those of Thanos and the like
            raise RuleFileError(f"{source}: a group: expected a mapping")
        for table in _sequence(group.get("rules"), source, "rules"):
            try:
                name = str(group.get("name", ""))
                rules.append(_rule(table, name, source, {}, has_templates=False))
            except RuleFileError as error:
                refused.append(error.message)
    return tuple(rules), tuple(refused)


def _with_groups(document: Any) -> Iterator[dict[str, Any]]:
    """Yield what has groups: a file of Prometheus, or the PrometheusRules of a manifest."""
    if not isinstance(document, dict):
        return
    kind, spec = str(document.get("kind", "")), document.get("spec")
    if kind == "PrometheusRule":
        yield spec if isinstance(spec, dict) else {}
    elif kind.endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _with_groups(item)
    elif "groups" in document and not kind:
        yield document


def _documents(text: str, source: str) -> list[dict[str, Any]]:
    try:
        from pgwatch_wed.serve.alerts.yaml_documents import DocumentError, documents
    except ImportError:
        raise UsageError("alert rules need the package PyYAML", pip_install("serve")) from None
    try:
        found = documents(text)
    except DocumentError as error:
        hint = "render the template first: helm template …" if _HELM.search(text) else ""
        raise RuleFileError(f"{source}:{error}", hint) from None
    if not all(isinstance(each, dict) for each in found):
        raise RuleFileError(f"{source}: expected a mapping with the key groups")
    return found


def _check_keys(table: Any, known: frozenset[str] | set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise RuleFileError(f"{where}: expected a mapping")
    for key in table:
        if key not in known:
            raise RuleFileError(f"{where}: unknown key {key}")


def _sequence(value: Any, where: str, key: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RuleFileError(f"{where}: {key} must be a list")
    return value


def _group(table: Any, source: str) -> RuleGroup:
    _check_keys(table, _GROUP_KEYS, f"{source}: a group")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise RuleFileError(f"{source}: a group has no name")
    where = f"{source}: group {name}"
    for key in ("limit", "query_offset"):
        if table.get(key):
            raise RuleFileError(f"{where}: {key} is not supported")
    interval = _duration(table, "interval", where) or None
    common = _texts(table, "labels", where)
    rules = tuple(
        _rule(r, name, source, common) for r in _sequence(table.get("rules"), where, "rules")
    )
    return RuleGroup(name, rules, interval, source)


def _rule(
    table: Any, group: str, source: str, common: Mapping[str, str], *, has_templates: bool = True
) -> AlertRule:
    _check_keys(table, _RULE_KEYS, f"{source}: group {group}: a rule")
    record, alert = table.get("record"), table.get("alert")
    name = str(record or alert or "")
    where = f"{source}: rule {name}" if name else f"{source}: group {group}: a rule"
    if bool(record) is bool(alert):
        raise RuleFileError(f"{where}: either record or alert is needed")
    if record:
        _check_record(table, name, where)
    query = table.get("expr")
    if isinstance(query, int | float) and not isinstance(query, bool):
        query = str(query)
    if not isinstance(query, str) or not query.strip():
        raise RuleFileError(f"{where}: expr is missing")
    labels = {**common, **_texts(table, "labels", where)}
    annotations = _texts(table, "annotations", where)
    _check_labels(labels, where)
    try:
        return AlertRule(
            name,
            query.strip(),
            parsed(query),
            group,
            source,
            bool(record),
            _duration(table, "for", where),
            _duration(table, "keep_firing_for", where),
            labels,
            annotations,
            {k: template(v) for k, v in labels.items() if has_templates},
            {k: template(v) for k, v in annotations.items() if has_templates},
        )
    except (QueryError, TemplateError) as error:
        raise RuleFileError(f"{where}: {error.message}") from None


def _check_record(table: Mapping[str, Any], name: str, where: str) -> None:
    if not _METRIC.fullmatch(name):
        raise RuleFileError(f"{where}: not a name for a metric")
    for key in ("for", "keep_firing_for", "annotations"):
        if key in table:
            raise RuleFileError(f"{where}: {key} is for alerts")


def _check_labels(labels: Mapping[str, str], where: str) -> None:
    for label in labels:
        if not _LABEL.fullmatch(label) or label in ("__name__", "alertname"):
            raise RuleFileError(f"{where}: invalid label {label}")


def _texts(table: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    found = table.get(key) or {}
    if not isinstance(found, dict):
        raise RuleFileError(f"{where}: {key} must be a mapping")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise RuleFileError(f"{where}: {key}: {name} must be a text")
    return {k: _text(v) for k, v in found.items()}


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration(table: Mapping[str, Any], key: str, where: str) -> int:
    value = table.get(key)
    if value is None:
        return 0
    try:
        return duration_ms(str(value))
    except ValueError as error:
        raise RuleFileError(f"{where}: {key}: {error}") from None


def every_rule(groups: Sequence[RuleGroup]) -> Iterator[AlertRule]:
    """Yield the rules of all groups in order."""
    for group in groups:
        yield from group.rules

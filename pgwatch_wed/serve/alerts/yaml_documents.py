"""YAML as Prometheus reads it: plain values only, and no key twice, of which all but the last would be lost."""

from typing import Any

import yaml


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    problem = f"the key {key.value} is there twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep)


class DocumentError(Exception):
    """What is no YAML: where, and why."""


def documents(text: str) -> list[Any]:
    """Return the documents of a text that are not empty."""
    try:
        return [d for d in yaml.load_all(text, Loader=_Strict) if d is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        raise DocumentError(f"{line} {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise DocumentError(" nested too deeply") from None

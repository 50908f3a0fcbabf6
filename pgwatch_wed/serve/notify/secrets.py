"""Secrets of the service: from the environment or a file, never from the configuration itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import UsageError


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a secret is: it is read when it is needed, so that one that was replaced is used. It prints nothing."""

    variable: str = ""
    file: str = ""

    def read(self) -> str:
        """Return the secret; OSError or LookupError if it cannot be had."""
        if self.variable:
            return os.environ[self.variable]
        return Path(self.file).read_text(encoding="utf-8").strip() if self.file else ""


def secret_of(table: Mapping[str, Any], name: str, where: str) -> Credential | None:
    """Read the keys ``NAME_env`` and ``NAME_file``; UsageError for a secret that stands in the table, or cannot be read."""
    if name in table:
        raise UsageError(
            f"{where}.{name}: a secret does not belong in this file",
            f"name an environment variable ({name}_env) or a file ({name}_file)",
        )
    variable, file = table.get(f"{name}_env", ""), table.get(f"{name}_file", "")
    if not isinstance(variable, str) or not isinstance(file, str) or (variable and file):
        raise UsageError(f"{where}: {name}_env or {name}_file must be one name")
    if not variable and not file:
        return None
    secret = Credential(variable, file)
    try:
        value = secret.read()
    except KeyError:
        raise UsageError(f"{where}.{name}_env: ${variable} is not set") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{where}.{name}_file: could not read {file}: {why}") from None
    if not value or not value.isprintable():
        raise UsageError(f"{where}.{name}: the secret must be one line of printable characters")
    return secret

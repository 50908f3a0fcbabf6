"""Whatever the language of a machine, libpq says in English why it cannot connect: the reasons of visits are recognized by it."""

import os
import subprocess
import sys

PROGRAM = """
import locale
from pgwatch_wed.cli import cli
fleet = cli.get_command(None, "fleet")
assert all(fleet.get_command(None, name) for name in fleet.list_commands(None))
print(locale.setlocale(locale.LC_MESSAGES))
"""


def test_nothing_sets_the_language_of_messages() -> None:
    # C.UTF-8 stands for any language: whoever takes it from the environment gets its name
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "de"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["C"]

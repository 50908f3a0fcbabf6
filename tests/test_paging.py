"""Long texts on a terminal: what a real pager shows of them."""

import os
import pty
import shutil
import subprocess
import sys
import time

import pytest

SHOW = r"from pgwatch_wed.cli import paging; paging.show('\x1b[1;33mWARNING\x1b[0m idle\n' * 60, colour={})"


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
@pytest.mark.parametrize("colour", [True, False])
def test_colors_are_colors_in_the_pager(colour: bool) -> None:
    screen, keyboard = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("LESS", "PAGER")}
    program = subprocess.Popen(
        [sys.executable, "-c", SHOW.format(colour)],
        stdin=keyboard,
        stdout=keyboard,
        env={**env, "LINES": "20", "COLUMNS": "80", "TERM": "xterm", "PAGER": "less"},
        start_new_session=True,
    )
    os.close(keyboard)
    said = b""
    end = time.monotonic() + 60
    while said.count(b"WARNING") < 10:
        assert time.monotonic() < end, said
        said += os.read(screen, 4096)
    os.write(screen, b"q")
    program.wait(60)
    os.close(screen)
    assert (b"\x1b[1;33mWARNING" in said) is colour, said
    assert b"ESC" not in said

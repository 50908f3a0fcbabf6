"""The runbooks, as they are in docs/runbooks: plain text, which a browser, curl and a pager show alike."""

import re
from pathlib import PurePosixPath

from pgwatch_wed import assets

_LINK = re.compile(r"docs/runbooks/([A-Za-z0-9]+)\.md")


def runbooks() -> dict[str, bytes]:
    """Return the text of each by its name, which is the alert's."""
    folder = assets.asset("docs") / "runbooks"
    return {path.stem: path.read_bytes() for path in folder.glob("*.md") if path.stem.isalnum()}


def link(runbook_url: str) -> str:
    """Return where a browser finds a runbook: ours below /runbooks/, others by their own URL, or nowhere."""
    ours = _LINK.fullmatch(runbook_url)
    if ours:
        return f"/runbooks/{ours[1]}"
    is_web = runbook_url.startswith(("https://", "http://"))
    return runbook_url if is_web and PurePosixPath(runbook_url).name else ""

"""What pg_dump says of a database."""

import re
import subprocess

from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed.embedded import server as embedded
from tests.servers import Server


def schema(dsn: str, server: Server) -> str:
    """Return what pg_dump -s prints, in the order of names; of a server newer than ours, what its own does."""
    if server.container is not None and server.version > 18:
        asked = f"pg_dump -s -U postgres -d {conninfo_to_dict(dsn)['dbname']}"
        printed = server.container.exec(["sh", "-c", asked]).output.decode()
    else:
        command = [str(embedded.wheel_bindir() / "pg_dump"), "-s", "-d", dsn]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        printed = done.stdout
    assert "CREATE" in printed
    # \restrict comes with a number of its own each time, as does an option of columns in some builds
    changing = ("restrict", "SET (pg_attver=")
    lines = "\n".join(x for x in printed.splitlines() if not any(c in x for c in changing))
    lines = re.sub(r"(?m)^(WITH \()(.*)(\);)$", _in_order, lines)
    return "\n".join(sorted(re.split(r"\n(?=--\n-- (?:Name|TOC))", lines)))


def _in_order(options: re.Match[str]) -> str:
    return options[1] + ", ".join(sorted(options[2].split(", "))) + options[3]

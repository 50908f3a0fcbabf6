"""Where this program is from, for what tells how to install it: no package index has it."""

from pgwatch_wed import __version__

HOME = "https://github.com/wedsync/pgwatch_wed"
SOURCE = f"git+{HOME}@v{__version__}"


def pip_install(extra: str) -> str:
    """Return the command that adds an extra."""
    return f"pip install 'pgwatch-wed[{extra}] @ {SOURCE}'"

"""What the queue needs beyond the analysis, and the one line if it is missing."""

from importlib.util import find_spec

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install

_PACKAGES = ("procrastinate",)


def require_queue() -> None:
    """Raise :class:`UsageError` if the extra is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"the queue needs {' and '.join(missing)}: {pip_install('fleet')}")

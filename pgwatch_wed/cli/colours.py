"""Colors on a terminal."""

import os


def colour_wanted() -> bool:
    """Tell whether the user permits colors."""
    return not os.environ.get("NO_COLOR")

"""Fixtures: where tests of load run."""

from collections.abc import Iterator

import pytest

from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround, embedded_ground


@pytest.fixture(scope="module")
def own_ground() -> Iterator[EmbeddedGround]:
    """An embedded server with fsync and a database of our own."""
    with embedded_ground() as found:
        yield found

"""Servers and networks that tests of fleets share."""

from collections.abc import Iterator

import pytest

from tests.fleet.ground import Ground
from tests.fleet.networks import Network, network


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Small servers, each started when first asked for: a primary, its standby, a clone, one with many databases."""
    made = Ground()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def net() -> Iterator[Network]:
    """A network that delays, hangs and resets on demand."""
    with network() as made:
        yield made

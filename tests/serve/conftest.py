"""What one test leaves in the process is not seen by the next."""

import pytest

from pgwatch_wed.app import breakers


@pytest.fixture(autouse=True)
def no_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the circuit breakers around the probes of other tests."""
    monkeypatch.setattr(breakers, "_named", {})

"""A suspected cause of an alert."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.findings import Grade, Object, Remedy


@dataclass(frozen=True, slots=True)
class Suspect:
    """What makes an alert fire, in one sentence, and what mends it.

    Neither the sentence nor the evidence contains a statement's text, a literal or an address. ``grade`` None: nothing is
    proven, and ``title`` says what is missing. ``rule`` and ``finding`` name the finding that says more, if there is one.
    """

    title: str
    grade: Grade | None
    kind: str
    object: Object | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedy: tuple[Remedy, ...] = ()
    rule: str = ""
    finding: str = ""

    @property
    def is_known(self) -> bool:
        """Tell whether it names a cause."""
        return self.grade is not None

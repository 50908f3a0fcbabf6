"""The words for what became of advice."""

from enum import StrEnum


class AppliedState(StrEnum):
    """Whether what was advised is there."""

    ABSENT = "not applied"
    PARTLY = "partly applied"
    APPLIED = "applied"
    UNDONE = "undone"  # it was there, and is gone again
    BEFORE = "there before the advice"
    GONE = "object gone"  # the table no longer exists: there is nothing to apply it to
    UNKNOWN = "unknown"


class AdviceOutcome(StrEnum):
    """What the effect of advice was that was applied."""

    HELPED = "helped"
    NO_EFFECT = "no effect"
    HARMED = "harmed"
    TOO_EARLY = "too early"
    UNCLEAR = "cannot be told"

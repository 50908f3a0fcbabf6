"""Sources → their texts. What may hang, a program, a name or a network file system, holds up nothing else."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pgwatch_wed.fleet.inventory import source_text
from pgwatch_wed.fleet.inventory.command_output import output_of
from pgwatch_wed.fleet.inventory.listing import Located, SourceFailureError
from pgwatch_wed.fleet.inventory.patroni import ask_patroni
from pgwatch_wed.fleet.inventory.source_kinds import STANDARD_INPUT

_AT_ONCE = 16
# A look-up of a name does not listen to time limits, so its thread is left behind.
_GRACE_S = 1.0


def texts_of(places: Sequence[Located], timeout_s: float) -> list[str | SourceFailureError]:
    """Return what each source says, or why it says nothing; each has ``timeout_s`` seconds."""
    found: list[str | SourceFailureError] = []
    for begin in range(0, len(places), _AT_ONCE):
        found += _together(places[begin : begin + _AT_ONCE], timeout_s)
    return found


def _together(places: Sequence[Located], timeout_s: float) -> list[str | SourceFailureError]:
    answers: dict[int, str | SourceFailureError] = {}
    stop = threading.Event()

    def ask(number: int) -> None:
        try:
            answers[number] = _text(places[number], timeout_s, stop)
        except SourceFailureError as failure:
            answers[number] = failure

    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(places))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout_s + _GRACE_S
    try:
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    except BaseException:  # Ctrl-C: programs are ended, too
        stop.set()
        for thread in threads:
            thread.join(_GRACE_S)
        raise
    late = SourceFailureError(f"no answer within {timeout_s:g} s")
    return [answers.get(number, late) for number in range(len(places))]


def _text(place: Located, timeout_s: float, stop: threading.Event) -> str:
    if place.kind == "exec":
        return output_of(place.value, place.folder, timeout_s, stop)
    if place.kind == "patroni" and not place.is_text:
        return ask_patroni(place.value, timeout_s)
    if place.value == STANDARD_INPUT:
        return source_text.of_standard_input(timeout_s)
    return source_text.of_file(Path(place.value))

"""The sampler as what a block of load is watched by."""

import threading
import time
from dataclasses import dataclass

from pgwatch_wed import clock
from pgwatch_wed.load.load_model import Ground, Order, Watched
from pgwatch_wed.load.sampling.load_sampler import LoadSampler

_FIRST_LOOK_S = 1.0


@dataclass(slots=True)
class SessionWatch:
    """Samples the sessions of a ground while a block runs there."""

    ground: Ground
    _sampler: LoadSampler | None = None
    _thread: threading.Thread | None = None

    def begin(self, order: Order, application_name: str) -> None:
        """Begin to look; the sessions of the block bear this application name, unless a pooler is in between."""
        name = application_name if order.conninfo is None else ""
        self._sampler = LoadSampler(self.ground, name)
        self._thread = threading.Thread(target=self._sampler.run, name="load sampler", daemon=True)
        self._thread.start()
        self._sampler.wait_until_ready(_FIRST_LOOK_S)

    def end(self, began: float, ended: float) -> Watched:
        """End, and return what was seen between two moments in Unix seconds."""
        sampler, thread = self._sampler, self._thread
        self._sampler = self._thread = None
        if sampler is None or thread is None:
            return Watched()
        sampler.stop()
        thread.join()
        offset = clock.now().timestamp() - time.monotonic()
        seen = sampler.samples(began - offset, ended - offset)
        is_told = seen.looks > 0 and not seen.hidden and not seen.untracked
        return Watched(
            samples=seen,
            busy_sessions=seen.busy_sessions if is_told else None,
            busy_error=seen.busy_error if is_told else None,
            largest_gap_s=seen.largest_gap_s,
        )

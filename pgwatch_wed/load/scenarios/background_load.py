"""What runs beside a scenario, such as a report: one client for each script, for as long as the block runs."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.load_model import Block, BlockRunner, Ground, Order, Scenario

OVER = "the block is over"
_REST_S = 30.0  # more than a block takes beyond its time; its end is what ends the background


def beside(
    run: BlockRunner,
    ground: Ground,
    scenario: Scenario,
    told: Callable[[Block], None] = lambda _: None,
) -> BlockRunner:
    """Return a runner that runs the scenario's background with each block; ``run`` itself if it has none.

    ``told`` is given the block of the background, too.
    """
    return _Beside(run, ground, scenario, told) if scenario.background else run


@dataclass(slots=True)
class _Beside:
    run: BlockRunner
    ground: Ground
    scenario: Scenario
    told: Callable[[Block], None]
    _failed: list[Error] = field(default_factory=list)

    def __call__(self, order: Order) -> Block:
        over = threading.Event()
        thread = threading.Thread(target=self._background, args=(order, over), daemon=True)
        thread.start()
        try:
            block = self.run(order)
        finally:
            over.set()
            thread.join()
        if self._failed:
            raise self._failed.pop()
        return block

    def _background(self, order: Order, over: threading.Event) -> None:
        own = Order(
            scripts=self.scenario.background,
            clients=len(self.scenario.background),
            rate=None,
            seconds=order.warmup_s + order.seconds + _REST_S,
            warmup_s=0,
            protocol=self.scenario.protocol,
            seed=order.seed,
            settings=order.settings,
        )
        try:
            self.told(runner(self.ground, stop=lambda: OVER if over.is_set() else "")(own))
        except Error as error:
            if not over.is_set():
                self._failed.append(error)

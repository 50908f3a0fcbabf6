"""An order → pgbench on a ground → a block."""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.load.engine import pgbench_program
from pgwatch_wed.load.engine.block_limits import allow_descriptors, check_connections
from pgwatch_wed.load.engine.block_run import BlockRun, Setup
from pgwatch_wed.load.ground.ground_connection import STRESS_NAME, connected
from pgwatch_wed.load.load_model import Block, BlockRunner, BlockWatch, Ground, Order
from pgwatch_wed.scratch import scratch_folder
from pgwatch_wed.target import programs

_MAX_THREADS = 8


def never() -> str:
    """Return no reason to stop."""
    return ""


def runner(
    ground: Ground,
    *,
    stop: Callable[[], str] = never,
    watch: BlockWatch | None = None,
    program: Path | None = None,
) -> BlockRunner:
    """Return what runs blocks on a ground, one at a time.

    ``stop`` is asked some times a second, and ends a block early with the reason that it returns; so does Ctrl-C,
    after which the block is returned, ``ended_early`` being :data:`block_run.INTERRUPTED`. ``watch`` looks at the server
    meanwhile. ``program`` is the pgbench that is preferred, by default the one shipped with us.
    """
    return _Engine(ground, stop, watch, program or embedded.wheel_bindir() / "pgbench")


@dataclass(slots=True)
class _Engine:
    ground: Ground
    stop: Callable[[], str]
    watch: BlockWatch | None
    program: Path
    connecting_s: dict[tuple[str | None, int], float] = field(default_factory=dict)

    def __call__(self, order: Order) -> Block:
        name = f"{STRESS_NAME} {secrets.token_hex(4)}"
        allow_descriptors(order.clients)
        try:
            with connected(self.ground) as session:
                check_connections(session, order)
                with self._client(order, name) as client, scratch_folder("load") as folder:
                    setup = self._setup(order, client, name, folder)
                    run = BlockRun(setup, session, self.stop, self.watch)
                    block = run.block()
        except psycopg.Error as error:
            raise CollectError(f"the server of the load test failed: {said(error)}") from None
        except OSError as error:
            raise CollectError(
                f"the load generator's files could not be written: {error.strerror or error}",
                f"free some space in {tempfile.gettempdir()}, or set TMPDIR",
            ) from None
        if run.connecting_s is not None:
            self.connecting_s[_key(order)] = run.connecting_s
        return block

    @contextmanager
    def _client(self, order: Order, name: str) -> Iterator[programs.Client]:
        place = self.ground
        if order.conninfo is not None:
            place = replace(place, conninfo=order.conninfo)
        began = time.monotonic()
        with connected(place) as session:
            took = time.monotonic() - began
            self.connecting_s.setdefault(_key(order), _guessed(order, took))
            with programs.client(self.program, session, application_name=name) as client:
                session.close()
                yield client

    def _setup(self, order: Order, client: programs.Client, name: str, folder: Path) -> Setup:
        able = pgbench_program.abilities(client.path)
        pgbench_program.check_order(order, able)
        threads = min(order.clients, max(1, (os.cpu_count() or 1) // 2), _MAX_THREADS)
        run_s = pgbench_program.run_seconds(order, self.connecting_s[_key(order)])
        arguments = pgbench_program.arguments(
            order,
            able,
            conninfo=pgbench_program.conninfo(client.conninfo, order),
            prefix=folder / "log",
            threads=threads,
            run_s=run_s,
        )
        return Setup(
            self.ground, order, client, name, tuple(arguments), folder / "log", threads, run_s
        )


def _guessed(order: Order, one_s: float) -> float:
    """Return how long connecting will take, from our own; a pooler starts no process for it. The next block knows."""
    share = 0.5 if order.conninfo is None else 0.1
    return min(order.clients * one_s * share, float(pgbench_program.CONNECT_TIMEOUT_S))


def _key(order: Order) -> tuple[str | None, int]:
    return order.conninfo, order.clients

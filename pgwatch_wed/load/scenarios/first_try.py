"""Each script once, alone, before it runs under load: one that fails would only end pgbench's clients, one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgwatch_wed import units
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.engine import pgbench_program
from pgwatch_wed.load.engine.pgbench_process import PgbenchProcess
from pgwatch_wed.load.ground.ground_connection import STRESS_NAME, connected
from pgwatch_wed.load.load_model import Ground, LoadScript, Order, QueryProtocol, Scenario
from pgwatch_wed.scratch import scratch_folder
from pgwatch_wed.target import programs

LIMIT_S = 60.0


def try_scripts(ground: Ground, scenario: Scenario, limit_s: float = LIMIT_S) -> None:
    """Run each script of a scenario once; raises :class:`UsageError` with the first that fails, or takes too long."""
    with _client(ground) as client:
        for script in (*scenario.scripts, *scenario.background):
            _try(client, script, scenario, limit_s)


@contextmanager
def _client(ground: Ground) -> Iterator[programs.Client]:
    own = embedded.wheel_bindir() / "pgbench"
    with (
        connected(ground) as session,
        programs.client(own, session, application_name=STRESS_NAME) as client,
    ):
        yield client


def _try(client: programs.Client, script: LoadScript, scenario: Scenario, limit_s: float) -> None:
    order = Order(
        scripts=(script,),
        clients=1,
        rate=None,
        # the server ends what we no longer wait for; a replay may only read, here, too
        settings={"statement_timeout": str(int(limit_s * 1000)), **scenario.settings},
    )
    # What cannot be prepared, pgbench tells only of the statement that is then missing.
    is_prepared = scenario.protocol is QueryProtocol.PREPARED
    protocol = QueryProtocol.EXTENDED if is_prepared else scenario.protocol
    with scratch_folder("load") as folder:
        arguments = (
            *("--no-vacuum", "--client=1", "--transactions=1", f"--protocol={protocol}"),
            *pgbench_program.written(order.scripts, folder),
            pgbench_program.conninfo(client.conninfo, order),
        )
        with PgbenchProcess(client, arguments, order.scripts) as process:
            if not process.wait(limit_s + 5):
                raise UsageError(
                    f"the script {script.name} takes longer than {units.count(round(limit_s), 'second')}",
                    "it cannot be repeated under load",
                )
            if process.status or process.complaints.lost:
                raise UsageError(
                    f"the script {process.complaints.why_it_failed() or script.name + ' failed'}",
                    "each script is run once before the load begins",
                )

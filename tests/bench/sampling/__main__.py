"""What sampling costs: python -m tests.bench.sampling [SECONDS] [SESSIONS].

An embedded server with that many sessions: some idle, some idle in transaction, some busy, and a row that one holds
and others wait for, in half of the time. The server's CPU time is that of the sampler's own backend, ours that of this
process, in which nothing but the sampler works. Linux only: it reads /proc/PID/schedstat.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.target.sampler import Sampler, sampling

_SESSIONS = """
import psycopg, sys, threading, time
dsn, number = sys.argv[1], int(sys.argv[2])
def busy():
    with psycopg.connect(dsn, application_name="busy", autocommit=True) as c:
        while True:
            c.execute("select pg_sleep(0.05)")
def waiting(row):
    with psycopg.connect(dsn, application_name="waiting", autocommit=True) as c:
        while True:
            c.execute("update hot set n = n + 1 where id = 1")
            time.sleep(0.2)
def holding():
    with psycopg.connect(dsn, application_name="holding") as c:
        while True:
            c.execute("update hot set n = n + 1 where id = 1")
            time.sleep(5)
            c.commit()
            time.sleep(5)
others = number // 5
for work in [busy] * others + [lambda: waiting(1)] * 5 + [holding]:
    threading.Thread(target=work, daemon=True).start()
kept = [psycopg.connect(dsn, application_name="idle") for _ in range(number - others - 6)]
for i, c in enumerate(kept):
    c.execute("select 1")
    if i % 2:
        c.commit()
print("ready", flush=True)
sys.stdin.read()
"""


def _backend_s(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _pid(dsn: str) -> int:
    with psycopg.connect(dsn, application_name="look") as look:
        for _ in range(100):
            row = look.execute(
                "select pid from pg_stat_activity where application_name = 'pgwatch_wed'"
            ).fetchone()
            if row:
                return int(row[0])
            time.sleep(0.05)
    raise RuntimeError("the sampler is not connected")


def measure(dsn: str, seconds: float) -> tuple[float, float, Sampler]:
    """Return the CPU seconds of the server and of this process."""
    with sampling(dsn, 1.0) as sampler:
        pid = _pid(dsn)
        time.sleep(2)
        server, client = _backend_s(pid), time.process_time()
        time.sleep(seconds)
        return _backend_s(pid) - server, time.process_time() - client, sampler


def main(seconds: int = 60, sessions: int = 100) -> None:
    """Measure, and print shares of one core."""
    with ExitStack() as stack:
        settings = {"max_connections": str(sessions + 20)}
        server = stack.enter_context(embedded.start(settings))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table hot (id int primary key, n int)")
            connection.execute("insert into hot values (1, 0)")
        crowd = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _SESSIONS, server.dsn(), str(sessions)], stdin=-1, stdout=-1
            )
        )
        assert crowd.stdout
        crowd.stdout.readline()
        there, here, sampler = measure(server.dsn(), seconds)
        crowd.kill()
    print(f"{sessions} sessions, 1 Hz, {seconds} s, {sampler._looks} samples")
    print(f"server: {there / seconds:.3%} of a core, {there / seconds * 1000:.2f} ms a second")
    print(f"client: {here / seconds:.3%} of a core, {here / seconds * 1000:.2f} ms a second")
    print(f"both:   {(there + here) / seconds:.3%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))

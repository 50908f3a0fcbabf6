"""What pgbench writes to stderr, in the words of 15, 18 and 19."""

import io

from pgwatch_wed.load.engine.pgbench_complaints import MAX_ERRORS, Complaints
from pgwatch_wed.load.load_model import LoadScript

SCRIPTS = [LoadScript(name=name, text="select 1;") for name in ("reads", "writes")]


def heard(text: str) -> Complaints:
    found = Complaints(io.StringIO(text), SCRIPTS)
    found.wait()
    return found


def test_a_client_that_is_given_up_is_lost_and_the_servers_words_are_kept() -> None:
    found = heard(
        "pgbench (18.6)\n"
        "pgbench: error: client 3 script 1 aborted in command 2 query 0: ERROR:  division by zero\n"
        "pgbench: error: client 2 script 1 aborted in command 2 query 0: ERROR:  division by zero\n"
        "pgbench: error: client 1 script 0 aborted in command 0 query 0: FEHLER:  Relation „t“: fehlt\n"
        "LINE 1: select a secret\n"
        "pgbench: error: Run was aborted; the above results are incomplete.\n"
    )
    assert found.lost == {1, 2, 3}
    assert found.errors == (
        "writes: ERROR: division by zero",
        "reads: FEHLER: Relation „t“: fehlt",
    )


def test_a_client_that_goes_on_is_not_lost() -> None:
    found = heard(
        "pgbench: client 0 got an error in command 0 (SQL) of script 0; ERROR:  division by zero\n"
        "pgbench: client 0 ends the failed transaction (try 1/1)\n"
        "pgbench: client 0 got an error in command 1 (SQL) of script 1; ERROR:  it is aborted in command 2\n"
    )
    assert found.lost == set()
    assert found.errors == (
        "reads: ERROR: division by zero",
        "writes: ERROR: it is aborted in command 2",
    )


def test_a_client_that_cannot_connect_again_is_told_apart() -> None:
    found = heard(
        'pgbench: error: connection to server at "h", port 1 failed: password=s3cr3t is wrong\n'
        "pgbench: error: client 4 aborted while establishing connection\n"
    )
    assert (found.lost, found.not_connected) == (set(), {4})
    assert "s3cr3t" not in found.why_it_failed()


def test_errors_are_few_short_and_without_secrets() -> None:
    lines = "".join(
        f"pgbench: error: client {n} script 0 aborted in command 0 query 0: ERROR:  {n} password=s3cr3t {'x' * 999}\n"
        for n in range(50)
    )
    found = heard(lines)
    assert len(found.errors) == MAX_ERRORS
    assert len(found.lost) == 50
    assert all(len(e) < 400 and "s3cr3t" not in e for e in found.errors)


def test_why_nothing_ran_is_the_first_thing_that_it_said() -> None:
    found = heard(
        'pgbench: error: connection to server on socket "/x" failed: FATAL:  sorry, too many clients already\n'
        "pgbench: error: could not create connection for client 100\n"
    )
    assert "sorry, too many clients already" in found.why_it_failed()

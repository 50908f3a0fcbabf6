"""`fleet schedule`: what is printed is what the schedulers accept, runs what exists, and has no secret."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from tests.test_cli import PROGRAM

FORMS = ("k8s", "systemd", "cron", "github")
NASTY = '/srv/it\'s 100% $HOME "x" ; #/fleet.toml'


def printed(*args: str, status: int = 0) -> str:
    done = CliRunner().invoke(cli, ["fleet", "schedule", *args], standalone_mode=False)
    if status:
        assert getattr(done.exception, "exit_status", None) == status, done.output
        return str(done.exception)
    assert done.exception is None, done.exception
    return done.output


def checked(words: list[str]) -> click.Context:
    """Return how a command line of ours is understood."""
    with click.Context(cli) as context:
        name, command, rest = cli.resolve_command(context, words)
        while isinstance(command, click.Group):
            name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        return command.make_context(name, rest)


def cron_commands(text: str) -> dict[str, list[str]]:
    """Return by time the words of ours, as cron hands them to the shell."""
    found = {}
    for line in text.splitlines():
        if line[:1] in "0123456789*" and line:
            cron, command = line[: line.index("umask")], line[line.index("umask") :]
            stub = f'flock() {{ echo "$#"; for w in "$@"; do printf "%s\\n" "$w"; done; }}; mkdir() {{ :; }}; {command}'
            stub = stub.replace("\\%", "%").replace(">/dev/null", "")
            done = subprocess.run(["sh", "-c", stub], capture_output=True, text=True, check=True)
            words = done.stdout.splitlines()[1:]
            found[cron.strip()] = words[words.index("fleet") :]
    return found


def units(text: str, folder: Path) -> dict[str, str]:
    folder.mkdir()
    env = {**os.environ, "UNITS": str(folder)}
    subprocess.run(["sh"], input=text, text=True, check=True, env=env)
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_cron_runs_the_fleet_or_enqueues_it_and_keeps_a_worker() -> None:
    given = ("--print", "cron", "--inventory", NASTY, "--history", "postgresql://central/history")
    (run,) = cron_commands(printed(*given)).values()
    assert checked(run).params["sources"] == (NASTY,)
    by_time = cron_commands(printed(*given, "--queue", "--at", "23:05"))
    assert list(by_time) == ["5 23 * * *", "*/5 * * * *"]
    enqueue, worker = map(checked, by_time.values())
    assert (enqueue.info_name, worker.info_name) == ("enqueue", "worker")
    assert worker.params["until_done"]
    assert worker.params["history_url"] == "postgresql://central/history"


def test_files_are_found_from_the_directory_in_which_a_scheduler_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fleet.toml", "h.sqlite3"):
        Path(name).touch()
    sources = ("fleet.toml", "rds:fleet.toml", "exec:aws fleet.toml", "patroni:http://db1:8008")
    given = [word for source in sources for word in ("--inventory", source)]
    (run,) = cron_commands(printed("--print", "cron", *given, "--history", "h.sqlite3")).values()
    file = f"{tmp_path}/fleet.toml"
    assert checked(run).params["sources"] == (file, f"rds:{file}", *sources[2:])
    assert checked(run).params["history_url"] == f"{tmp_path}/h.sqlite3"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("queue", [(), ("--queue",)])
def test_systemd_accepts_the_units(queue: tuple[str, ...], tmp_path: Path) -> None:
    program = ("--program", str(Path(shutil.which("true") or "/bin/true")))
    text = printed(
        "--print", "systemd", *queue, *program, "--time-zone", "Europe/Berlin", "--inventory", NASTY
    )
    found = units(text, tmp_path / "units")
    names = (
        {"fleet-enqueue.service", "fleet-enqueue.timer", "fleet-worker.service"}
        if queue
        else {"fleet.service", "fleet.timer"}
    )
    assert {name.removeprefix("db-analyze-") for name in found} == names
    files = [str(tmp_path / "units" / name) for name in found]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "db-analyze" in line]
    assert (done.returncode, ours) == (0, [])


def test_kubernetes_shares_the_fleet_between_the_pods_of_a_job() -> None:
    (job,) = yaml.safe_load_all(printed("--print", "k8s", "--machines", "5"))
    spec = job["spec"]["jobTemplate"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 5, 5)
    pod = spec["template"]["spec"]
    command = [str(word).replace("$$(", "$(") for word in pod["containers"][0]["command"]]
    command[-1] = command[-1].replace("exec db-analyze", "printf '%s\\n'")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"JOB_COMPLETION_INDEX": "4"},
    )
    params = checked(done.stdout.splitlines()).params
    assert (str(params["shard"]), params["resume"]) == ("5/5", True)


def test_kubernetes_runs_workers_of_a_queue() -> None:
    enqueue, workers = yaml.safe_load_all(printed("--print", "k8s", "--queue", "--machines", "3"))
    assert (enqueue["kind"], workers["kind"], workers["spec"]["replicas"]) == (
        "CronJob",
        "Deployment",
        3,
    )
    pod = workers["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Always"
    for each in (enqueue["spec"]["jobTemplate"]["spec"]["template"]["spec"], pod):
        (container,) = each["containers"]
        checked(container["command"][1:])


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
@pytest.mark.parametrize("given", [("--machines", "5"), ("--queue",)])
def test_kubectl_knows_every_field(given: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(printed("--print", "k8s", *given))
    command = [
        "kubectl",
        "set",
        "image",
        "--local",
        "-f",
        str(path),
        "db-analyze=x:1",
        "-o",
        "yaml",
    ]
    typed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for ours, theirs in zip(
        yaml.safe_load_all(path.read_text()), yaml.safe_load_all(typed), strict=True
    ):
        assert _lost(ours, theirs) in (set(), {"image"})


def _lost(ours: Any, theirs: Any, name: str = "") -> set[str]:
    """Return the names of what kubectl did not understand or changed."""
    if isinstance(ours, dict):
        return {n for k, v in ours.items() for n in _lost(v, (theirs or {}).get(k), k)}
    if isinstance(ours, list):
        return {
            n
            for a, b in zip(ours, theirs or [None] * len(ours), strict=True)
            for n in _lost(a, b, name)
        }
    return set() if ours == theirs else {name}


def test_github_runs_a_job_a_shard_with_secrets_in_the_environment_only() -> None:
    text = printed("--print", "github", "--machines", "3")
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert job["strategy"]["matrix"]["shard"] == [1, 2, 3]
    steps = [step for step in job["steps"] if "env" in step]
    (line,) = (line for line in steps[0]["run"].splitlines() if line.startswith("db-analyze"))
    params = checked(shlex.split(line.replace("${{ matrix.shard }}", "2"))[1:]).params
    assert str(params["shard"]) == "2/3"
    assert set(re.findall(r"\$\{\{ (\S+) \}\}", text)) == {
        "secrets.FLEET_CONFIG",
        "secrets.FLEET_INVENTORY",
        "github.run_id",
        "matrix.shard",
    }


@pytest.mark.parametrize("form", ["systemd", "cron"])
@pytest.mark.parametrize(
    "secret",
    [
        ("--history", "postgresql://u:verysecret@h/d"),
        ("--history", "host=h password=verysecret"),
        ("--history", "postgresql://h/d?password=verysecret"),
        ("--history", "postgresql://h/d?sslpassword=verysecret"),
    ],
)
def test_a_password_is_refused(form: str, secret: tuple[str, str]) -> None:
    said = printed("--print", form, *secret, status=2)
    assert "password must not be written" in said
    assert "verysecret" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("cron", "--machines", "2"), "on one machine"),
        (("systemd", "--machines", "2"), "on one machine"),
        (("github", "--queue"), "no workers"),
        (("github", "--time-zone", "Europe/Berlin"), "in UTC"),
        (("k8s", "--history", "postgresql://h/d"), "are a secret"),
        (("cron", "--inventory", "-"), "no standard input"),
        (("cron", "--inventory", "a\nb"), "line break"),
        (("cron", "--at", "25:00"), "not a time"),
    ],
)
def test_what_cannot_be_scheduled_is_told(given: tuple[str, ...], said: str) -> None:
    assert said in printed("--print", *given, status=2)


def test_the_program_prints_each_form() -> None:
    done = subprocess.run(
        [*PROGRAM, "fleet", "schedule", "--print", "cron"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "fleet run" in done.stdout


@pytest.mark.parametrize("given", [(), ("--machines", "5"), ("--queue",)])
def test_kubernetes_does_not_visit_all_again_because_of_a_mistake_in_the_inventory(
    given: tuple[str, ...],
) -> None:
    job = next(yaml.safe_load_all(printed("--print", "k8s", *given)))
    spec = job["spec"]["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"operator": "In", "values": [2]}
    # of the indexes of a job, only if the job counts by index
    assert rule["action"] == ("FailIndex" if "backoffLimitPerIndex" in spec else "FailJob")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("form", ["cron", "systemd"])
def test_a_schedule_without_an_inventory_says_which_clusters_it_visits(form: str) -> None:
    assert "pg_service.conf" in printed("--print", form)
    assert "pg_service.conf" not in printed("--print", form, "--inventory", "fleet.toml")
    assert "pg_service.conf" not in printed("--print", form, "--config", "pgwatch_wed.toml")


def test_cron_sends_nobody_to_reports_that_are_not_written() -> None:
    assert "see /var/lib/db-analyze" in printed("--print", "cron")
    assert "see /var/lib/db-analyze" not in printed("--print", "cron", "--queue")

"""`db-analyze schedule`: what is printed is what the schedulers accept, and runs what exists."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
import yaml

from pgwatch_wed import config, install
from pgwatch_wed.cli import cli
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import UsageError
from pgwatch_wed.schedule import crontab, github, kubernetes, pg_cron, systemd
from pgwatch_wed.schedule.tasks import Job, Timetable, head_notes, tasks
from tests.servers import Server

# What would mean something to a shell, to cron, to systemd, to YAML, or to Kubernetes.
NASTY = '/srv/it\'s 100% $HOME "x" $(id) `id` ; # db'
FORMS = ("cron", "systemd", "pg_cron", "github", "k8s")


PROGRAM = str(Path(sys.executable).with_name("db-analyze"))


def db_analyze(
    *args: str, status: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, env={**os.environ, **(env or {})})  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


def plan(target: str = "pgwatch_wed", **more: object) -> Timetable:
    wanted: dict[str, Any] = {"updates_statistics": True, "tests_load": True, **more}
    return Timetable(target, "service=pgwatch_wed", **wanted)


def cron_commands(text: str) -> list[tuple[list[str], str]]:
    """Return fields and command of each entry, as cron hands the command to the shell."""
    found = []
    for line in text.splitlines():
        if line[:1].isdigit():
            *fields, command = line.split(" ", 5)
            assert not re.search(r"(?<!\\)%", command)
            found.append((fields, command.replace("\\%", "%")))
    return found


def unit_files(text: str, folder: Path) -> list[Path]:
    folder.mkdir()
    env = {**os.environ, "UNITS": str(folder)}
    subprocess.run(["sh"], input=text, text=True, check=True, env=env)
    return sorted(folder.iterdir())


# What runs


@pytest.mark.parametrize("task", tasks(plan()), ids=lambda t: t.name)
def test_every_task_is_a_command_that_exists(task: Job) -> None:
    args = list(task.args)
    if task.program:
        assert task.program in ("find", "psql")
        return
    with click.Context(cli) as context:
        name, command, rest = cli.resolve_command(context, args)
        while isinstance(command, click.Group):
            name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        given = command.make_context(name, [*rest, *["service"] * task.reads_target])
    assert given.params.get("target") == ("service" if task.reads_target else None)
    if command.name == "stress":
        assert given.params["profile"] == {"daily-load": "ci", "weekly-load": "heavy"}[task.name]
    config.check_names(tuple(n for some in given.params.get("only", ()) for n in some), "--only")


def test_cron_runs_its_commands(db: str, tmp_path: Path) -> None:
    text = crontab.crontab(Timetable(db, db, output=str(tmp_path / "a 100% dir"), program=PROGRAM))
    by_name = {re.search(r"db-analyze (\w+-\w+): see", c)[1]: c for _, c in cron_commands(text)}  # type: ignore[index]
    for name in ("daily-health", "daily-cleanup", "monthly-baseline"):
        done = subprocess.run(["sh", "-c", by_name[name]], capture_output=True, text=True)
        said = done.stdout if name.startswith("daily") else ""
        assert (done.returncode, said, done.stderr) == (0, "", "")
    folder = tmp_path / "a 100% dir"
    assert (folder / "history.sqlite3").exists()
    assert {p.suffix for p in (folder / "daily").iterdir()} == {".html", ".json"}
    assert (folder / "daily").stat().st_mode & 0o077 == 0


def test_cron_says_what_failed(tmp_path: Path) -> None:
    nobody = f"host={tmp_path} dbname=nothing"
    program = PROGRAM
    text = crontab.crontab(Timetable(nobody, nobody, output=str(tmp_path / "out"), program=program))
    done = subprocess.run(["sh", "-c", cron_commands(text)[0][1]], capture_output=True, text=True)
    assert done.stdout.endswith("exit status 3\n")
    assert "could not connect" in done.stderr


def test_cron_waits_for_a_task_that_is_still_running(tmp_path: Path) -> None:
    command = cron_commands(crontab.crontab(Timetable("s", "s", output=str(tmp_path))))[0][1]
    hurried = command.replace("-w 3600", "-w 0.1")
    with subprocess.Popen(["flock", f"{tmp_path}/.lock", "sh", "-c", "echo; read x"], stdin=-1, stdout=-1) as other:  # fmt: skip
        assert other.stdout
        other.stdout.readline()
        done = subprocess.run(["sh", "-c", hurried], capture_output=True, text=True)
        other.communicate(b"\n")
    assert done.stdout.endswith("exit status 75\n")


def test_load_tests_run_only_if_wanted_and_never_on_the_target() -> None:
    names = {t.name for t in tasks(Timetable("s", "s"))}
    loads = [t for t in tasks(plan()) if t.args[0] == "stress"]
    assert [t.name for t in loads] == ["daily-load", "weekly-load"]
    assert not names & {t.name for t in loads}
    assert not any(t.reads_target for t in loads)
    assert "stress" not in db_analyze("schedule", "--print", "github").stdout
    printed = db_analyze("schedule", "--print", "github", "--with-load").stdout
    assert "--profile heavy" in printed
    assert "load tests" not in printed  # in what is not scheduled
    assert "load tests" in "\n".join(head_notes(plan(tests_load=False)))


def test_cleanup_removes_old_reports_of_load_too(tmp_path: Path) -> None:
    kept, old = tmp_path / "history.sqlite3", tmp_path / "load" / "report-20250101-000000.json"
    old.parent.mkdir()
    for path in (kept, old):
        path.touch()
        os.utime(path, (0, 0))
    cleanup = next(t for t in tasks(plan(output=str(tmp_path))) if t.name == "daily-cleanup")
    subprocess.run([cleanup.program, *cleanup.args], check=True)
    assert (kept.exists(), old.exists()) == (True, False)


# What is written


def test_cron_fields_are_in_range_and_never_restrict_both_days() -> None:
    entries = cron_commands(crontab.crontab(plan(hour=23, minute=59)))
    assert len(entries) == len(tasks(plan())) == 11
    for (minute, hour, day, month, weekday), _ in entries:
        assert 0 <= int(minute) <= 59
        assert 0 <= int(hour) <= 23
        assert "*" in (day, weekday)
        assert (day, month) in {("*", "*"), ("1", "*"), ("1", "1,4,7,10")}


def test_names_with_special_characters_arrive_unchanged(tmp_path: Path) -> None:
    nasty = plan(output=NASTY, target="host=h user='100% $x' dbname=d")
    entries = cron_commands(crontab.crontab(nasty))
    words = shlex.split(entries[0][1].split("&&")[1].split("||")[0])
    assert words[5] == f"{NASTY}/.lock"
    assert words[-1] == nasty.target
    documents = list(yaml.safe_load_all(kubernetes.cron_jobs(nasty)))
    assert "/reports/daily" in _container(documents[1])["command"]
    service = unit_files(systemd.units(nasty), tmp_path / "units")[2].read_text()
    assert "daily-health" in unit_files(systemd.units(nasty), tmp_path / "more")[2].name
    assert _exec_words(service)[5] == f"{NASTY}/.lock"
    assert _exec_words(service)[-1] == nasty.target


def _exec_words(service: str) -> list[str]:
    line = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    assert '" '.join(f'"{w}' for w in words) + '"' == line.removeprefix("ExecStart=")
    plain = (w.replace("%%", "%").replace("$$", "$") for w in words)
    return [re.sub(r"\\(.)", r"\1", w) for w in plain]


def test_a_backslash_or_a_long_line_is_refused_by_cron() -> None:
    with pytest.raises(UsageError, match="backslash"):
        crontab.crontab(plan(output="/a\\b"))
    with pytest.raises(UsageError, match="too long"):
        crontab.crontab(plan(output="/" + "x" * 900))


@pytest.mark.parametrize("field", ["output", "mail", "image", "user"])
def test_a_line_break_is_refused(field: str) -> None:
    with pytest.raises(UsageError):
        plan(**{field: "/a\n* * * * * root reboot"})


def _container(job: dict[str, Any]) -> dict[str, Any]:
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container: dict[str, Any] = spec["containers"][0]
    return container


def test_kubernetes_never_runs_a_task_twice() -> None:
    claim, *jobs = yaml.safe_load_all(kubernetes.cron_jobs(plan(zone="Europe/Berlin")))
    assert claim["kind"] == "PersistentVolumeClaim"
    assert [j["metadata"]["name"] for j in jobs] == [f"db-analyze-{t.name}" for t in tasks(plan())]
    for job in jobs:
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        assert job["spec"]["timeZone"] == "Europe/Berlin"
        assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
        assert len(job["metadata"]["name"]) <= 52
        secret = _container(job)["env"][0]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "db-analyze", "key": "DATABASE_URL"}


def test_github_runs_each_task_at_its_time() -> None:
    flow = yaml.safe_load(github.workflow(plan()))
    crons = [each["cron"] for each in flow[True]["schedule"]]  # YAML 1.1 reads `on` as true
    assert len(crons) == len(set(crons)) == 8
    steps = flow["jobs"]["analyze"]["steps"]
    script = next(s["run"] for s in steps if "case" in s.get("run", ""))
    for cron in (*crons, ""):
        stubs = 'db-analyze() { echo "ran $*"; }; psql() { echo "ran psql"; }\n'
        done = subprocess.run(["bash", "-e"], input=stubs + script, capture_output=True, text=True, check=True, env={"SCHEDULE": cron, "DATABASE_URL": "x", "PATH": os.environ["PATH"]})  # fmt: skip
        assert done.stdout.count("ran ") == 1, cron
    with pytest.raises(UsageError, match="UTC"):
        github.workflow(plan(zone="Europe/Berlin"))


# Checked by the schedulers' own programs, where there are any


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = PROGRAM
    files = unit_files(systemd.units(plan(program=program, zone="Europe/Berlin")), tmp_path / "u")
    assert len(files) == 22
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "db-analyze" in line]
    assert (done.returncode, ours) == (0, [])
    for line in "\n".join(f.read_text() for f in files).splitlines():
        if line.startswith("OnCalendar="):
            calendar = line.removeprefix("OnCalendar=")
            subprocess.run(["systemd-analyze", "calendar", calendar], check=True, stdout=-3)


@pytest.mark.skipif(not shutil.which("crontab"), reason="needs cron")
def test_cron_accepts_the_crontab(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text(crontab.crontab(plan(mail="dba@example.com", zone="UTC")))
    help_text = subprocess.run(["crontab", "-h"], capture_output=True, text=True).stderr
    option = "-T" if "-T" in help_text else "-n"
    subprocess.run(["crontab", option, path], check=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_kubectl_knows_every_field(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    text = kubernetes.cron_jobs(plan(zone="UTC"))
    path.write_text("---\n".join(d for d in text.split("---\n") if "kind: CronJob" in d))
    typed = subprocess.run(["kubectl", "set", "image", "--local", "-f", path, "db-analyze=x:1", "-o", "yaml"], capture_output=True, text=True, check=True).stdout  # fmt: skip
    again = list(yaml.safe_load_all(typed))
    jobs = list(yaml.safe_load_all(text))[1:]
    assert len(again) == len(jobs)
    for ours, theirs in zip(jobs, again, strict=True):
        _container(ours)["image"] = "x:1"
        assert _is_part(ours, theirs)


def _is_part(ours: object, theirs: object) -> bool:
    """Tell whether nothing was lost when the client read the text as its own types."""
    match ours, theirs:
        case dict(), dict():
            return all(k in theirs and _is_part(v, theirs[k]) for k, v in ours.items())
        case list(), list():
            return len(ours) == len(theirs) and all(map(_is_part, ours, theirs))
    return ours == theirs


# pg_cron runs SQL, and that can be tried anywhere


@pytest.mark.parametrize("schema", ["public", 'Mixed "Case"'])
def test_what_pg_cron_is_given_runs(pg: Server, schema: str, tmp_path: Path) -> None:
    """The extension is tried by hand (docs/schedule.md); its functions here only keep the commands."""
    with pg.database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create schema cron")
        connection.execute("create table cron.job (name text, schedule text, command text)")
        connection.execute("create table cron.job_run_details (end_time timestamptz)")
        connection.execute("insert into cron.job_run_details values ('2000-01-01'), (now())")
        connection.execute(
            "create function cron.schedule(text, text, text) returns void language sql as"
            " 'insert into cron.job values ($1, $2, $3)'"
        )
        script = pg_cron.script(plan(schema=schema))
        assert _psql(dsn, script).returncode == 3
        install.upgrade(dsn, schema)
        done = _psql(dsn, script)
        assert (done.returncode, done.stderr) == (0, "")
        rows = connection.execute("select schedule, command from cron.job").fetchall()
        for schedule, command in rows:
            assert re.fullmatch(r"\d+ \d+ \* \* [*0]", schedule)
            connection.execute(command)
        assert connection.execute("select count(*) from cron.job_run_details").fetchone() == (1,)
        table = pg_cron._table(plan(schema=schema))
        kept = connection.execute(f"select count(*) from {table}").fetchone()
        assert kept is not None
        assert kept[0] > 5
        assert _psql(dsn, script).returncode == 0  # again: nothing is lost


def _psql(dsn: str, script: str) -> subprocess.CompletedProcess[str]:
    args = [str(embedded.bindir() / "psql"), "-X", "-q", "-d", dsn]
    env = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    return subprocess.run(args, input=script, capture_output=True, text=True, env=env)


def test_each_database_has_jobs_of_its_own() -> None:
    text = pg_cron.script(plan(database="my \"sh'op"))
    assert '\\connect "my ""sh\'op"' in text
    assert "'pgwatch_wed daily summary of my \"sh''op'" in text
    assert text.count("cron.schedule_in_database(") == 3


# The command line


@pytest.mark.parametrize("form", FORMS)
def test_the_command_prints_each_form(form: str) -> None:
    done = db_analyze(
        "schedule", "--print", form, env={"DATABASE_URL": "postgresql://u:s3cret@h/d"}
    )
    assert done.returncode == 0
    assert f"--print {form}" in done.stdout
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--print", "cron", "postgresql://u:s3cret@h/d"], "must not be written in a schedule"),
        (["--print", "k8s", "postgresql://h/d"], "is the secret DATABASE_URL"),
        (["--print", "cron", "--at", "25:00"], "is not a time"),
        (["--print", "cron", "--time-zone", "Mars/Olympus"], "is not a time zone"),
        (["--print", "cron", "--time-zone", "../etc/passwd"], "is not a time zone"),
        (["--print", "cron", "--output", "relative"], "is not an absolute path"),
        (["--print", "systemd", "--user", "a b"], "is not the name of a system user"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_in_one_line(args: list[str], said: str) -> None:
    done = db_analyze("schedule", *args, status=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr + done.stdout

"""The probes of storage, cache, mail and host, on real parts that refuse, hang, are full or stopped."""

import os
import resource
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.serve import host
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure
from pgwatch_wed.serve.probes.probe_kinds import build, parse
from pgwatch_wed.serve.probes.probe_runner import Probe, Runner
from pgwatch_wed.serve.state import Board, Health, ProbeResult, Reason
from tests.serve import parts
from tests.serve.parts import answering, silence
from tests.tls import Certificates


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RIGHT", "secret"), ("WRONG", "hunter2"), ("KEY", "key")):
        monkeypatch.setenv(name, value)


def probe(**table: Any) -> Probe:
    (found,) = parse({"peer": table}, "test.toml")
    return build(found, time.time)


def ask(made: Probe) -> Observation:
    return made.ask(Limit(time.monotonic() + made.settings.deadline_s))


def refusal(made: Probe) -> tuple[Reason, str]:
    with pytest.raises(ProbeFailure) as failure:
        ask(made)
    assert "127.0.0.1" not in failure.value.detail
    assert "hunter2" not in failure.value.detail
    return failure.value.reason, failure.value.detail


def result(made: Probe) -> ProbeResult:
    board = Board()
    Runner(board, [made], now=time.time).run_once()
    return board.state.probes["peer"]


def quickly(made: Probe) -> ProbeResult:
    """Ask with the runner; it must end at the deadline."""
    begun = time.monotonic()
    found = result(made)
    assert time.monotonic() - begun < made.settings.deadline_s + 0.5
    return found


# A directory


def test_a_directory_is_written_read_and_left_as_it_was(tmp_path: Path) -> None:
    seen = ask(probe(kind="storage", path=str(tmp_path), free_ratio=0))
    assert seen.status is Health.PASS
    assert 0 < seen.readings["storage_free_bytes"] <= seen.readings["storage_size_bytes"]
    assert list(tmp_path.iterdir()) == []
    full = ask(probe(kind="storage", path=str(tmp_path), free_ratio="100%"))
    assert (full.status, full.reason) == (Health.WARN, Reason.CONDITION)


def test_what_a_killed_probe_left_is_no_obstacle_and_links_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    inside = tmp_path / "inside"
    inside.mkdir()
    left = inside / f".pgwatch_wed_probe-peer-{socket.gethostname()}"
    left.symlink_to(victim)
    assert ask(probe(kind="storage", path=str(inside), free_ratio=0)).status is Health.PASS
    assert victim.read_text() == "precious"
    assert list(inside.iterdir()) == []


def test_a_directory_that_is_missing_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, detail in (
        ("no", "the directory does not exist"),
        ("file", "the path is no directory"),
    ):
        assert refusal(probe(kind="storage", path=str(tmp_path / name))) == (
            Reason.CONDITION,
            detail,
        )


def test_a_full_file_system(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        made = probe(kind="storage", path=str(tmp_path), free_ratio=0)
        assert ask(made).status is Health.PASS
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "fill").write_bytes(b"x" * 100_000)
        assert refusal(made) == (Reason.CONDITION, "no space is left")
        assert [f.name for f in tmp_path.iterdir()] == ["fill"]
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        assert refusal(made) == (Reason.CONDITION, "the file system is read-only")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_limit_for_files(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        reason, detail = refusal(probe(kind="storage", path=str(tmp_path)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (reason, detail) == (Reason.CONDITION, "no space is left")
    assert list(tmp_path.iterdir()) == []


# A bucket


def bucket(url: str, name: str = "files/deep", **more: Any) -> Probe:
    keys = {"access_key_env": "KEY", "secret_key_env": "RIGHT", **more}
    return probe(kind="storage", url=f"s3://{name}", endpoint=url, **keys)


def test_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    with parts.s3(tmp_path) as url:
        assert ask(bucket(url)).status is Health.PASS
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
        assert refusal(bucket(url, secret_key_env="WRONG"))[0] is Reason.AUTH
        assert refusal(bucket(url, access_key_env="WRONG"))[0] is Reason.AUTH
        assert refusal(bucket(url, "missing")) == (Reason.CONDITION, "the bucket does not exist")
    assert refusal(bucket(url))[0] is Reason.REFUSED


def test_a_bucket_that_does_not_answer_or_does_not_exist() -> None:
    with silence() as port:
        found = quickly(bucket(f"http://127.0.0.1:{port}", deadline="1 s", tries=1))
        assert found.reason is Reason.TIMEOUT
    assert refusal(bucket("http://nowhere.invalid"))[0] is Reason.DNS
    with answering(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n") as port:
        assert refusal(bucket(f"http://127.0.0.1:{port}"))[0] is Reason.PROTOCOL


# A cache


def cache(port: int, **more: Any) -> Probe:
    return probe(kind="redis", url=f"redis://127.0.0.1:{port}", **more)


def value(seen: Observation, name: str, **labels: str) -> float:
    return sum(
        s.value
        for f in seen.families
        if f.name == f"pgwatch_wed_{name}"
        for s in f.samples
        if labels.items() <= dict(s.labels).items()
    )


def test_a_cache_and_its_hits() -> None:
    with parts.valkey() as port, redis.Redis(port=port) as client:
        made = cache(port, lookups=50)
        client.set("here", "x")
        for _ in range(500):
            client.get("gone")  # long ago, which the window must not see
        first = ask(made)
        assert (first.status, "cache_hit_ratio" in first.readings) == (Health.PASS, False)
        assert value(first, "cache_lookups_total", result="miss") == 500
        for _ in range(95):
            client.get("here")
        for _ in range(5):
            client.get("gone")
        good = ask(made)
        assert (good.status, good.readings["cache_hit_ratio"]) == (Health.PASS, 0.95)
        for _ in range(100):
            client.get("gone")
        bad = ask(made)
        assert (bad.status, bad.reason) == (Health.WARN, Reason.CONDITION)
        assert bad.detail.startswith("48% of 200 lookups within")
        client.config_resetstat()
        reset = ask(made)
        assert (reset.status, "cache_hit_ratio" in reset.readings) == (Health.PASS, False)
        assert value(reset, "cache_memory_bytes") > 100_000


def fill(client: redis.Redis) -> None:
    for number in range(1000):
        client.set(str(number), "x" * 10_000)


def test_a_full_cache_is_a_fault_only_where_nothing_is_evicted() -> None:
    with parts.valkey("--maxmemory", "3mb") as port, redis.Redis(port=port) as client:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            fill(client)
        full = ask(cache(port))
        assert (full.status, "nothing is evicted" in full.detail) == (Health.WARN, True)
        client.config_set("maxmemory-policy", "allkeys-lru")
        fill(client)
        seen = ask(cache(port))
        assert seen.status is Health.PASS
        assert value(seen, "cache_evictions_total") > 0


def test_a_cache_that_refuses() -> None:
    with parts.valkey("--requirepass", "secret") as port:
        made = cache(port, password_env="RIGHT")
        assert ask(made).status is Health.PASS
        assert refusal(cache(port, password_env="WRONG"))[0] is Reason.AUTH
        found = result(cache(port))
        assert (found.status, found.reason) == (Health.WARN, Reason.AUTH)
        with redis.Redis(port=port, password="secret") as other:
            other.config_set("maxclients", 1)
            found = result(made)
            assert (found.status, found.reason) == (Health.WARN, Reason.LIMIT)


def test_a_cache_that_is_stopped_hangs_drips_or_is_another() -> None:
    with parts.valkey() as port:
        made = cache(port, deadline="0.5 s", tries=1)
        assert result(made).status is Health.PASS
        pid = int(redis.Redis(port=port).info()["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            assert quickly(made).reason is Reason.TIMEOUT
        finally:
            os.kill(pid, signal.SIGCONT)
        assert result(made).status is Health.PASS
    assert refusal(cache(free_port()))[0] is Reason.REFUSED
    assert refusal(probe(kind="redis", url="redis://nowhere.invalid"))[0] is Reason.DNS
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert refusal(cache(port))[0] is Reason.PROTOCOL
    with silence() as port:
        assert quickly(cache(port, deadline="0.5 s", tries=1)).reason is Reason.TIMEOUT


# Names


HANGING = """
import socket, sys, time
from pgwatch_wed.serve.probes.probe_kinds import build, parse
from pgwatch_wed.serve.probes.probe_runner import Runner
from pgwatch_wed.serve.state import Board

resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.bind(("127.0.0.77", 53))  # listens, and never answers
tables = {"web": {"kind": "http", "url": "http://name.example.org/"}, "mail": {"kind": "smtp", "url": "smtp://name.example.org"},
    "cache": {"kind": "redis", "url": "redis://name.example.org"}, "base": {"kind": "postgres", "url": "host=name.example.org user=x"}}
tables = {name: {**table, "deadline": 0.5, "interval": 60, "tries": 1} for name, table in tables.items()}
board = Board()
begun = time.monotonic()
Runner(board, [build(s, time.time) for s in parse(tables, "x")], now=time.time).run_once()
took = time.monotonic() - begun
print(sorted({str(r.reason) for r in board.state.probes.values()}), took < 1.5, len(board.state.probes))
"""


def test_a_name_service_that_does_not_answer_costs_the_deadline(tmp_path: Path) -> None:
    """No library has a timeout for it; all four probes hang there at once, each within its deadline."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.77\noptions timeout:5 attempts:2\n")
    mount = (
        f"mount --bind {resolv} /etc/resolv.conf && exec {sys.executable} -c {shlex.quote(HANGING)}"
    )
    isolated = ["unshare", "--mount", "sh", "-c", "true"]
    if os.geteuid() or subprocess.run(isolated, check=False, capture_output=True).returncode:
        pytest.skip("no other resolver can be set here")
    done = subprocess.run(
        [*isolated[:-1], mount], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "['timeout'] True 4\n", done.stderr


# Mail


def tls_of(own: Certificates, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.pem(name), own.key(name))
    return context


def test_mail_with_starttls_and_login(tmp_path: Path) -> None:
    own = Certificates(tmp_path)
    given = {"kind": "smtp", "authority": str(own.pem("authority")), "certificate": "1 day"}
    with parts.smtp(tls=tls_of(own), login=("us", "secret")) as port:
        url = f"smtp://localhost:{port}"
        seen = ask(probe(url=url, user="us", password_env="RIGHT", **given))
        assert seen.status is Health.PASS
        assert seen.readings["probe_certificate_expiry_timestamp_seconds"] > time.time()
        assert ask(probe(url=url, **given)).status is Health.PASS
        wrong = probe(url=url, user="us", password_env="WRONG", **given)
        found = result(wrong)
        assert (found.status, found.reason) == (Health.FAIL, Reason.AUTH)
        assert refusal(probe(url=url, **{**given, "authority": str(own.pem("stranger"))})) == (
            Reason.TLS,
            "the certificate's authority is not trusted",
        )
    with parts.smtp(tls=tls_of(own, "stranger")) as port:
        reason, detail = refusal(probe(url=f"smtp://localhost:{port}", **given))
        assert (reason, detail) == (Reason.TLS, "the certificate is self-signed")


def test_mail_with_a_wrong_password(tmp_path: Path) -> None:
    with parts.smtp(login=("us", "secret")) as port:
        given = {"kind": "smtp", "url": f"smtp://localhost:{port}", "user": "us"}
        made = probe(**given, starttls="never", password_env="WRONG")
        assert refusal(made)[0] is Reason.AUTH
        assert ask(probe(**given, starttls="never", password_env="RIGHT")).status is Health.PASS
        assert refusal(probe(**given, password_env="RIGHT")) == (
            Reason.TLS,
            "STARTTLS is not offered",
        )
        assert refusal(probe(**given, starttls="offered", password_env="RIGHT")) == (
            Reason.TLS,
            "no login without encryption",
        )


def test_mail_that_hangs_drips_refuses_or_is_another() -> None:
    def mail(port: int, **more: Any) -> Probe:
        return probe(kind="smtp", url=f"smtp://127.0.0.1:{port}", **more)

    with silence() as port:
        assert quickly(mail(port, deadline="0.5 s", tries=1)).reason is Reason.TIMEOUT
        # without the runner, it is the library that gives up
        assert refusal(mail(port, deadline="0.2 s"))[0] is Reason.TIMEOUT
    assert refusal(mail(free_port()))[0] is Reason.REFUSED
    assert refusal(probe(kind="smtp", url="smtp://nowhere.invalid"))[0] is Reason.DNS


def test_mail_whose_greeting_is_a_refusal() -> None:
    for greeting, wanted in (
        (b"421 4.7.0 too many connections\r\n", Reason.LIMIT),
        (b"554 no\r\n", Reason.PROTOCOL),
        (b"SSH-2.0-x\r\n", Reason.PROTOCOL),
    ):
        with greeting_only(greeting) as port:
            assert refusal(probe(kind="smtp", url=f"smtp://127.0.0.1:{port}"))[0] is wanted


def greeting_only(greeting: bytes) -> Any:
    return answering(greeting, is_first=True)


# The host


def test_the_host_is_read() -> None:
    made = probe(kind="host")
    ask(made)
    time.sleep(0.05)
    seen = ask(made)
    assert value(seen, "host_memory_bytes") >= value(seen, "host_memory_available_bytes") > 0
    assert value(seen, "filesystem_size_bytes", mount="/") > 0
    assert value(seen, "host_cpu_seconds_total") == pytest.approx(0.05, abs=0.2)


def group(root: Path, cgroup: str, files: dict[str, str]) -> host.ControlGroup:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return host.ControlGroup.of_this_process(root)


def test_a_control_group_of_version_2(tmp_path: Path) -> None:
    found = group(
        tmp_path,
        "0::/pod/box\n",
        {
            "sys/fs/cgroup/pod/box/memory.max": "max\n",
            "sys/fs/cgroup/pod/memory.max": "1073741824\n",
            "sys/fs/cgroup/pod/memory.current": "900000000\n",
            "sys/fs/cgroup/pod/memory.stat": "anon 1\ninactive_file 400000000\n",
            "sys/fs/cgroup/pod/box/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/box/cpu.stat": "usage_usec 2000000\nuser_usec 1\n",
            "sys/fs/cgroup/pod/cpu.max": "max 100000\n",
        },
    )
    assert found.memory() == (1 << 30, 500_000_000)
    assert found.processor() == (1.5, 2.0)


def test_a_control_group_of_version_1_and_none(tmp_path: Path) -> None:
    found = group(
        tmp_path,
        "5:memory:/box\n4:cpu,cpuacct:/box\n",
        {
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "536870912\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "200\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpuacct/box/cpuacct.usage": "3000000000\n",
        },
    )
    assert found.memory() == (1 << 29, 200)
    assert found.processor() == (0.5, 3.0)
    nothing = host.ControlGroup.of_this_process(tmp_path / "none")
    assert (nothing.memory(), nothing.processor()) == ((None, None), (None, None))


def test_bytes_of_the_network_never_fall_when_an_interface_goes() -> None:
    def facts(at: float, received: int) -> host.HostFacts:
        return host.HostFacts(at, 100, 50, 1.0, at, received_bytes=received)

    moments = [facts(0, 1000), facts(1, 1500), facts(2, 200), facts(3, 300)]
    coming = iter(moments)
    meter = host.HostMeter(lambda: next(coming))
    seen = []
    for each in moments:
        meter.read()
        [family] = [f for f in meter.families(each, "host") if "network" in f.name]
        seen.append(family.samples[0].value)
    assert seen == [0, 500, 500, 600]


def test_busy_and_idle_add_up_to_the_clock_whatever_may_be_used() -> None:
    def facts(at: float, busy_s: float) -> host.HostFacts:
        return host.HostFacts(at, 100, 50, 0.5, busy_s)

    moments = iter([facts(0, 10), facts(10, 14), facts(20, 2), facts(30, 7)])
    meter = host.HostMeter(lambda: next(moments))
    assert [meter.read()[1] for _ in range(4)] == [None, 0.8, None, 1.0]
    found = meter.families(facts(30, 7), "host")[0]
    assert {dict(s.labels)["mode"]: s.value for s in found.samples} == pytest.approx(
        {"busy": 18.0, "idle": 2.0}
    )

"""The probe of APIs over HTTP, and of Stripe's."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure
from pgwatch_wed.serve.probes.probe_kinds import build, parse
from pgwatch_wed.serve.probes.probe_runner import Runner
from pgwatch_wed.serve.state import Board, Health, ProbeResult, Reason
from tests.serve import parts
from tests.serve.parts import answering, silence
from tests.tls import Certificates

FINE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


def chosen(url: str, **table: Any) -> Any:
    (found,) = parse({"api": {"kind": "http", "url": url, **table}}, "test.toml")
    return build(found, time.time)


def ask(url: str, **table: Any) -> Observation:
    probe = chosen(url, **table)
    return probe.ask(Limit(time.monotonic() + probe.settings.deadline_s))  # type: ignore[no-any-return]


def refusal(url: str, **table: Any) -> tuple[Reason, str]:
    with pytest.raises(ProbeFailure) as failure:
        ask(url, **table)
    assert "127.0.0.1" not in failure.value.detail
    return failure.value.reason, failure.value.detail


def result(url: str, **table: Any) -> ProbeResult:
    board = Board()
    Runner(board, [chosen(url, **table)], now=time.time).run_once()
    return board.state.probes["api"]


def local(port: int, path: str = "/") -> str:
    return f"http://127.0.0.1:{port}{path}"


def status(number: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {number} X", "Content-Length: 0", *headers, "", ""]).encode()


def test_status_and_json_decide() -> None:
    with answering(FINE) as port:
        assert ask(local(port), json='status == "ok"').status is Health.PASS
        seen = ask(local(port), json=['status == "ok"', "queue < 5"])
        assert (seen.status, seen.detail) == (
            Health.FAIL,
            "a condition on the answer is not met: queue",
        )
        assert refusal(local(port), status="204") == (Reason.CONDITION, "status 200")
    with answering(status(503)) as port:
        assert refusal(local(port)) == (Reason.CONDITION, "status 503")
        assert ask(local(port), status=[503]).status is Health.PASS
    with answering(status(302, "Location: http://10.0.0.1/")) as port:
        assert refusal(local(port)) == (Reason.CONDITION, "status 302")  # nobody is sent elsewhere
    with answering(status(200)) as port:
        assert refusal(local(port), json="a == 1") == (Reason.PROTOCOL, "the answer is not JSON")


def test_a_service_that_knows_us_not_or_has_enough_of_us() -> None:
    for number in (401, 403):
        with answering(status(number)) as port:
            assert result(local(port)).status is Health.FAIL
            assert result(local(port), auth="warn").status is Health.WARN
            assert refusal(local(port))[0] is Reason.AUTH
    with answering(status(429)) as port:
        found = result(local(port))
        assert (found.status, found.reason) == (Health.WARN, Reason.LIMIT)


def test_what_is_no_http_or_never_ends() -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert refusal(local(port))[0] is Reason.PROTOCOL
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000) as port:
        assert refusal(local(port)) == (Reason.PROTOCOL, "the answer is larger than 1 MB")
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{") as port:
        assert refusal(local(port))[0] is Reason.PROTOCOL


def test_nobody_there() -> None:
    assert refusal(local(free_port()))[0] is Reason.REFUSED
    assert refusal("http://nowhere.invalid/")[0] is Reason.DNS
    with silence() as port:
        begun = time.monotonic()
        found = result(local(port), deadline="0.5 s", tries=1)
        assert (found.reason, time.monotonic() - begun < 1) == (Reason.TIMEOUT, True)


def test_an_answer_in_drops_does_not_outlive_the_deadline() -> None:
    """A library's timeout counts from the last byte: each drop would renew it."""
    with dripping() as port:
        begun = time.monotonic()
        found = result(local(port), deadline="0.5 s", tries=1)
        assert (found.reason, time.monotonic() - begun < 1) == (Reason.TIMEOUT, True)


@contextmanager
def dripping() -> Iterator[int]:
    class Drops(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(50):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return
                time.sleep(0.1)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Drops) as port:
        yield port


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Plain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_certificates(tmp_path: Path) -> None:
    own = Certificates(tmp_path)
    expired(tmp_path)
    trusted = str(own.pem("authority"))
    for name, authority, wanted in (
        ("server", trusted, None),
        ("server", "", "the certificate's authority is not trusted"),
        ("stranger", trusted, "the certificate is self-signed"),
        ("expired", trusted, "the certificate has expired"),
        ("client", trusted, "the certificate is not valid"),  # for clients only
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.pem(name), own.key(name))
        with serving(Plain, context) as port:
            url = f"https://localhost:{port}/"
            if wanted is None:
                seen = ask(url, authority=authority, certificate="1 day")
                assert seen.status is Health.PASS
                until = seen.readings["probe_certificate_expiry_timestamp_seconds"]
                assert 1.9 < (until - time.time()) / 86400 < 2.1
                assert ask(url, authority=authority).detail == "the certificate expires in 1 day"
            else:
                assert refusal(url, authority=authority) == (Reason.TLS, wanted)
    with serving(Plain) as port:
        assert refusal(f"https://localhost:{port}/")[0] is Reason.TLS  # no TLS there at all


def expired(folder: Path) -> None:
    """Sign a certificate that was valid yesterday."""
    own = Certificates.__new__(Certificates)
    object.__setattr__(own, "folder", folder)
    day = 86400
    dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * day)) for d in (-2, -1)]
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=any\nemail_in_dn=no\n[any]\ncommonName=supplied\n"
    )
    (folder / "index.txt").touch()
    (folder / "serial").write_text("77")
    new = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    request, names = folder / "expired.csr", folder / "expired.ext"
    names.write_text("subjectAltName=DNS:localhost")
    own._openssl(*new, "-subj", "/CN=localhost", "-keyout", own.key("expired"), "-out", request)
    import subprocess

    subprocess.run(
        [
            *("openssl", "ca", "-batch", "-config", "ca.cnf", "-cert", "authority.pem", "-notext"),
            *("-keyfile", "authority.key", "-startdate", dates[0], "-enddate", dates[1]),
            *("-in", "expired.csr", "-extfile", "expired.ext", "-out", "expired.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )


def test_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    with parts.stripe() as url:
        for key, wanted in (("sk_test_12345", None), ("pk_nonsense", Reason.AUTH)):
            monkeypatch.setenv("STRIPE_SECRET_KEY", key)
            # the imitation leaves "object" out
            table = {"stripe": {"url": f"{url}/v1/balance", "json": "livemode == false"}}
            (found,) = parse(table, "test.toml")
            board = Board()
            Runner(board, [build(found, time.time)], now=time.time).run_once()
            seen = board.state.probes["stripe"]
            assert (seen.reason, seen.status is Health.PASS) == (wanted, wanted is None), seen

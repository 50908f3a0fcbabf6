"""Why a server let nobody in: by the server's own SQLSTATE, in whatever language it speaks.

libpq keeps only the text of an error during the connection, and that is translated. Here the connection is tried
once more with libpq's trace of the protocol, in which the code stands. Nothing is kept of the trace.
"""

import os
import re
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn

_CODE = re.compile(rb'\tErrorResponse\t.*? C "([0-9A-Z]{5})"')
_TLS = re.compile(rb"\tSSLResponse\t")
_ANSWER = re.compile(rb"\tB\t")
_SENT = re.compile(rb"\tF\t")
_MOST = 1 << 20


class Stage(StrEnum):
    """How far a connection came."""

    NAME = "name"  # the host's name was not resolved
    SILENT = "silent"  # nobody answered in time
    CLOSED = "closed"  # nobody listens
    TLS = "tls"
    TALKED = "talked"  # the server spoke, and its code tells more
    IN = "in"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How far the connection came, and the code of the server's error."""

    stage: Stage
    sqlstate: str = ""


def why_refused(conninfo: str, seconds: float) -> Refusal:
    """Try to connect for at most so many seconds, and tell how far it came."""
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        if connection.status == pq.ConnStatus.BAD:
            return Refusal(_before_the_first_byte(connection))
        return _traced(connection, conninfo, time.monotonic() + seconds)
    finally:
        connection.finish()


def _before_the_first_byte(connection: PGconn) -> Stage:
    host = connection.host.decode(errors="replace")
    if host and not host.startswith(("/", "@")):
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return Stage.NAME
    return Stage.CLOSED


def _traced(connection: PGconn, conninfo: str, deadline: float) -> Refusal:
    with suppress(AttributeError, psycopg.NotSupportedError):  # where there is no trace
        trace = os.memfd_create("trace")
        try:
            connection.trace(trace)
            outcome = _polled(connection, deadline)
            connection.untrace()
            read = os.pread(trace, _MOST, 0)
        finally:
            os.close(trace)
        if _SENT.search(read) or outcome is not pq.PollingStatus.FAILED:
            return _told(outcome, read)
        # an older libpq writes nothing down before the session exists
        return _pinged(conninfo)
    return _pinged(conninfo)


def _polled(connection: PGconn, deadline: float) -> pq.PollingStatus:
    """Return how it ended: OK, FAILED, or what it still waits for."""
    while True:
        status = pq.PollingStatus(connection.connect_poll())
        if status in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
            return status
        waiting = select.poll()  # unlike select, it takes any descriptor
        waiting.register(
            connection.socket,
            select.POLLIN if status is pq.PollingStatus.READING else select.POLLOUT,
        )
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return status


def _told(outcome: pq.PollingStatus, trace: bytes) -> Refusal:
    if outcome is pq.PollingStatus.OK:
        return Refusal(Stage.IN)
    if outcome is not pq.PollingStatus.FAILED:
        return Refusal(Stage.SILENT)
    if codes := _CODE.findall(trace):
        return Refusal(Stage.TALKED, codes[-1].decode())
    answers = [line for line in trace.splitlines() if _ANSWER.search(line)]
    is_tls = bool(answers) and _TLS.search(answers[-1]) is not None
    return Refusal(Stage.TLS if is_tls else Stage.TALKED)


def _pinged(conninfo: str) -> Refusal:
    match pq.Ping(pq.PGconn.ping(conninfo.encode())):
        case pq.Ping.OK:  # it takes connections, so it is ours that it does not take
            return Refusal(Stage.TALKED, "28000")
        case pq.Ping.REJECT:
            return Refusal(Stage.TALKED, "57P03")
    return Refusal(Stage.CLOSED)

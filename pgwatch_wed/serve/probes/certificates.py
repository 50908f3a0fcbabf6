"""Until when a certificate is valid, read from its bytes: the library tells it only of one that it trusts."""

import calendar
import socket
import ssl
import struct
import time

_SEQUENCE, _UTC, _LONG, _VERSION = 0x30, 0x17, 0x18, 0xA0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def expires_at(der: bytes) -> float | None:
    """Return when a certificate expires, in Unix seconds; None if the bytes are no certificate."""
    try:
        return _expiry(der)
    except (IndexError, ValueError):
        return None


def _expiry(der: bytes) -> float:
    body, _ = _inside(der, _SEQUENCE)
    body, _ = _inside(body, _SEQUENCE)
    if body[0] == _VERSION:
        body = _after(body)
    for _ in ("serial number", "algorithm", "issuer"):
        body = _after(body)
    validity, _ = _inside(body, _SEQUENCE)
    until = _after(validity)
    text, kind = _inside(until)
    return _moment(text.decode("ascii"), kind)


def _moment(text: str, kind: int) -> float:
    if kind == _UTC:
        # two digits: RFC 5280 puts 50 and later into the last century
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif kind != _LONG:
        raise ValueError("not a time")
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _inside(data: bytes, expected: int | None = None) -> tuple[bytes, int]:
    start, length = _header(data)
    if expected is not None and data[0] != expected:
        raise ValueError("not a certificate")
    return data[start : start + length], data[0]


def _after(data: bytes) -> bytes:
    start, length = _header(data)
    return data[start + length :]


def _header(data: bytes) -> tuple[int, int]:
    length = data[1]
    if length < 0x80:
        return 2, length
    size = length & 0x7F
    return 2 + size, int.from_bytes(data[2 : 2 + size], "big")


def of_server(host: str, port: int, timeout: float) -> float | None:
    """Return when the certificate of a PostgreSQL server expires; None if it offers no encryption."""
    with socket.create_connection((host, port), timeout) as plain:
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            return None
        # Who it is was checked by libpq, as the target wants it; here only a date is read.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain, server_hostname=host) as tls:
            return expires_at(tls.getpeercert(binary_form=True) or b"")

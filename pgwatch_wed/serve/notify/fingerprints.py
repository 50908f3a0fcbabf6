"""An alert's identity: its labels, and the number that Alertmanager gives them."""

from functools import lru_cache

from pgwatch_wed.serve.state import Alert, Labels

_START, _PRIME, _BITS = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def all_labels(alert: Alert) -> dict[str, str]:
    """Return the labels with the alert's name, as Prometheus sends them."""
    return {"alertname": alert.name, **dict(alert.labels)}


def fingerprint_of(labels: dict[str, str] | Labels) -> str:
    """Return the fingerprint that Alertmanager shows for these labels."""
    number = _START
    for name, value in sorted(dict(labels).items()):
        for part in (name, value):
            for byte in (*part.encode("utf-8", "surrogatepass"), 0xFF):
                number = (number ^ byte) * _PRIME & _BITS
    return f"{number:016x}"


def identity(alert: Alert) -> str:
    """Return an alert's fingerprint."""
    return _remembered(alert.name, alert.labels)


@lru_cache(maxsize=8192)  # asked for every second, byte by byte
def _remembered(name: str, labels: Labels) -> str:
    return fingerprint_of({"alertname": name, **dict(labels)})

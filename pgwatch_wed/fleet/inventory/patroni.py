"""Patroni's REST API: ``/cluster`` of any member names them all; roles move, so each run asks again."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed.errors import redact, said
from pgwatch_wed.fleet.inventory.addresses import address
from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument, entries, mapping_of, text_of
from pgwatch_wed.fleet.inventory.listing import Listing, Located, SourceFailureError
from pgwatch_wed.fleet.inventory.member_table import WrongEntryError, checked_name
from pgwatch_wed.fleet.inventory.source_kinds import without_query
from pgwatch_wed.fleet.members import LeftOut, Member

_MOST_BYTES = 4 * 1024**2
_LIVES = ("running", "streaming", "in archive recovery", "restarting", "stopping")
_LEADERS = ("leader", "master", "primary", "standby_leader", "promoted")


def ask_patroni(urls: str, timeout_s: float) -> str:
    """Return what the first of several members that answers says, as JSON with the cluster's name."""
    deadline = time.monotonic() + timeout_s
    failures = []
    addresses = [url.strip() for url in urls.split(",") if url.strip()]
    for number, url in enumerate(addresses):
        left = (deadline - time.monotonic()) / (len(addresses) - number)
        try:
            cluster = _get(url, "/cluster", left)
            if not text_of(cluster.get("scope")):  # before Patroni 3.1
                status = _get(url, "/patroni", left)
                cluster["scope"] = mapping_of(status.get("patroni")).get("scope")
        except (SourceFailureError, TimeoutError) as error:
            late = f"no answer within {timeout_s / len(addresses):.3g} s"
            failure = late if isinstance(error, TimeoutError) else error
            failures.append(str(failure) if len(addresses) == 1 else f"{_shown(url)}: {failure}")
        else:
            return json.dumps(cluster)
    raise SourceFailureError("; ".join(failures) or "nothing follows patroni:")


def _shown(url: str) -> str:
    return redact(without_query(url))


def _get(url: str, path: str, timeout_s: float) -> dict[str, Any]:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise SourceFailureError("it is no URL such as http://db1:8008")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        trust = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=trust)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        status, body = answer.status, _body(answer, time.monotonic() + timeout_s)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or said(error) or type(error).__name__
        raise SourceFailureError(why) from None
    finally:
        connection.close()
    # /patroni of a member that does not run answers 503, with a body
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or (status != 200 and path == "/cluster"):
        raise SourceFailureError(f"{path} answers with status {status} and no cluster")
    return found


def _body(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    while part := answer.read1(65_536):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
        if sum(map(len, parts)) > _MOST_BYTES:
            raise SourceFailureError("its answer is too long for a cluster's")
    return b"".join(parts)


def patroni_members(documents: list[SourceDocument], located: Located) -> Listing:
    """Return one member for each cluster, with a target for each server that runs."""
    found: list[Member] = []
    left_out: list[LeftOut] = []
    for entry in _clusters(documents, located.label):
        try:
            found.append(_cluster(entry, left_out))
        except WrongEntryError as error:
            left_out.append(entry.left_out("", str(error), is_wrong=True))
    return Listing(tuple(found), tuple(left_out))


def _clusters(documents: list[SourceDocument], label: str) -> Iterator[Entry]:
    for document in documents:
        if isinstance(document, dict):
            yield Entry(document, label)
        else:
            yield from document


def _cluster(entry: Entry, left_out: list[LeftOut]) -> Member:
    value = mapping_of(entry.value)
    servers: list[tuple[bool, str]] = []
    for server in entries(value.get("members"), entry.place):
        told = mapping_of(server.value)
        name, state = text_of(told.get("name")), text_of(told.get("state"))
        host = text_of(told.get("host"))
        if state and state not in _LIVES:
            left_out.append(
                server.left_out(name, f"Patroni says that it is in the state {state!r}")
            )
        elif not host:
            left_out.append(server.left_out(name, "Patroni does not know its address"))
        else:
            role = text_of(told.get("role")).replace(" ", "_").lower()
            servers.append((role not in _LEADERS, address(host, told.get("port"))))
    if not servers:
        raise WrongEntryError("no member of the cluster runs and has an address")
    targets = tuple(target for _, target in sorted(servers, key=lambda each: each[0]))
    scope = text_of(value.get("scope"))
    if not scope:
        raise WrongEntryError("the cluster has no name (scope)")
    return Member(checked_name(scope), targets, place=entry.place)

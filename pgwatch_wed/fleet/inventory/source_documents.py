"""The text of a source → its listing: by its kind, or by what is in it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgwatch_wed.fleet.inventory.cloudnative import cloudnative_members
from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument, entries
from pgwatch_wed.fleet.inventory.file_sd import file_sd_members
from pgwatch_wed.fleet.inventory.json_documents import json_documents
from pgwatch_wed.fleet.inventory.listing import Listing, Located, SourceFailureError
from pgwatch_wed.fleet.inventory.member_table import KEYS, WrongEntryError, with_common
from pgwatch_wed.fleet.inventory.own_form import TOP_KEYS, OwnForm
from pgwatch_wed.fleet.inventory.patroni import patroni_members
from pgwatch_wed.fleet.inventory.pgwatch_sources import pgwatch_members
from pgwatch_wed.fleet.inventory.rds import rds_members
from pgwatch_wed.fleet.inventory.service_file import service_members
from pgwatch_wed.fleet.inventory.source_kinds import ANY, KINDS, STANDARD_INPUT
from pgwatch_wed.fleet.inventory.toml_file import toml_members
from pgwatch_wed.fleet.inventory.yaml_nodes import yaml_documents
from pgwatch_wed.fleet.members import LeftOut

_FOREIGN: Mapping[str, Callable[[list[SourceDocument], Located], Listing]] = {
    "patroni": patroni_members,
    "pgwatch": pgwatch_members,
    "rds": rds_members,
    "cnpg": cloudnative_members,
    "file_sd": file_sd_members,
}
_OF_RDS = {"DBInstances", "DBClusters", "DBInstanceIdentifier", "DBClusterIdentifier"}
_SECTION = re.compile(r"\[[^\[\]{}\",]+\]\s*\Z")
_OWN_TOML = re.compile(r"\[\[?\s*(clusters|defaults)\b|(include|defaults)\b[^:]*=")
_YAML = (".yaml", ".yml")


def listing_of(text: str, located: Located, common: Mapping[str, Any]) -> Listing:
    """Return the members of a source; ``common`` is what is said about all of them."""
    kind = _kind_of_text(text, located) if located.kind == ANY else located.kind
    if kind == "toml":
        return toml_members(text, located, common)
    if kind == "service":
        return _with_common(service_members(text, located), common)
    found = _documents(text, located)
    if kind in (ANY, "exec"):
        kind = _kind_of_documents(found)
    if kind == "json":
        return _own(found, located, common)
    return _with_common(_FOREIGN[kind](found, located), common)


def _kind_of_text(text: str, located: Located) -> str:
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith(("#", ";"))), "")
    if text.startswith("#!") and located.value != STANDARD_INPUT:
        raise SourceFailureError("it looks like a program, but is not executable; chmod +x it")
    if _OWN_TOML.match(first):
        return "toml"
    return "service" if _SECTION.match(first) else ANY


def _documents(text: str, located: Located) -> list[SourceDocument]:
    suffix = Path(located.value).suffix
    may_be_yaml = located.kind != "exec" and located.kind != "json" and suffix != ".json"
    begins = text.lstrip()[:1]
    if may_be_yaml and (suffix in _YAML or begins not in ("{", "[", "")):
        if begins in ("{", "["):  # JSON is YAML, and read a hundred times as fast
            try:
                return json_documents(text, located.label)
            except SourceFailureError:
                pass
        return yaml_documents(text, located.label)
    return json_documents(text, located.label)


def _kind_of_documents(found: list[SourceDocument]) -> str:
    for document in found:
        values = [document] if isinstance(document, dict) else [e.value for e in document]
        for value in values:
            if isinstance(value, dict) and (kind := _kind_of(value, is_whole=value is document)):
                return kind
    if all(isinstance(document, list) and not document for document in found):
        return "json"  # empty, whatever it would be
    if all(isinstance(document, list) and all(e.problem for e in document) for document in found):
        return "json"  # each says what is wrong with it
    raise SourceFailureError(
        f"what it lists is not recognized; name its kind, one of {', '.join(KINDS)}, as in rds:FILE"
    )


def _kind_of(value: dict[str, Any], *, is_whole: bool) -> str:
    if "_meta" in value or isinstance(value.get("all"), dict):
        raise SourceFailureError(
            "it is an inventory of Ansible's, which names no databases; docs/fleet.md shows how jq makes clusters of it"
        )
    if value.keys() & _OF_RDS:
        return "rds"
    if "apiVersion" in value:
        return "cnpg"
    if isinstance(value.get("members"), list):
        return "patroni"
    if "targets" in value:
        return "file_sd"
    if "conn_str" in value or isinstance(value.get("sources"), list):
        return "pgwatch"
    known = {*TOP_KEYS, *KEYS} if is_whole else set(KEYS)
    return "json" if value.keys() & known else ""


def _own(found: list[SourceDocument], located: Located, common: Mapping[str, Any]) -> Listing:
    form = OwnForm(located.label, common)
    for document in found:
        if isinstance(document, dict) and not document.keys() & set(TOP_KEYS):
            document = [Entry(document, located.label)]  # one cluster by itself
        if isinstance(document, dict):
            if "include" in document:  # what was fetched must not name programs to run
                form.refuse("include is only for TOML")
            form.head({key: value for key, value in document.items() if key != "include"})
            if not isinstance(document.get("clusters", []), list):
                form.refuse("clusters must be a list")
        listed = (
            entries(document.get("clusters"), located.label)
            if isinstance(document, dict)
            else document
        )
        for entry in listed:
            if entry.problem:
                form.refuse(entry.problem, entry.place)
            else:
                form.cluster(entry.value, entry.place)
    return form.listing()


def _with_common(listing: Listing, common: Mapping[str, Any]) -> Listing:
    """Return a listing whose members have what is common to all, which is known only here."""
    variables = set(listing.variables)
    members, left_out = [], list(listing.left_out)
    for member in listing.members:
        try:
            members.append(with_common(member, common, variables))
        except WrongEntryError as error:
            left_out.append(LeftOut(member.name, member.place, str(error), is_wrong=True))
    return replace(
        listing,
        members=tuple(members),
        left_out=tuple(left_out),
        variables=frozenset(variables),
    )


def named(listing: Listing, name: str) -> Listing:
    """Return a listing whose only cluster has the name that an include gives it, if it gives one."""
    if not name or not listing.members:
        return listing
    if len(listing.members) > 1:
        count = len(listing.members)
        raise SourceFailureError(f"name = {name!r} is for one cluster, and it gives {count:,}")
    return replace(listing, members=(replace(listing.members[0], name=name),))

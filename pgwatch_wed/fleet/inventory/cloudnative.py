"""CloudNativePG's ``Cluster`` objects, as ``kubectl get clusters.postgresql.cnpg.io -A -o json`` prints them."""

from collections.abc import Iterator
from typing import Any

from pgwatch_wed.fleet.inventory.addresses import address
from pgwatch_wed.fleet.inventory.entries import (
    Entry,
    SourceDocument,
    entries,
    list_of,
    mapping_of,
    text_of,
)
from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.member_table import WrongEntryError, checked_name, tags
from pgwatch_wed.fleet.members import LeftOut, Member

_API = "postgresql.cnpg.io/"
_HIBERNATION = "cnpg.io/hibernation"
# Labels that tools write about themselves: they tell no clusters apart.
_NOISE = ("app.kubernetes.io/managed-by", "helm.sh/", "helm-", "kubectl.kubernetes.io/", "cnpg.io/")


def cloudnative_members(documents: list[SourceDocument], located: Located) -> Listing:
    """Return a member for each cluster that is awake."""
    members: list[Member] = []
    left_out: list[LeftOut] = []
    for entry in _objects(documents, located.label):
        value = mapping_of(entry.value)
        metadata = mapping_of(value.get("metadata"))
        name = "/".join(
            filter(None, map(text_of, (metadata.get("namespace"), metadata.get("name"))))
        )
        try:
            asleep = _why_not(value)
            if asleep:
                left_out.append(entry.left_out(name, asleep))
            else:
                members.append(_member(name, value, entry))
        except WrongEntryError as error:
            left_out.append(entry.left_out(name, str(error), is_wrong=True))
    return Listing(tuple(members), tuple(left_out))


def _objects(documents: list[SourceDocument], label: str) -> Iterator[Entry]:
    for document in documents:
        if not isinstance(document, dict):
            yield from document
        elif document.get("kind") == "Cluster":
            yield Entry(document, label)
        else:
            yield from entries(document.get("items"), label)


def _why_not(value: dict[str, Any]) -> str:
    """Return why a cluster is not visited; empty if it is."""
    if not text_of(value.get("apiVersion")).startswith(_API) or value.get("kind") != "Cluster":
        return "it is no cluster of CloudNativePG"
    annotations = mapping_of(mapping_of(value.get("metadata")).get("annotations"))
    if annotations.get(_HIBERNATION) == "on":
        return "it hibernates"
    if not text_of(mapping_of(value.get("status")).get("currentPrimary")):
        return "it has no primary yet"
    return ""


def _member(name: str, value: dict[str, Any], entry: Entry) -> Member:
    metadata, status = mapping_of(value.get("metadata")), mapping_of(value.get("status"))
    plain, namespace = text_of(metadata.get("name")), text_of(metadata.get("namespace"))
    if not plain:
        raise WrongEntryError("metadata.name is missing")
    spec = mapping_of(value.get("spec"))
    services = [text_of(status.get("writeService")) or f"{plain}-rw"]
    instances = spec.get("instances", 1)
    if isinstance(instances, int) and instances > 1 and "ro" not in _disabled(spec):
        services.append(f"{plain}-ro")  # readService is -r, which may be the primary
    suffix = f".{namespace}.svc" if namespace else ""
    labels = mapping_of(metadata.get("labels"))
    return Member(
        name=checked_name(name),
        targets=tuple(address(f"{service}{suffix}", None, _database(spec)) for service in services),
        tags=tags({key: text for key, text in labels.items() if not key.startswith(_NOISE)}),
        place=entry.place,
    )


def _disabled(spec: dict[str, Any]) -> list[Any]:
    """Return the services that a cluster does without, such as ``ro``."""
    services = mapping_of(mapping_of(spec.get("managed")).get("services"))
    return list_of(services.get("disabledDefaultServices"))


def _database(spec: dict[str, Any]) -> str:
    """Return the application's database: ``app``, unless the cluster was made otherwise."""
    bootstrap = mapping_of(spec.get("bootstrap"))
    for how in ("initdb", "recovery", "pg_basebackup"):
        if how in bootstrap:
            return text_of(mapping_of(bootstrap[how]).get("database")) or "app"
    return "app"

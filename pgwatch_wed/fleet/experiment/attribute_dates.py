"""Whether what slower clusters have in common was new when they became slower: what was there long before is hardly the reason."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from pgwatch_wed.fleet import traits
from pgwatch_wed.fleet.experiment import regression_words
from pgwatch_wed.fleet.experiment.attributes import (
    ClusterFeatures,
    features_of,
    with_indexes,
)
from pgwatch_wed.fleet.experiment.clues import SERVER, Clues, StatementClue
from pgwatch_wed.fleet.experiment.experiments import Association, SharedRegression, SlowerCluster
from pgwatch_wed.history.schema import fleet_visits, runs


def dated(connection: sa.Connection, found: SharedRegression) -> SharedRegression:
    """Return a regression with what its history tells of the attributes that go with it."""
    if not found.associations:
        return found
    before = [f for s in found.slower if (f := _before(connection, s)) is not None]
    associations = tuple(_dated(a, before) for a in found.associations)
    whole = replace(found, associations=associations)
    title, told = regression_words.words_of(whole)
    return replace(whole, title=title, told=told)


def _dated(found: Association, before: list[ClusterFeatures]) -> Association:
    known = [f for f in before if all(a.kind in f.known for a in found.attributes)]
    new_on = tuple(sum(not f.has(a) for f in known) for a in found.attributes)
    return replace(found, new_on=new_on, dated=len(known))


def _before(connection: sa.Connection, slower: SlowerCluster) -> ClusterFeatures | None:
    """Return what a cluster had in the last run before calls became slower."""
    if slower.since is None:
        return None
    clue = next(_clues_at(connection, slower), None)
    if clue is None or not clue.begins:
        return None
    query = (
        sa.select(fleet_visits.c.traits, fleet_visits.c.tags)
        .join(runs, runs.c.id == fleet_visits.c.run_id)
        .where(
            runs.c.cluster_id == slower.cluster_id,
            runs.c.taken_at < datetime.fromisoformat(clue.begins),
            fleet_visits.c.traits.is_not(None),
        )
        .order_by(runs.c.taken_at.desc())
    )
    row = connection.execute(query.limit(1)).first()
    then = None if row is None else traits.found(connection, row.traits)
    if row is None or then is None:
        return None
    bare = features_of(then, row.tags, slower.database)
    return with_indexes(bare, then, slower.database, clue.tables)


def _clues_at(connection: sa.Connection, slower: SlowerCluster) -> Iterator[StatementClue]:
    """Yield what was said when it was first seen to be slower."""
    query = (
        sa.select(fleet_visits.c.traits)
        .join(runs, runs.c.id == fleet_visits.c.run_id)
        .where(
            runs.c.cluster_id == slower.cluster_id,
            runs.c.taken_at == slower.since,
            fleet_visits.c.traits.is_not(None),
        )
    )
    address = connection.execute(query.limit(1)).scalar()
    then = None if address is None else traits.found(connection, address)
    if then is not None:
        for key, clue in Clues.of_json(then.clues).statements.items():
            is_it = key == SERVER if not slower.query_id else clue.query_id == slower.query_id
            if is_it:
                yield clue

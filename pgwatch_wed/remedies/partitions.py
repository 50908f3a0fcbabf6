"""The one script that builds an index on a table with partitions, and how to undo it.

PostgreSQL does not support CREATE INDEX CONCURRENTLY on partitioned tables. So the index is created on
the partitioned tables alone, built on each partition, and attached; it becomes valid with the last one.
A foreign table cannot have an index, so that such an index would never become valid; in that case, the
partitions' indexes are built first, and CREATE INDEX on the parent attaches them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.remedies.script import Script, Step
from pgwatch_wed.sqltext import definitions
from pgwatch_wed.sqltext.definitions import IndexText


@dataclass(frozen=True, slots=True)
class OwnedBy:
    """The constraint that an index belongs to: its kind (``UNIQUE``), and whether it is deferrable."""

    name: str
    kind: str
    deferral: str = ""


@dataclass(frozen=True, slots=True)
class OldIndex:
    """An existing index of a table. ``after`` are statements that complete its definition."""

    oid: int
    schema: str
    name: str
    definition: str = ""
    is_valid: bool = True
    parent_oid: int | None = None
    constraint: OwnedBy | None = None
    tablespace: str | None = None
    after: tuple[Step, ...] = ()

    @property
    def text(self) -> IndexText | None:
        """Its definition, read only now: a partitioned table has thousands of them."""
        return definitions.read(self.definition) if self.definition else None

    def might_be(self, text: IndexText) -> bool:
        """Tell whether all columns of an index occur in the definition."""
        return all(key.replace('"', '""') in self.definition for key in text.keys if key)


@dataclass(frozen=True, slots=True)
class IndexedTable:
    """A table with its partitions and its indexes; ``kind`` as in pg_class: r, p, m or f."""

    schema: str
    name: str
    kind: str
    parts: tuple["IndexedTable", ...] = ()
    indexes: tuple[OldIndex, ...] = ()

    @property
    def path(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name

    @property
    def foreign(self) -> tuple["IndexedTable", ...]:
        """The foreign tables among its partitions, at every level."""
        if self.kind == "f":
            return (self,)
        return tuple(each for part in self.parts for each in part.foreign)


@dataclass(frozen=True, slots=True)
class _Piece:
    """The index of one table: ``old`` is used if there is one, otherwise it is created."""

    table: IndexedTable
    name: str
    text: IndexText
    old: OldIndex | None = None
    parts: tuple["_Piece", ...] = ()
    constraint: OwnedBy | None = None
    tablespace: str | None = None

    @property
    def index(self) -> str:
        """The quoted name of the index, with its schema."""
        return ident(self.table.schema, self.name)

    @property
    def is_partitioned(self) -> bool:
        """Whether it has no storage; its partitions' indexes do."""
        return self.table.kind == "p"

    @property
    def is_new(self) -> bool:
        """Whether it does not exist yet."""
        return self.old is None

    @property
    def is_done(self) -> bool:
        """Whether it exists and is complete."""
        return self.old is not None and self.old.is_valid

    def hangs_on(self, parent: "_Piece") -> bool:
        """Tell whether it is already attached to the parent."""
        return (
            parent.old is not None
            and self.old is not None
            and self.old.parent_oid == parent.old.oid
        )


def build(
    table: IndexedTable, text: IndexText, name: str, names: FreeNames, words: Sequence[str]
) -> Script:
    """Return the script that builds an index on a table and all its partitions.

    ``words`` go into the names of the partitions' indexes. An equal existing index is used: it is
    attached if it is valid, and repaired first if it is not.
    """
    if table.foreign:
        planner = _Planner(text, names, words, is_left_to_postgres=True)
        piece = planner.piece(table, None, name)
        broken = _in_the_way(planner, table)
        return broken or Script(tuple(_gathered(piece)), _undone(names, piece), _notes(piece))
    planner = _Planner(text, names, words)
    unfinished = (i for i in planner.alike(table) if not i.is_valid and i.parent_oid is None)
    piece = planner.piece(table, next(unfinished, None), name)
    return Script(tuple(_raised(piece)), _undone(names, piece), _notes(piece))


def complete(
    table: IndexedTable, old: OldIndex, names: FreeNames, words: Sequence[str]
) -> Script | None:
    """Return the script that makes a partitioned index valid; None if its definition is unknown."""
    if old.text is None:
        return None
    if table.foreign:
        return _renewed(table, old, _Planner(old.text, names, words, is_left_to_postgres=True))
    piece = _Planner(old.text, names, words).piece(table, old, old.name)
    # there cannot be two primary keys, not even for a moment
    undo = () if old.constraint else _undone(names, piece)
    return Script(tuple(_raised(piece)), undo, _notes(piece), _NO_DETACH)


def restored(table: IndexedTable, old: OldIndex) -> tuple[Step, ...] | None:
    """Return the steps that re-create an index as it is now, with those of its partitions."""
    piece = _as_it_is(table, old)
    return None if piece is None else (*_made(piece, old), *_finished(table, old))


# What to do for each table


@dataclass(frozen=True, slots=True)
class _Planner:
    """Decides which existing indexes are used, and the names of the others."""

    text: IndexText
    names: FreeNames
    words: Sequence[str]
    # CREATE INDEX on a parent attaches the oldest equal one, and does not compare DESC and NULLS FIRST
    is_left_to_postgres: bool = False

    def alike(self, table: IndexedTable, constraint: OwnedBy | None = None) -> list[OldIndex]:
        """Return the indexes that could be used for the table. With a constraint's index, the parent could not be dropped."""
        wanted = constraint and (constraint.kind, constraint.deferral)
        return [
            i
            for i in table.indexes
            if i.might_be(self.text)
            and i.text is not None
            and i.text.form == self.text.form
            and (self.is_left_to_postgres or i.text.order == self.text.order)
            and (i.constraint and (i.constraint.kind, i.constraint.deferral)) == wanted
        ]

    def piece(
        self,
        table: IndexedTable,
        old: OldIndex | None,
        name: str,
        constraint: OwnedBy | None = None,
    ) -> _Piece:
        """Plan a table's index and those of its partitions."""
        constraint = old.constraint if old else constraint and replace(constraint, name=name)
        parts = []
        for part in table.parts if old is None or not old.is_valid else ():
            if part.kind != "f":
                theirs = self._taken(part, old, constraint)
                new = "" if theirs else self.names.new(part.schema, part.name, self.words)
                parts.append(self.piece(part, theirs, new, constraint))
        own = old.name if old is not None else name
        return _Piece(table, own, self.text, old, tuple(parts), constraint)

    def _taken(
        self, part: IndexedTable, parent: OldIndex | None, constraint: OwnedBy | None
    ) -> OldIndex | None:
        """Return the partition's index that is or can be attached, preferably a valid one."""
        if parent is not None:
            for index in part.indexes:
                if index.parent_oid == parent.oid:
                    return index
        free = [i for i in self.alike(part, constraint) if i.parent_oid is None]
        return min(free, key=lambda i: (not i.is_valid, i.oid), default=None)


def _as_it_is(table: IndexedTable, old: OldIndex) -> _Piece | None:
    """Return an index and what is attached to it, to be created again."""
    if old.text is None:
        return None
    parts = []
    for part, index in _attached_to(table, old):
        piece = _as_it_is(part, index)
        if piece is None:
            return None
        parts.append(piece)
    return _Piece(table, old.name, old.text, None, tuple(parts), old.constraint, old.tablespace)


def _attached_to(table: IndexedTable, old: OldIndex) -> Iterator[tuple[IndexedTable, OldIndex]]:
    for part in table.parts:
        for index in part.indexes:
            # one that a failed build left invalid need not be built again
            if index.parent_oid == old.oid and (index.is_valid or part.kind == "p"):
                yield part, index


# In general: the partitioned tables first


def _raised(piece: _Piece, *, hangs: bool = False) -> Iterator[Step]:
    """Yield the steps for a piece, and for each of its parts before that is attached.

    A level that hangs on a higher one when it becomes valid locks the tables above it.
    """
    yield from _own(piece)
    for part in piece.parts:
        if part.hangs_on(piece) and (part.is_done or part.is_partitioned):
            yield from _raised(part, hangs=True)
        else:
            yield from _raised(part)
            yield _attached(piece, part, hangs=hangs)
    if _lacks_nothing(piece):
        yield _attached(piece, piece.parts[0], hangs=hangs)


def _lacks_nothing(piece: _Piece) -> bool:
    """Tell whether it is invalid although all parts are attached and valid: one became valid after being attached."""
    return bool(piece.parts) and all(p.hangs_on(piece) and p.is_done for p in piece.parts)


def _attaches_again(piece: _Piece) -> bool:
    broken = (p for p in piece.parts if not p.is_partitioned and not p.is_done)
    return _lacks_nothing(piece) or any(p.hangs_on(piece) for p in broken)


def _all_pieces(piece: _Piece) -> Iterator[_Piece]:
    yield piece
    for part in piece.parts:
        yield from _all_pieces(part)


def _own(piece: _Piece) -> Iterator[Step]:
    """Yield the steps that create the index of this table alone."""
    if piece.old is not None:
        if not piece.old.is_valid and not piece.is_partitioned:
            yield Step(f"REINDEX INDEX CONCURRENTLY {piece.index}", held.CONCURRENTLY, False)
    elif piece.is_partitioned and piece.constraint is not None:
        kind = piece.text.constraint(piece.constraint.kind, piece.tablespace)
        yield _constrained(piece, piece.constraint, kind, only="ONLY ")
    elif piece.is_partitioned:
        yield Step(_create(piece, only=True), held.ON_ONLY)
    else:
        yield Step(_create(piece, concurrently=True), held.CONCURRENTLY, False)
        if piece.constraint is not None:
            using = f"{piece.constraint.kind} USING INDEX {ident(piece.name)}"
            yield _constrained(piece, piece.constraint, using)


def _create(piece: _Piece, *, concurrently: bool = False, only: bool = False) -> str:
    return piece.text.create(
        piece.name,
        piece.table.path,
        concurrently=concurrently,
        only=only,
        tablespace=piece.tablespace,
    )


def _constrained(piece: _Piece, constraint: OwnedBy, what: str, only: str = "") -> Step:
    table, name = ident(*piece.table.path), ident(constraint.name)
    return Step(
        f"ALTER TABLE {only}{table} ADD CONSTRAINT {name} {what}{constraint.deferral}",
        held.BRIEF_EXCLUSIVE,
    )


def _attached(parent: _Piece, part: _Piece, *, hangs: bool) -> Step:
    lock = held.ATTACH_BELOW if hangs else held.ATTACH
    return Step(f"ALTER INDEX {parent.index} ATTACH PARTITION {part.index}", lock)


# If a partition is a foreign table: the partitions first


def _in_the_way(planner: _Planner, table: IndexedTable) -> Script | None:
    """Describe which invalid indexes CREATE INDEX on the parent would attach: it would never become valid."""
    found = [
        f"CREATE INDEX on {ident(*table.path)} would attach the invalid index "
        f"{ident(index.schema, index.name)} of {ident(*part.path)}, and be invalid itself: rebuild or "
        "drop that one first, then run the analysis again"
        for part in _all_parts(table)
        for index in planner.alike(part)
        if index.parent_oid is None and not index.is_valid
    ]
    return Script((), notes=tuple(found)) if found else None


def _all_parts(table: IndexedTable) -> Iterator[IndexedTable]:
    for part in table.parts:
        yield part
        yield from _all_parts(part)


def _gathered(piece: _Piece) -> Iterator[Step]:
    """Yield the steps for all below a piece, then for the piece itself, which attaches them."""
    for part in piece.parts:
        yield from _gathered(part)
    if piece.is_new and piece.is_partitioned:
        yield Step(_create(piece), held.ATTACH_ALL)
    elif not piece.is_partitioned:
        yield from _own(piece)


def _renewed(table: IndexedTable, old: OldIndex, planner: _Planner) -> Script:
    """Replace an index that can never become valid with one that is."""
    broken = _in_the_way(planner, table)
    if broken is not None:
        return broken
    new = planner.piece(table, None, planner.names.new(table.schema, old.name, (), "new"))
    before = _Piece(table, old.name, planner.text, old)
    renamed = (_dropped(before), _renamed(table.schema, new.name, old.name), *old.after)
    undo = _undone(planner.names, before, *new.parts)
    return Script((*_gathered(new), *renamed), undo, _notes(new))


# Undo


_NO_DETACH = "none: an index cannot be detached from that of its partitioned table"


def _undone(names: FreeNames, top: _Piece, *parts: _Piece) -> tuple[Step, ...]:
    """Return the steps that remove the top and its parts, and leave what existed before.

    An index cannot be detached, and is dropped with its parent. So a copy of it is built first.
    """
    copies: list[Step] = []
    renamed: list[Step] = []
    for table, old in (found for piece in (top, *parts) for found in _attached_here(piece)):
        copy = _as_it_is(table, old)
        if copy is not None:
            copy, back = _called_otherwise(copy, names)
            copies += _made(copy, old)
            renamed += [*back, *_finished(table, old)]
    return (*copies, _dropped(top), *renamed)


def _attached_here(
    piece: _Piece, parent: _Piece | None = None
) -> Iterator[tuple[IndexedTable, OldIndex]]:
    """Yield the previous indexes that will be dropped with the top, each with what is attached to it."""
    old, hangs = piece.old, parent is not None and piece.hangs_on(parent)
    if old is not None and not hangs and (old.is_valid or piece.is_partitioned):
        yield piece.table, old
    for part in piece.parts:
        yield from _attached_here(part, piece)


def _called_otherwise(piece: _Piece, names: FreeNames) -> tuple[_Piece, list[Step]]:
    """Return a piece under free names, and the steps that rename it."""
    name = names.new(piece.table.schema, piece.name, (), "copy")
    found = [_called_otherwise(part, names) for part in piece.parts]
    constraint = piece.constraint and replace(piece.constraint, name=name)
    copy = replace(piece, name=name, constraint=constraint, parts=tuple(part for part, _ in found))
    steps = [_renamed(piece.table.schema, name, piece.name)]
    return copy, steps + [step for _, each in found for step in each]


def _made(piece: _Piece, old: OldIndex) -> Iterator[Step]:
    return _gathered(piece) if piece.table.foreign and old.is_valid else _raised(piece)


def _renamed(schema: str, name: str, other: str) -> Step:
    return Step(f"ALTER INDEX {ident(schema, name)} RENAME TO {ident(other)}", held.ON_INDEX)


def _dropped(piece: _Piece) -> Step:
    if piece.constraint is not None:
        table = ident(*piece.table.path)
        lock = held.DROP_PARENT if piece.is_partitioned else held.BRIEF_EXCLUSIVE
        return Step(f"ALTER TABLE {table} DROP CONSTRAINT {ident(piece.constraint.name)}", lock)
    if piece.is_partitioned:
        return Step(f"DROP INDEX {piece.index}", held.DROP_PARENT)
    return Step(f"DROP INDEX CONCURRENTLY {piece.index}", held.CONCURRENTLY, False)


def _finished(table: IndexedTable, old: OldIndex) -> Iterator[Step]:
    """Yield what completes the definition of an index and of those attached to it."""
    yield from old.after
    for part, index in _attached_to(table, old):
        yield from _finished(part, index)


# Notes


def _notes(piece: _Piece) -> tuple[str, ...]:
    if not piece.is_partitioned:
        return ()
    return tuple(_said(piece))


def _said(piece: _Piece) -> Iterator[str]:
    yield (
        "Run outside a transaction block. If a statement fails, drop the invalid index that it may have left "
        "behind, and continue with that statement."
    )
    yield (
        "Statements without CONCURRENTLY are quick, but have to wait for their locks, and others queue behind "
        "them: set lock_timeout for these alone, since the others may have to wait long."
    )
    if any(_attaches_again(each) for each in _all_pieces(piece)):
        yield (
            "Attaching an index again makes PostgreSQL check that all are valid, since the minor releases of 2026; "
            "on an older server, the index must be dropped and created again."
        )
    foreign = [ident(*each.path) for each in piece.table.foreign]
    if foreign:
        are = "is a foreign table" if len(foreign) == 1 else "are foreign tables"
        yield (
            f"{', '.join(foreign)} {are}, which cannot have an index: CREATE INDEX on the parent attaches the indexes of "
            "the others. Run it only after all of them have been built: it would build missing ones and block writes."
        )
    for part in _reused(piece):
        is_alike = (
            part.old is None or part.old.text is None or part.old.text.order == piece.text.order
        )
        but = (
            "" if is_alike else ", although its sort order differs, which PostgreSQL does not check"
        )
        yield f"{part.index} already exists and is attached to {piece.index}{but}."


def _reused(piece: _Piece) -> Iterator[_Piece]:
    for part in piece.parts:
        if part.old is not None and not part.hangs_on(piece):
            yield part
        yield from _reused(part)

"""CREATE INDEX as text, and names for indexes: no server is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_wed.remedies.free_names import FreeNames, fitted
from pgwatch_wed.remedies.script import Script, Step
from pgwatch_wed.sqltext import definitions

PRINTED = (
    """CREATE UNIQUE INDEX "Ü ""x" ON ONLY "Ä s"."using where" USING btree """
    """(lower(b) COLLATE "C" public.text_ops DESC NULLS LAST, "ü (") INCLUDE (c) """
    """NULLS NOT DISTINCT WITH (fillfactor='70') WHERE (s = ') WHERE ü'::text)"""
)


def test_a_printed_definition_is_taken_apart_and_written_anew() -> None:
    text = definitions.read(PRINTED)
    assert text is not None
    assert text.create('Ü "x', ("Ä s", "using where"), only=True) == PRINTED
    assert text.where == "WHERE (s = ') WHERE ü'::text)"
    moved = text.create("i", ("s", "t"), concurrently=True, tablespace="Fast one")
    assert moved.startswith("CREATE UNIQUE INDEX CONCURRENTLY i ON s.t USING btree (lower(b)")
    assert "WITH (fillfactor='70') TABLESPACE \"Fast one\" WHERE" in moved
    assert definitions.read(moved) == text
    assert text.constraint("UNIQUE").startswith("UNIQUE NULLS NOT DISTINCT (lower(b)")
    assert text.labels == ("lower", "ü (")
    assert text.keys == (None, "ü (")


def equal(one: str, other: str) -> bool:
    a, b = definitions.of_shape(one), definitions.of_shape(other)
    assert a is not None
    assert b is not None
    return (a.form, a.order) == (b.form, b.order)


def test_equal_is_what_postgresql_prints_of_it() -> None:
    assert equal("(a, b)", "USING btree (a, b) WITH (fillfactor='50') TABLESPACE x")
    assert equal("(a DESC)", "USING btree (a DESC NULLS FIRST)")
    assert equal("(a) WHERE n = 'x'", "USING btree (a) WHERE ((n = 'x'::text))")
    assert equal("(lower(n) text_pattern_ops)", "(lower(n) public.text_pattern_ops)")
    for other in (
        *("(a DESC)", "(a NULLS FIRST)", "(b)", "(a, b)", "(a) INCLUDE (b)", "USING hash (a)"),
        *('(a COLLATE "C")', "(a text_pattern_ops)", "(a) WHERE a > 0", "(lower(a))", "((a + 1))"),
    ):
        assert not equal("(a)", other), other
    assert not equal("((a + 1))", "((a + 2))")
    assert not equal("(a) WHERE n = 'x'", "(a) WHERE n = 'y'")
    assert not equal("(a) WHERE a = '1'::int", "(a) WHERE a = '1'::bigint")


def test_what_is_no_index_is_none() -> None:
    for text in ("", "select 1", "CREATE INDEX", "CREATE INDEX ON t (a); CREATE INDEX ON t (b)"):
        assert definitions.read(text) is None
    assert definitions.of_shape('("")') is None


@given(st.text(min_size=1), st.text(), st.lists(st.text(min_size=1, max_size=80), max_size=5))
def test_names_fit_are_whole_characters_and_are_given_once(
    table: str, word: str, taken: list[str]
) -> None:
    names = FreeNames({"s": set(taken)})
    given_ = [names.new("s", table, (word,)) for _ in range(12)]
    assert len({*given_, *taken}) == len(given_) + len(set(taken))
    assert all(len(name.encode()) <= 63 and "\ufffd" not in name for name in given_)
    assert FreeNames({}).new("s", table, (word,)) == fitted(table, word, "idx")


def test_the_longer_part_is_shortened_as_postgresql_does() -> None:
    assert fitted("t", "a_b", "idx") == "t_a_b_idx"
    assert fitted("t", "", "idx1") == "t_idx1"
    assert fitted("t" * 70, "id", "idx") == "t" * 56 + "_id_idx"
    assert fitted("ä" * 40, "ö" * 40, "idx") == "ä" * 14 + "_" + "ö" * 14 + "_idx"


def test_notes_stay_on_their_lines() -> None:
    script = Script((Step("SELECT 1", "none"),), notes=("a\nDROP TABLE t; --\r\nb",))
    assert script.sql == "-- a DROP TABLE t; -- b\nSELECT 1;"
    assert script.remedy.undo == "-- nothing to undo"


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ("USING btree (a, b DESC NULLS LAST)", "(a, b DESC NULLS LAST)"),
        ('(a) INCLUDE (b, "C d") WHERE a > 5', '(a) INCLUDE (b, "C d") WHERE a > 5'),
        ("USING gin (t gin_trgm_ops) WITH (fastupdate = off)", "USING gin (t gin_trgm_ops)"),
        ("USING btree (lower(t) text_pattern_ops)", "(lower(t) text_pattern_ops)"),
        ("(a) NULLS NOT DISTINCT TABLESPACE fast", "(a) NULLS NOT DISTINCT"),
    ],
)
def test_a_title_names_what_is_in_an_index(shape: str, shown: str) -> None:
    text = definitions.of_shape(shape)
    assert text is not None
    assert text.shown == shown

"""Regular expressions of an inventory fit what Python says that they fit, and take no longer for being written badly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_wed.fleet.inventory.member_table import WrongEntryError, check_pattern
from pgwatch_wed.fleet.name_patterns import PatternRefusedError, name_pattern

ATOMS = st.sampled_from(
    [
        r"a",
        r"b",
        r"_",
        r".",
        r"[ab]",
        r"[^a]",
        r"[a-c_]",
        r"\d",
        r"\w",
        r"\W",
        r"[\d_]",
        r"^",
        r"$",
        r"\b",
        r"\B",
        r"\A",
        r"\Z",
        r"(?=a)",
        r"(?!b)",
        r"(?<=a)",
        r"(?<!ab)",
        r"(?i:A)",
        r"(?!)",
        r"[^\Wa]",
        r"(?i:[A-C])",
        r"é",
        r"(?-i:B)",
        r"(?#)",
    ]
)
REPEATS = st.sampled_from(
    ["", "*", "+", "?", "{2}", "{1,2}", "{2,}", "*?", "{0,3}", "{0}", "{40,}"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(
            st.sampled_from(["(", "(?:", "(?i:", "(?=", "(?!", "(?P<n>"]), inner, REPEATS
        ).map(lambda of: f"{of[0]}{of[1]}){of[2]}"),
    ),
    max_leaves=7,
)


@given(
    st.sampled_from(["", "(?i)", "(?s)", "(?a)", "(?m)"]),
    PATTERNS,
    st.text("abcAB_1-é\n", max_size=9),
)
def test_a_name_fits_as_it_fits_in_python(flags: str, text: str, name: str) -> None:
    try:
        expected = re.search(flags + text, name) is not None
    except re.error:
        with pytest.raises(PatternRefusedError):
            name_pattern(flags + text)
    else:
        assert name_pattern(flags + text).is_in(name) == expected


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$",
        "^(a|a)*$",
        "(a|aa)+$",
        "^(.*)*b$",
        "^" + "a*" * 60 + "$",
        "^((((a*)*)*)*)*$",
        "^(a?){62}a{62}$",
        "(?:(?:a{1,60}){1,60}){1,60}$",
        "^(a{0,4294967294}){4294967294}$",
        "(?=(a+)+$)a",
    ],
)
def test_no_expression_takes_long(text: str) -> None:
    name = "a" * 62 + "!"
    assert not name_pattern(text).is_in(name)
    assert name_pattern(text.replace("b$", "$").replace("$", "!$")).is_in(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(", "is no regular expression"),
        (r"(a)\1", "contains a reference to a group, which is not supported here"),
        ("(a)(?(1)b|c)", "contains a condition on a group, which is not supported here"),
        ("a" * 1001, "is longer than 1000 characters"),
        ("a{4294967296}", "is no regular expression"),
    ],
)
def test_what_cannot_be_used_is_said(text: str, why: str) -> None:
    with pytest.raises(WrongEntryError, match=re.escape(why)):
        check_pattern(f"/{text}/")

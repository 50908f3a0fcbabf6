"""Sizes, times and counts are read and printed in one way."""

import click
import pytest

from pgwatch_wed import config, units
from pgwatch_wed.cli.options import SizeType
from pgwatch_wed.errors import UsageError
from pgwatch_wed.postgres import memory

SIZES = [
    ("0", 0),
    ("1000000", 1_000_000),
    ("500MB", 524_288_000),
    ("500 MB", 524_288_000),
    ("500mb", 524_288_000),
    ("500MiB", 524_288_000),
    ("500M", 524_288_000),
    ("1.5GB", 1_610_612_736),
    ("64kB", 65_536),
    ("2TB", 2 << 40),
    ("12B", 12),
    ("12 bytes", 12),
]
NO_SIZES = ["", "MB", "-1MB", "5XB", "1e3MB", "1MB2", "500 MBit", "five MB"]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_every_reader_of_sizes_reads_the_same(text: str, size: int) -> None:
    assert units.read_size(text) == size
    assert config.size(text, "key") == size
    assert SizeType().convert(text, None, None) == size
    if not text.isdigit():  # work_mem = 1000 counts kB
        assert memory.size(text) == size


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_by_every_reader(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.read_size(text)
    with pytest.raises(UsageError, match="must be a size"):
        config.size(text, "key")
    with pytest.raises(click.BadParameter, match="not a valid size"):
        SizeType().convert(text, None, None)
    assert memory.size(text) is None


def test_a_bare_number_counts_the_unit_that_its_setting_has() -> None:
    assert memory.size("4096") == 4096 * 1024
    assert units.read_size("4096") == 4096


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 kB"),
        (1_000_000, "977 kB"),
        (1 << 20, "1 MB"),
        (524_288_000, "500 MB"),
        (1_610_612_736, "1.5 GB"),
        (3 << 40, "3 TB"),
        (-(5 << 20), "-5 MB"),
    ],
)
def test_a_printed_size_reads_as_pg_size_pretty_would_count_it(value: int, text: str) -> None:
    assert units.size(value) == text
    if value >= 0:
        assert units.read_size(text) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("", 1),
        ("B", 1),
        ("kB", 1024),
        ("8kB", 8192),
        ("16kB", 16_384),
        ("MB", 1 << 20),
        ("16MB", 16 << 20),
        ("GB", 1 << 30),
        ("ms", 1),
        ("s", 1000),
        ("min", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("furlongs", 1),
    ],
)
def test_a_unit_of_pg_settings_counts_bytes_or_milliseconds(unit: str, factor: float) -> None:
    assert units.setting_factor(unit) == factor


def test_counts_have_the_right_number() -> None:
    assert units.count(1, "statement") == "1 statement"
    assert units.count(0, "statement") == "0 statements"
    assert units.count(1234, "index", "indexes") == "1,234 indexes"


def test_a_small_share_is_not_nothing() -> None:
    shares = (0.71, 0.0996, 0.053, 0.0005, 0.00048, 0.0000312, 0.0)
    assert [units.share(s) for s in shares] == [
        *("71%", "10%", "5.3%", "0.1%", "0.05%", "0.003%", "0%"),
    ]

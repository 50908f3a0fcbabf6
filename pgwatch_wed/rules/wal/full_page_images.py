"""Most of the WAL is full-page images.

## Why it matters
After each checkpoint, the first change of a page writes the whole page. If these images are compressed, or checkpoints are further
apart, the WAL, its archive and all standbys have to handle much less.

## How sure we are
C: images are counted; each takes at most one page, less if the page has a hole.

## Not reported
Little WAL per day; a small share of images; servers that already compress them.

## Remedy
wal_compression = lz4 (15 and later, if the server was built with it; otherwise on, which means pglz), and checkpoints further apart
(`wal-checkpoints-requested`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Wal
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules.wal import _rate

NEEDS = ("wal", "settings")
SCOPE = "cluster"
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less WAL per day does not matter.
    min_wal_bytes_per_day: int = 1_000_000_000
    # The share of the WAL that may be images.
    min_image_share: float = 0.5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if images predominate and are not compressed."""
    hidden = settings.hidden(snapshot, "wal_compression")
    if hidden is not None:
        yield hidden
        return
    for wal in snapshot.wal:
        if wal.wal_bytes is None or wal.full_page_images is None:
            yield Unknown("WAL is counted only from PostgreSQL 14 on", "upgrade")
            return
        images = min(wal.full_page_images * snapshot.server.block_size, wal.wal_bytes)
        daily = pace.least_per_day(wal.wal_bytes, _rate.seconds(snapshot, wal))
        if (
            daily >= max(limits.min_wal_bytes_per_day, 1)
            and images >= limits.min_image_share * wal.wal_bytes
            and snapshot.setting("wal_compression") == "off"
        ):
            yield _finding(snapshot, wal, images)


def _finding(snapshot: Snapshot, wal: Wal, images: int) -> Finding:
    total = wal.wal_bytes or 1
    return Finding(
        object=Object("setting", "wal_compression"),
        severity=Severity.INFO,
        grade=Grade.C,
        title=f"Up to {images / total:.0%} of the WAL is full-page images",
        detail=f"{units.count(wal.full_page_images or 0, 'image')} in {units.size(total)} of WAL, not compressed.",
        evidence={
            "wal_bytes": wal.wal_bytes,
            "full_page_images": wal.full_page_images,
            "image_share": round(images / total, 4),
            "wal_compression": snapshot.setting("wal_compression"),
        },
        impact=Impact(bytes=images // 2, risk="WAL, archive and standbys have to store them"),
        remedy=(settings.alter_system(snapshot, "wal_compression", _method(snapshot)),),
        caveats=(
            "Compression costs CPU time: little with lz4, more with pglz (on).",
            *settings.caveats(snapshot.setting_by_name.get("wal_compression")),
        ),
    )


def _method(snapshot: Snapshot) -> str:
    """Return the cheapest method that this server was built with; on is always available."""
    setting = snapshot.setting_by_name.get("wal_compression")
    return "lz4" if setting is not None and "lz4" in setting.enum_values else "on"

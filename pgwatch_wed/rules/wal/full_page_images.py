"""Most of the WAL is full-page images.

## Why it matters
After each checkpoint the first change of a page writes the whole page. Compressed, or with checkpoints further apart, the
WAL, its archive and every standby carry much less.

## How sure we are
C: images are counted, their bytes are at most a page each; compression already in use makes them smaller.

## Not reported
Little WAL; a small part of images; servers that compress them already.

## Remedy
wal_compression = lz4 (15 and later, where built with it; pglz else), and checkpoints further apart
(`wal-checkpoints-requested`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("wal", "settings")
SCOPE = "cluster"
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less WAL in all is no burden: 1 GB.
    min_wal_bytes: int = 1_000_000_000
    # Part of the WAL that images may be.
    min_image_share: float = 0.5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where images dominate and are not compressed."""
    for w in snapshot.wal:
        if w.wal_bytes is None or w.full_page_images is None:
            yield Unknown("WAL is counted from PostgreSQL 14 on", "upgrade")
            return
        images = min(w.full_page_images * snapshot.server.block_size, w.wal_bytes)
        share = images / w.wal_bytes if w.wal_bytes else 0.0
        compressed = snapshot.setting("wal_compression") not in ("off", None)
        if w.wal_bytes < limits.min_wal_bytes or share < limits.min_image_share or compressed:
            continue
        method = "lz4" if snapshot.server.major >= 15 else "on"
        yield Finding(
            object=Object("setting", "wal_compression"),
            severity=Severity.INFO,
            grade=Grade.C,
            title=f"Up to {share:.0%} of the WAL is full-page images",
            detail=f"{w.full_page_images:,} images in {w.wal_bytes / 1e9:,.1f} GB of WAL, not compressed.",
            evidence={
                "wal_bytes": w.wal_bytes,
                "full_page_images": w.full_page_images,
                "image_share": round(share, 4),
                "wal_compression": snapshot.setting("wal_compression"),
            },
            impact=Impact(bytes=images // 2, risk="WAL, archive and standbys carry them"),
            remedy=(
                Remedy(
                    sql=f"ALTER SYSTEM SET wal_compression = {method};\nSELECT pg_reload_conf();",
                    lock="none",
                    in_transaction=False,
                    undo="ALTER SYSTEM RESET wal_compression;",
                ),
            ),
            caveats=("Compression costs CPU; lz4 little, pglz more.",),
        )

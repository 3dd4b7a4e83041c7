"""The table of an atlas' regions: which codes there are, in which order, and their names."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["RegionTable", "read_regions"]


@dataclass(frozen=True)
class RegionTable:
    """Regions in the order of the network's rows.

    Args:
        codes: value of each region in the atlas image and in headers of series.
        names: name of each region.
    """

    codes: tuple[int, ...]
    names: tuple[str, ...]


@cache
def read_regions(file: str) -> RegionTable:
    """Read a csv with the columns `code` and `name`; others are ignored.

    Raises:
        FileNotFoundError: `file` does not exist.
        ValueError: a column is missing, or a code stands in two rows.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"read_regions: region table {file!r} does not exist; check the path.")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"code", "name"} <= set(rows[0]):
        raise ValueError(f"read_regions: {file!r} needs the columns code and name and at least one row.")
    codes = tuple(int(row["code"]) for row in rows)
    if len(set(codes)) < len(codes):
        raise ValueError(f"read_regions: {file!r} gives a code to two regions; make codes unique.")
    return RegionTable(codes, tuple(row["name"] for row in rows))

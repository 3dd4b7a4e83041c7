"""Read ``labels.csv`` and find the scan that each of its rows means."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .ct_scan import LOOKUP_KEYS
from .datalist import PATH_KEYS, SECTIONS
from .volume_header import volume_suffix

__all__ = ["class_numbers", "match_rows", "read_labels"]

_RESERVED = {*PATH_KEYS, *LOOKUP_KEYS, "error"}


def read_labels(file: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read a table with the columns `id` and `label`, and optionally `group`, `section` and covariates.

    Args:
        file: comma or semicolon separated, UTF-8.

    Raises:
        FileNotFoundError: `file` does not exist.
        ValueError: a column is missing or reserved, a cell of `id` or `label` is empty, or a section is unknown.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"read_labels: labels {str(path)!r} does not exist; check the path.")
    with path.open(encoding="utf-8-sig", newline="") as stream:  # Excel writes a byte order mark
        head = stream.readline()
        stream.seek(0)
        table = csv.DictReader(stream, delimiter=";" if ";" in head and "," not in head else ",")
        columns = [name.strip() for name in table.fieldnames or []]
        table.fieldnames = columns
        rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in table]
    if missing := [name for name in ("id", "label") if name not in columns]:
        raise ValueError(f"read_labels: {path} has no column {missing[0]!r} but {columns}; add it.")
    if bad := [name for name in columns if name in _RESERVED or name.startswith("image_")]:
        raise ValueError(f"read_labels: column {bad[0]!r} of {path} is a reserved name; rename it.")
    for line, row in enumerate(rows, start=2):
        _check_row(row, f"line {line} of {path}")
    return rows


def class_numbers(labels: Sequence[str]) -> tuple[list[int], dict[int, str]]:
    """Turn the cells of the column `label` into class numbers.

    Args:
        labels: all whole numbers 0 .. K - 1, or names of classes, which are numbered in sorted order.

    Returns:
        Number of each case, and the name of each class.

    Raises:
        ValueError: numbers that are not 0 .. K - 1.
    """
    if all(text.lstrip("-").isdigit() for text in labels):
        numbers = [int(text) for text in labels]
        if set(numbers) != set(range(len(set(numbers)))):
            raise ValueError(
                f"class_numbers: labels are {sorted(set(numbers))}, and numbers must be 0 .. K - 1; "
                "renumber them or write names."
            )
        return numbers, {number: str(number) for number in sorted(set(numbers))}
    names = sorted(set(labels))
    return [names.index(text) for text in labels], dict(enumerate(names))


def match_rows(
    rows: Sequence[Mapping[str, str]], items: Sequence[Mapping[str, Any]], source: str
) -> dict[int, Mapping[str, str]]:
    """Find for each row the one item that its `id` names.

    A row may name an item by its id, by the relative path of its file or folder, by SeriesInstanceUID, or by the file
    name without suffix; the first of these that fits decides.

    Args:
        rows: from :func:`read_labels`.
        items: from :func:`find_ct`; a row that fits only items with an `error` is left out.
        source: the folder scanned, for messages.

    Returns:
        Row by index of its item.

    Raises:
        ValueError: rows without a volume, rows that fit several volumes, or two rows for one volume.
    """
    keys = _keys(items)
    found: dict[int, Mapping[str, str]] = {}
    lost = []
    for row in rows:
        name = row["id"].replace("\\", "/").removeprefix("./").rstrip("/")
        fits: list[int] = next((kind[name] for kind in keys if name in kind), [])
        if not fits:
            lost.append(row["id"])
            continue
        fits = [k for k in fits if "error" not in items[k]]
        if len(fits) > 1:
            _refuse_choice(row["id"], [items[k] for k in fits])
        if fits and fits[0] in found:
            raise ValueError(
                f"labels: rows {found[fits[0]]['id']!r} and {row['id']!r} both name {items[fits[0]]['id']!r}; keep one."
            )
        found |= {k: row for k in fits}
    if lost:
        raise ValueError(
            f"labels: {_listed(lost)} without an image under {source!r} ({len(lost)} of {len(rows)} rows); "
            f"correct the ids (ids there look like {items[0]['id']!r}) or remove the rows."
        )
    return found


def _check_row(row: Mapping[str, str], place: str) -> None:
    for name in ("id", "label"):
        if not row[name]:
            raise ValueError(f"read_labels: {name} in {place} is empty; fill it in or remove the row.")
    if row.get("section", "") not in ("", *SECTIONS):
        raise ValueError(f"read_labels: section in {place} is {row['section']!r}; sections are {list(SECTIONS)}.")


def _keys(items: Sequence[Mapping[str, Any]]) -> list[dict[str, list[int]]]:
    """Tables from name to items, in order of precedence."""

    def table(name_of: Iterable[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for k, name in enumerate(name_of):
            if name:
                found[name].append(k)
        return dict(found)

    stems = (os.path.basename(str(item["place"])) for item in items)
    return [
        table(item["id"] for item in items),
        table(item["place"] for item in items),
        table(item["series_uid"] for item in items),
        table(stem[: len(stem) - len(volume_suffix(stem))] for stem in stems),
    ]


def _refuse_choice(name: str, fits: Sequence[Mapping[str, Any]]) -> None:
    listed = ", ".join(item["id"] for item in fits)
    if len({item["place"] for item in fits}) == 1:
        raise ValueError(
            f"labels: folder {name!r} holds several series, and none is chosen: {listed}; name one of these."
        )
    raise ValueError(f"labels: id {name!r} is ambiguous, it fits {listed}; name one of these.")


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (" ..." if len(names) > most else "")

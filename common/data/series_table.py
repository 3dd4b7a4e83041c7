"""Region series in text tables and npy files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["TABLE_SUFFIXES", "read_numbers", "read_series_table"]

TABLE_SUFFIXES = (".1D", ".txt", ".csv", ".tsv", ".npy")


def read_series_table(path: str, codes: Sequence[int] | None, dropped_codes: Sequence[int]) -> NDArray[np.float64]:
    """Read series and put their columns into the order of the region table.

    A header of codes (``#2001``) decides which column is which region. Without one the columns are all regions of the
    table in its order, or all regions of the atlas (with `dropped_codes`) in the order of their codes.

    Args:
        path: ``.1D``, ``.txt``, ``.csv``, ``.tsv`` (frames x regions) or ``.npy``.
        codes: of the region table; None takes all columns as they are.
        dropped_codes: regions of the atlas that the table leaves out.

    Returns:
        (T, N).

    Raises:
        ValueError: no table of numbers, regions of the table missing, or a wrong number of columns.
    """
    header, values = read_numbers(path, codes)
    if codes is None:
        return values
    if header is None:
        full = sorted({*codes, *dropped_codes})
        header = list(codes) if values.shape[1] == len(codes) else full
        if values.shape[1] != len(header):
            counts = " or ".join(str(n) for n in dict.fromkeys((len(codes), len(full))))
            raise ValueError(
                f"LoadRegionSeries: {path} has {values.shape[1]} regions, expected {counts}; give series of the atlas "
                "of the region table, or a header of region codes."
            )
    column = {code: k for k, code in enumerate(header)}
    if lost := [code for code in codes if code not in column]:
        raise ValueError(
            f"LoadRegionSeries: {path} lacks {len(lost)} of the {len(codes)} regions of the table, first code "
            f"{lost[0]}; give series of the atlas of the region table."
        )
    return values[:, [column[code] for code in codes]]


def read_numbers(path: str, codes: Sequence[int] | None = None) -> tuple[list[int] | None, NDArray[np.float64]]:
    """Read a table of numbers and its header of region codes, if there is one.

    Args:
        path: as in :func:`read_series_table`.
        codes: a first line without ``#`` that holds all of these is a header, too.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: no two-dimensional table of numbers.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"read_numbers: {path} does not exist; restore it or make the datalist again.")
    try:
        if path.endswith(".npy"):
            header, values = None, np.load(path, allow_pickle=False)
        else:
            header, values = _read_text(Path(path), codes)
        values = np.asarray(values, dtype=np.float64)
    except (ValueError, EOFError) as error:
        raise ValueError(f"read_numbers: {path} is no table of numbers ({error}); repair the file.") from error
    if values.ndim != 2 or (header is not None and len(header) != values.shape[1]):
        raise ValueError(f"read_numbers: {path} has shape {values.shape}, expected frames x regions as in its header.")
    return header, values


def _read_text(path: Path, codes: Sequence[int] | None) -> tuple[list[int] | None, NDArray[np.float64]]:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    delimiter = next((sign for sign in ",;" if lines and sign in lines[0]), None)
    header = _codes_of(lines[0].split(delimiter), codes) if lines else None
    body = lines if header is None else lines[1:]
    if not body:
        raise ValueError("it has no rows")
    return header, np.loadtxt(body, delimiter=delimiter, ndmin=2, comments=None)


def _codes_of(cells: Sequence[str], codes: Sequence[int] | None) -> list[int] | None:
    texts = [cell.strip().strip('"') for cell in cells]
    numbers = [text.removeprefix("#").strip() for text in texts]
    if not all(number.isdigit() for number in numbers):
        return None
    found = [int(number) for number in numbers]
    marked = texts[0].startswith("#")
    return found if marked or (codes is not None and set(codes) <= set(found)) else None

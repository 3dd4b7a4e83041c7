"""Cross-validations of a regression bundle side by side, fold by fold."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..data.response_results import is_response_table, read_responses
from .pool_responses import HEADLINES, MODEL, mean_over_folds

__all__ = ["compare_responses"]

LOWER_IS_BETTER = ("rmse",)


def compare_responses(folders: Sequence[Path], names: Sequence[str], num_bootstrap: int = 1000) -> pd.DataFrame:
    """Means over folds, and differences to the first run that are paired by fold.

    Args:
        folders: folder of each cross-validation, with ``predictions.csv`` and ``folds.csv``; the first is the
            reference.
        names: name of each row.
        num_bootstrap: resamples of the folds.

    Returns:
        One row a run: the mean of each figure; for ``rmse``, ``normalised_r2``, ``drug_r`` and ``cell_r`` as far as all
        runs have them the difference to the first run, its 95 % interval over folds, and the number of folds in which
        the run is better; the number of folds and of cases.

    Raises:
        FileNotFoundError: a run is no finished cross-validation.
        ValueError: a run has other cases or folds than the first.
    """
    tables = [_read(folder) for folder in folders]
    first, cases = tables[0], _cases(folders[0])
    shown = [figure for figure in HEADLINES if all(figure in table for table in tables)]
    rows = []
    for name, folder, table in zip(names, folders, tables, strict=True):
        if not table.n.equals(first.n) or _cases(folder) != cases:
            raise ValueError(
                f"compare: {folder} has other cases or folds than {folders[0]}; cross-validate both on the same data"
                " with the same options."
            )
        means = table.drop(columns="n").mean()
        rows.append({"run": name, **means} | _differences(first, table, shown, num_bootstrap) | _size(table))
    return pd.DataFrame(rows)


def _read(folder: Path) -> pd.DataFrame:
    """Figures of the model, one row a (repeat, fold)."""
    path = folder / "folds.csv"
    for file in (folder / "predictions.csv", path):
        if not file.is_file():
            raise FileNotFoundError(
                f"compare: {file} does not exist; run cross-validate, regressions are compared by fold."
            )
    if not is_response_table(folder / "predictions.csv"):
        raise ValueError(f"compare: {folder} is no regression, and the first run is; compare runs of one task.")
    table = pd.read_csv(path)
    return table[table.name == MODEL].drop(columns="name").set_index(["repeat", "fold"]).sort_index()


def _cases(folder: Path) -> dict[str, str]:
    return {row["id"]: row["section"] for row in read_responses(folder / "predictions.csv")}


def _differences(
    first: pd.DataFrame, table: pd.DataFrame, shown: Sequence[str], num_bootstrap: int
) -> dict[str, float]:
    gap = (table[list(shown)] - first[list(shown)]).to_numpy(dtype=float)
    repeats = table.index.get_level_values("repeat").tolist()
    columns: dict[str, float] = {}
    for figure, values, entry in zip(shown, gap.T, mean_over_folds(gap, repeats, num_bootstrap), strict=True):
        columns |= {f"{figure}_difference": entry[0], f"{figure}_low": entry[1], f"{figure}_high": entry[2]}
        columns[f"{figure}_folds_better"] = int(((values < 0) if figure in LOWER_IS_BETTER else (values > 0)).sum())
    return columns


def _size(table: pd.DataFrame) -> dict[str, int]:
    repeats = table.index.get_level_values("repeat").nunique()
    return {"folds": len(table), "n": int(table.n.sum()) // repeats}

"""Site, age, sex and motion of items as a table, and its encoding as numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = ["covariate_encoder", "covariate_table"]


def covariate_table(
    items: Iterable[Mapping[str, Any]], numeric: Sequence[str], categorical: Sequence[str]
) -> pandas.DataFrame:
    """One row an item; a numeric entry that is absent or empty is NaN, a categorical one is the text ``missing``."""
    rows = list(items)
    columns: dict[str, list] = {
        name: [np.nan if item.get(name) in (None, "") else float(item[name]) for item in rows] for name in numeric
    }
    columns |= {name: [_category(item.get(name)) for item in rows] for name in categorical}
    return pandas.DataFrame(columns)


def covariate_encoder(numeric: Sequence[str], categorical: Sequence[str]) -> ColumnTransformer:
    """Numbers: median of training for the missing, then z-scores. Categories: one-hot, all zero when not in training."""
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    onehot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numeric", numbers, list(numeric)), ("categorical", onehot, list(categorical))])


def _category(value: Any) -> str:
    return "missing" if value is None or value != value or value == "" else str(value)

"""Table of the edges that matter most, by the names of their regions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["edge_table"]


def edge_table(
    maps: dict[str, NDArray[np.floating]],
    images: Tensor,
    labels: NDArray[np.integer],
    places: pd.DataFrame,
    class_names: Sequence[str],
    num_edges: int = 20,
) -> pd.DataFrame:
    """Edges whose importance differs most between the last and the first class, by the first method of `maps`.

    What an edge adds in every subject alike tells the classes apart no more than a constant does.

    Args:
        maps: (S, N, N) symmetric importance by name of the method.
        images: (S, 2, N, N).
        labels: (S,).
        places: region table.
        class_names: names of the classes.
        num_edges: rows.

    Returns:
        Codes and names of both regions, share of the subjects that have the edge, difference (last class minus first),
        ``<method>_<class>`` (means over the subjects), largest difference first; `row` and `column` are the positions
        of the regions.

    Raises:
        ValueError: when a class has no subject.
    """
    if absent := [name for k, name in enumerate(class_names) if not (labels == k).any()]:
        raise ValueError(f"edge_table: class {absent[0]!r} has no subject in this section; take a section with all.")
    means = {
        f"{method}_{name}": values[labels == k].mean(0)
        for method, values in maps.items()
        for k, name in enumerate(class_names)
    }
    method = next(iter(maps))
    difference = means[f"{method}_{class_names[-1]}"] - means[f"{method}_{class_names[0]}"]
    rows, columns = np.triu_indices(len(places), 1)
    best = np.argsort(-np.abs(difference[rows, columns]), kind="stable")[:num_edges]
    rows, columns = rows[best], columns[best]
    table = pd.DataFrame({"row": rows, "column": columns})
    for side, index in (("a", rows), ("b", columns)):
        table[f"code_{side}"] = places["code"].to_numpy()[index]
        table[f"region_{side}"] = places["name"].to_numpy()[index]
    table["share_of_subjects"] = (images[:, 1] > 0).float().mean(0).cpu().numpy()[rows, columns]
    table["difference"] = difference[rows, columns]
    return table.assign(**{name: mean[rows, columns] for name, mean in means.items()})

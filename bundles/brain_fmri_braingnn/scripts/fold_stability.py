"""Whether folds of a cross-validation tell the same story."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .communities import stability
from .region_scores import agreement, top_regions

__all__ = ["compare_folds"]


def compare_folds(folder: str, share: float = 0.25) -> dict[str, Any]:
    """Agreement over all interpretations below a folder.

    Args:
        folder: searched for ``interpretation/regions.csv`` with ``communities.csv`` beside it, one a fold.
        share: of the regions that count as the top.

    Returns:
        ``folds``, ``jaccard_<class>`` of the regions that score highest, ``jaccard_effect`` of those with the largest
        effect of the class, ``jaccard_chance``, and ``communities`` (:func:`stability`).

    Raises:
        ValueError: when there are fewer than two, or they have other regions or classes.
    """
    paths = sorted(path.parent for path in Path(folder).rglob("interpretation/regions.csv"))
    if len(paths) < 2:
        raise ValueError(
            f"compare_folds: {folder} holds {len(paths)} interpretations, two are needed; run interpret.json."
        )
    regions = [pd.read_csv(path / "regions.csv") for path in paths]
    for path, table in zip(paths, regions, strict=True):
        if list(table) != list(regions[0]) or not table["code"].equals(regions[0]["code"]):
            raise ValueError(
                f"compare_folds: {path} has other regions or classes than {paths[0]}; compare like with like."
            )
    names = [name for name in regions[0] if name.startswith("score_") or name == "effect"]
    tops = {n: [top_regions(table[n].to_numpy(), share) for table in regions] for n in names}
    runs = [pd.read_csv(path / "communities.csv").filter(regex=r"^community_\d+$").to_numpy() for path in paths]
    p = float(np.mean([top for sets in tops.values() for top in sets]))
    return {
        "folds": len(paths),
        **{"jaccard_" + name.removeprefix("score_"): agreement(sets) for name, sets in tops.items()},
        "jaccard_chance": p / (2 - p),
        "communities": stability(runs),
    }

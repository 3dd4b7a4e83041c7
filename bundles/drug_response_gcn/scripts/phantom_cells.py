"""Cells of the phantom screen: expression from a few hidden factors, one of which drives the planted pathway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GENES", "PATHWAY", "TISSUES", "PhantomCells", "phantom_cells"]

TISSUES = ("breast", "colon", "lung", "ovary", "pancreas", "skin")
GENES = tuple(f"GENE{number:03d}" for number in range(1, 201))
PATHWAY = GENES[40:60]  # the mean of their expression is the activity of the planted pathway
ALTERED = GENES[::5]  # genes with a mutation and a copy number
FACTOR_SD = (1.6, 1.4, 1.2, 1.0, 0.9, 0.8)  # hidden factors; number 0 goes with the effect of the cell
PATHWAY_LOADING, PATHWAY_SD = 0.9, 0.35  # of the pathway's genes on a factor of their own, and what the rest leaves
OWN_SD = 0.7  # of a gene apart from the factors, log2 units
EFFECT_SD = (0.35, 0.2)  # effect of a cell on all drugs: with factor 0 and apart from it, ln units
MUTATED, WITHOUT_COPY_NUMBER = 0.12, 0.05  # shares


@dataclass(frozen=True)
class PhantomCells:
    """C cells.

    Args:
        names: of the cells.
        tissues: of the cells.
        activity: of the planted pathway, (C,), mean 0 and standard deviation 1.
        effect: of the cell on all drugs, (C,), ln units.
        omics: `expression` (C, 200) in log2 units, `mutation` (C, 40) of 0 and 1, `copy_number` (C, 40) as log2 ratio;
            the last is NaN in a few cells.
        features: names of the genes by kind.
    """

    names: list[str]
    tissues: list[str]
    activity: NDArray[np.float64]
    effect: NDArray[np.float64]
    omics: dict[str, NDArray[np.float32]]
    features: dict[str, list[str]]


def phantom_cells(number: int, seed: int) -> PhantomCells:
    """Draw cells.

    Expression is a mean per gene, a factor model with tissues, the pathway's own factor, and noise; mutations are
    independent of everything, and a copy number raises the expression of its gene.

    Args:
        number: how many, 6 or more.
        seed: which ones.
    """
    rng = np.random.default_rng([seed, 2])
    tissue = rng.permutation(np.arange(number) % len(TISSUES))
    factors = rng.normal(size=(number, len(FACTOR_SD))) + 0.7 * rng.normal(size=(len(TISSUES), len(FACTOR_SD)))[tissue]
    loadings = rng.normal(size=(len(FACTOR_SD), len(GENES))) * np.array(FACTOR_SD)[:, None] / len(FACTOR_SD) ** 0.5
    copy_number = 0.4 * rng.normal(size=(number, len(ALTERED)))
    expression = factors @ loadings + rng.normal(size=(number, len(GENES))) * OWN_SD
    expression[:, [GENES.index(gene) for gene in ALTERED]] += copy_number
    genes = [GENES.index(gene) for gene in PATHWAY]
    expression[:, genes] = expression[:, genes] * PATHWAY_SD + PATHWAY_LOADING * rng.normal(size=(number, 1)) * 2
    expression += rng.uniform(2, 9, len(GENES))
    activity = expression[:, genes].mean(axis=1)
    shared = (factors[:, 0] - factors[:, 0].mean()) / factors[:, 0].std()
    effect = EFFECT_SD[0] * shared + EFFECT_SD[1] * rng.normal(size=number)
    mutation = rng.random((number, len(ALTERED))) < MUTATED
    copy_number[rng.random(number) < WITHOUT_COPY_NUMBER] = np.nan
    omics = {"expression": expression, "mutation": mutation, "copy_number": copy_number}
    return PhantomCells(
        [f"cell {index:04d}" for index in range(number)],
        [TISSUES[k] for k in tissue],
        (activity - activity.mean()) / activity.std(),
        effect,
        {kind: values.astype(np.float32) for kind, values in omics.items()},
        {"expression": list(GENES), "mutation": list(ALTERED), "copy_number": list(ALTERED)},
    )

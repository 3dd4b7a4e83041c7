"""Phantom screen: small molecules on cells, with a planted rule that ties a group of atoms to a pathway of genes.

    ln IC50 = 2 + effect of the cell + potency of the drug - effect * pharmacophore * pathway activity + noise,

so a molecule with the pharmacophore is strong where the pathway is active. Neither the name of a drug nor a count of
its elements tells which drugs those are; the graph of the molecule does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .common.data import ResponseTables, load_datalist, write_datalist, write_response_tables
from .phantom_cells import PATHWAY, TISSUES, PhantomCells, phantom_cells
from .phantom_molecules import PHARMACOPHORE_SMARTS, POTENCY_SMARTS, PhantomMolecule, phantom_molecules

__all__ = ["PhantomSettings", "make_cohort"]

SECTIONS = ("training", "validation", "test")
MEAN, POTENCY, OWN_SD = 2.0, -1.7, 0.4  # ln uM: overall, of the potency group, of what no group explains
LOWEST = 0.05


@dataclass(frozen=True)
class PhantomSettings:
    """What a screen is made of; its hash names the cohort, so every field that changes a file stands here.

    Args:
        training: units of the split in training: drugs, cells, tissues (6 in all) or blocks of pairs (100 in all).
        validation: units in validation.
        test: units in test; the tables also hold what is in no section.
        split: what no two sections share: `drug`, `cell`, `tissue` or `random` (pairs).
        drugs: number of molecules.
        cells: number of cells.
        measured: share of the pairs that are measured.
        effect: fall of ln IC50 per standard deviation of pathway activity in drugs with the pharmacophore.
        noise: standard deviation of the noise, ln units.
        seed: the whole cohort follows from it.
        version: raised when the generator changes.
    """

    training: int = 110
    validation: int = 15
    test: int = 25
    split: str = "drug"
    drugs: int = 150
    cells: int = 120
    measured: float = 0.7
    effect: float = 1.5
    noise: float = 0.5
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a number is outside its range, the split unknown, or there are fewer units than asked for.
        """
        for name in ("training", "validation", "test", "seed", "version"):
            if (number := getattr(self, name)) < 0:
                raise ValueError(f"PhantomSettings: {name} is {number}, it must be 0 or more.")
        ranges = {"drugs": (1, 3000), "cells": (6, 5000), "measured": (LOWEST, 1), "effect": (0, 10), "noise": (0, 10)}
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"PhantomSettings: {name} is {value}, it must lie in {low} .. {high}.")
        units = {"drug": self.drugs, "cell": self.cells, "tissue": len(TISSUES), "random": 100}
        if self.split not in units:
            raise ValueError(f"PhantomSettings: split is {self.split!r}, it must be one of {list(units)}.")
        if (wanted := self.training + self.validation + self.test) > units[self.split]:
            raise ValueError(
                f"PhantomSettings: the sections ask for {wanted} units, and split {self.split!r} has "
                f"{units[self.split]}; ask for fewer."
            )


def make_cohort(folder: Path, settings: PhantomSettings) -> None:
    """Write the screen: `responses.csv`, `drugs.csv`, `cells.csv`, `omics.npz` and `dataset.json`.

    `dataset.json` also holds the truth: `pharmacophore` and `potency_group` (SMARTS), `with_pharmacophore` (names of
    drugs) and `pathway` (genes whose mean expression is the planted activity).

    Args:
        folder: to fill; made when missing.
        settings: what to draw.
    """
    molecules = phantom_molecules(settings.drugs, settings.seed)
    cells = phantom_cells(settings.cells, settings.seed)
    names = [f"drug {index:04d}" for index in range(settings.drugs)]
    smiles = [molecule.smiles for molecule in molecules]
    tables = ResponseTables(
        _responses(names, molecules, cells, settings),
        pd.DataFrame({"drug": names, "smiles": smiles, "parent": smiles, "group": smiles}),
        pd.DataFrame({"cell": cells.names, "tissue": cells.tissues, "name": cells.names}),
        cells.omics,
        cells.features,
    )
    title = "drug response phantoms"
    text = (
        f"{len(tables.responses)} synthetic responses of {settings.drugs} made-up molecules on {settings.cells} "
        f"made-up cells with a planted rule, seed {settings.seed}, generator version {settings.version}"
    )
    write_response_tables(folder, tables, settings.split, title, text, 0, 0, settings.seed)
    truth = {
        "pharmacophore": PHARMACOPHORE_SMARTS,
        "potency_group": POTENCY_SMARTS,
        "with_pharmacophore": [name for name, one in zip(names, molecules, strict=True) if one.pharmacophore],
        "pathway": list(PATHWAY),
        "split": settings.split,
    }
    write_datalist(folder, title, text, {}, _deal(load_datalist(folder)["training"], settings), truth)


def _responses(
    names: list[str], molecules: tuple[PhantomMolecule, ...], cells: PhantomCells, settings: PhantomSettings
) -> pd.DataFrame:
    """One row a measured pair; every drug and every cell has at least one."""
    drug_rng, pair_rng = np.random.default_rng([settings.seed, 3]).spawn(2)
    pharmacophore, potent = np.array([[one.pharmacophore, one.potency] for one in molecules], dtype=float).T
    potency = POTENCY * potent + OWN_SD * drug_rng.normal(size=len(names))
    noise = settings.noise * pair_rng.normal(size=(len(names), settings.cells))
    rule = -settings.effect * np.outer(pharmacophore, cells.activity)
    values = MEAN + potency[:, None] + cells.effect + rule + noise  # (D, C)
    chosen = pair_rng.random(values.shape) < settings.measured
    chosen[np.arange(len(names)), np.arange(len(names)) % settings.cells] = True
    chosen[np.arange(settings.cells) % len(names), np.arange(settings.cells)] = True
    drug, cell = np.nonzero(chosen)
    return pd.DataFrame(
        {
            "drug": [names[k] for k in drug],
            "cell": [cells.names[k] for k in cell],
            "ln_ic50": values[drug, cell].round(4),
            "replicates": 1,
        }
    )


def _deal(cases: list[dict[str, Any]], settings: PhantomSettings) -> dict[str, list[dict[str, Any]]]:
    """Give each section its number of groups, in order of first appearance."""
    groups = iter(dict.fromkeys(case["group"] for case in cases))
    taken = {name: set(islice(groups, getattr(settings, name))) for name in SECTIONS if getattr(settings, name)}
    return {name: [case for case in cases if case["group"] in chosen] for name, chosen in taken.items()}

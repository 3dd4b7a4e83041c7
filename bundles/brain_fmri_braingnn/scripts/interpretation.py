"""Interpretation of a trained BrainGNN as tables, figures and one page."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .common.data.atomic import atomic_path
from .findings import Findings, find
from .findings_figures import draw, draw_map
from .fold_stability import compare_folds
from .interpretation_page import write_page
from .phantoms import planted_regions
from .region_places import read_places

__all__ = ["find_planted", "interpret", "load_weights"]


def load_weights(network: nn.Module, weights: str) -> nn.Module:
    """Load a state dict into a network, in place, and put it into evaluation mode.

    Raises:
        FileNotFoundError: when `weights` does not exist.
    """
    if not Path(weights).is_file():
        raise FileNotFoundError(f"load_weights: weights {weights} do not exist; train first or set ckpt_path.")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def find_planted(dataset_dir: str, default_dir: str) -> list[int]:
    """Codes of the planted regions of phantoms; empty for other data.

    Args:
        dataset_dir: its ``dataset.json`` may have the entry ``planted_regions``, code to name.
        default_dir: folder of the bundle's own phantoms.
    """
    file = Path(dataset_dir) / "dataset.json"
    if file.is_file():
        return [int(code) for code in json.loads(file.read_text()).get("planted_regions", {})]
    return list(planted_regions()) if Path(dataset_dir).resolve() == Path(default_dir).resolve() else []


def interpret(
    network: nn.Module,
    cases: Dataset,
    regions: str,
    class_names: Sequence[str],
    output_dir: str,
    data: str,
    atlas: str | None = None,
    planted: Sequence[int] = (),
    num_steps: int = 16,
    num_edges: int = 20,
    folds: str | None = None,
) -> dict[str, Any]:
    """Write ``regions.csv``, ``communities.csv``, ``edges.csv``, figures, ``interpretation.json`` and ``.html``.

    Args:
        network: trained, contains :class:`~.network.BrainGNN`; in evaluation mode.
        cases: labelled preprocessed cases with ``image`` (channels, N, N) and ``label``, of every class.
        regions: region table with names, lobes and centres.
        class_names: C names.
        output_dir: folder to fill.
        data: what the figures say the data are.
        atlas: label image; with it the effect of the class is also written as ``brain_map.nii.gz``.
        planted: codes of the regions that differ in truth (phantoms).
        num_steps: of integrated gradients.
        num_edges: rows of ``edges.csv``.
        folds: folder with interpretations of several folds to compare.

    Returns:
        The numbers of ``interpretation.json``.

    Raises:
        ValueError: when the cases lack a label or a class, table and network have other regions, or the atlas lacks
            a region.
    """
    places, folder = read_places(regions), Path(output_dir)
    images, labels = _stack(cases)
    if len(places) != images.shape[-1]:
        raise ValueError(f"interpret: {regions} has {len(places)} regions, images {images.shape[-1]}; make them fit.")
    truth = places["code"].isin(planted).to_numpy() if len(planted) else None
    images = images.to(next(network.parameters()).device)
    found = find(network, images, labels, places, class_names, truth, num_steps, num_edges)
    if folds:
        found.numbers["agreement over folds"] = compare_folds(folds)
    note = _note(found, data)
    _write_tables(found, folder)
    figures = draw(found, folder, note) | (draw_map(found, folder, note, atlas) if atlas else {})
    write_page(folder / "interpretation.html", "What BrainGNN attends to", note, figures, _tables(found), found.numbers)
    _log(found, folder, note)
    return found.numbers


def _stack(cases: Dataset) -> tuple[Tensor, Tensor]:
    items = [cases[k] for k in range(len(cases))]  # type: ignore[arg-type]
    images = torch.stack([torch.as_tensor(item["image"]).float() for item in items])
    return images, torch.tensor([int(item["label"]) for item in items])


def _note(found: Findings, data: str) -> str:
    counts = ", ".join(f"{int((found.labels == k).sum())} {name}" for k, name in enumerate(found.class_names))
    networks = f"mean of {found.num_networks} networks" if found.num_networks > 1 else "one network"
    return f"{data}: n = {len(found.labels)} ({counts}); {networks}"


def _write_tables(found: Findings, folder: Path) -> None:
    edges = found.edges.drop(columns=["row", "column"], errors="ignore")
    for name, table in (("regions", found.regions), ("communities", found.communities), ("edges", edges)):
        with atomic_path(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    with atomic_path(folder / "interpretation.json") as temporary:
        temporary.write_text(json.dumps(_finite(found.numbers), indent=4) + "\n")


def _finite(value: Any) -> Any:
    """Replace NaN by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tables(found: Findings) -> dict[str, Any]:
    """Head of each table by caption."""
    table = found.regions.drop(columns="code")
    tables = {f"Highest score: {name}": table.nlargest(10, f"score_{name}") for name in found.class_names}
    tables["Largest effect of the class"] = table.nlargest(10, "effect")
    if len(found.edges):
        columns = ["region_a", "region_b", "share_of_subjects", "difference"]
        tables["Edges with the largest difference"] = found.edges[columns].head(10)
    return tables


def _log(found: Findings, folder: Path, note: str) -> None:
    logger = logging.getLogger("interpret")
    logger.info(f"{note}; report: {folder}/interpretation.html")
    for name, value in found.numbers.get("planted-region AUC", {}).items():
        logger.info(f"planted-region AUC by {name}: {value:.3f}")

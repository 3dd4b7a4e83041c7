"""All fusion networks and baselines on the same unseen AANLIB pairs: figures, robustness, speed and a picture.

Run from the repository root: ``python -m benchmarks.fusion_study AANLIB OUTPUT_DIR [--write]`` (or ``make fusion-study
AANLIB=...``). AANLIB holds ``CT-MRI/{CT,MRI}/*.png`` and the same for PET and SPECT. An interrupted run goes on where it
stopped. Three stages, each of which can be run by itself:

- train: cross-validate every network on the same folds by case, two at a time with one thread each.
- score: fuse every pair with the networks that never saw its case and with the baselines, all metrics of each image in
  ``<modality>/scores.csv``; some pairs also with the second source shifted, in ``<modality>/shifted.csv``.
- write: ``fusion_study.json``, the tables ``fusion_study.md`` from it, and ``figures/fusion_study.png``.
"""

import argparse
import contextlib
import os
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from scipy.ndimage import shift
from torch import Tensor
from tqdm import tqdm

from common.commands.cross_validate import cross_validate
from common.data import (
    SECTIONS,
    datalist_aanlib,
    in_parallel,
    load_datalist,
    read_fusion_table,
    write_fusion_table,
)
from common.handlers.fusion_case import case_rows
from common.metrics import FUSION_BASELINES
from common.transforms import fused_output

from .fusion_study_figures import draw_study
from .fusion_study_methods import NETWORKS, ROOT, fusers, load_pair
from .fusion_study_tables import ROBUST_METRICS, SHIFTS, UNSHIFTED, collect, write_study

Rows = list[dict[str, Any]]
FOLDS = {"CT": 4, "PET": 3, "SPECT": 4}
SEED = 0
WORKERS = 2
OUTPUT_RANGE = "minmax"
MOVED = 5  # every so many of the scored pairs is also fused with a shifted source
DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # rows down, columns right


def train(job: tuple[str, str], output: Path, folds: dict[str, int], ids: dict[str, Any]) -> None:
    """Cross-validate one network on one modality; what it prints goes to ``cross_validate.log``."""
    modality, name = job
    network, folder = NETWORKS[name], output / modality / name
    if modality in network.max_epochs:
        ids = {"max_epochs": network.max_epochs[modality]} | ids
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "cross_validate.log", "a") as log, contextlib.redirect_stdout(log):
        cross_validate(
            str(ROOT / "bundles" / network.bundle),
            str(output / modality / "data"),
            str(folder),
            folds=folds[modality],
            config=network.config_files(modality),
            sections=SECTIONS,
            inner_validation=0,
            seed=SEED,
            **{"modality": modality, "weights": "model", "metrics": ["qabf"], "num_bootstrap": 20, **ids},
        )


def thinned(items: Sequence[dict[str, Any]], every: int) -> list[dict[str, Any]]:
    """Every so many of the pairs of each case, in the order of its slices; at least one."""
    cases = defaultdict(list)
    for item in sorted(items, key=lambda item: item["slice"]):
        cases[item["group"]].append(item)
    return [item for part in cases.values() for item in part[len(part) % every // 2 :: every]]


def shifted(image: Tensor, pixels: int, direction: int) -> Tensor:
    """Sources (2, H, W) with the second moved along one of :data:`DIRECTIONS`; zeros come in."""
    offset = [pixels * step for step in DIRECTIONS[direction]]
    return torch.stack([image[0], torch.from_numpy(shift(image[1].numpy(), offset, order=0))])


@torch.no_grad()
def score_pair(job: tuple[dict[str, Any], Sequence[str], bool], folder: Path) -> tuple[Rows, Rows]:
    """Rows of a pair for ``scores.csv`` and, where it is moved, for ``shifted.csv``: one for each method asked for."""
    item, names, moved = job
    torch.set_num_threads(1)
    case = load_pair(item | {"section": folder.name})
    rows, shifted_rows = [], []
    for name, fuse in fusers(folder, names, item["id"]).items():
        rows += _row(case, fuse, case["image"], None, name)
        for pixels in SHIFTS if moved else ():
            image = shifted(case["image"], pixels, zlib.crc32(item["id"].encode()) % len(DIRECTIONS))
            row = _row(case | {"image": image}, fuse, image, ROBUST_METRICS, f"{name} {pixels} px")[0]
            still = _row(case, fuse, image, ROBUST_METRICS, name)[0]["values"]
            row["values"] |= {metric + UNSHIFTED: value for metric, value in still.items()}
            shifted_rows.append(row)
    return rows, shifted_rows


def _row(case: dict[str, Any], fuse: Any, image: Tensor, metrics: Sequence[str] | None, method: str) -> Rows:
    """Figures, against the sources of ``case``, of what a method makes of ``image`` (2, H, W)."""
    fused = fused_output(fuse(image[None])[0], image, OUTPUT_RANGE)
    return [row | {"method": method} for row in case_rows(case, fused, OUTPUT_RANGE, metrics, [])]


def score(folder: Path, names: Sequence[str], every: int) -> None:
    """Add what is missing to ``scores.csv`` and ``shifted.csv`` of one modality, both rewritten after each pair."""
    items = pairs(folder, every)
    chosen = {item["id"] for item in thinned(items, MOVED)}
    tables = [read_rows(folder / file) for file in ("scores.csv", "shifted.csv")]
    done, done_moved = ({(row["id"], row["method"]) for row in rows} for rows in tables)
    jobs = []
    for item in items:
        moved = item["id"] in chosen
        missing = [
            name
            for name in names
            if (item["id"], name) not in done or (moved and (item["id"], f"{name} {SHIFTS[-1]} px") not in done_moved)
        ]
        jobs += [(item, missing, moved)] if missing else []
    found = in_parallel(partial(score_pair, folder=folder), jobs, WORKERS)
    for added in tqdm(found, f"score {folder.name}", len(jobs), unit="pair", disable=None):
        for k, file in enumerate(("scores.csv", "shifted.csv")):
            replaced = {(row["id"], row["method"]) for row in added[k]}
            tables[k] = [row for row in tables[k] if (row["id"], row["method"]) not in replaced] + added[k]
            write_fusion_table(folder / file, tables[k])


def pairs(folder: Path, every: int) -> list[dict[str, Any]]:
    """Pairs of a modality that are scored."""
    sections = load_datalist(folder / "data")
    return thinned([item for part in sections.values() for item in part], every)


def read_rows(path: Path) -> Rows:
    """Rows of a table that may not exist yet."""
    return read_fusion_table(path) if path.is_file() else []


def write(options: argparse.Namespace) -> None:
    """Collect all figures and write the three files of the study."""
    target = ROOT / "docs" if options.write else options.output_dir
    methods = [*options.networks, *FUSION_BASELINES]
    scored = {}
    for modality in options.modalities:
        folder = options.output_dir / modality
        ids = {item["id"] for item in pairs(folder, options.every)}
        kept = [
            [row for row in read_rows(folder / file) if row["id"] in ids and row["method"].split(" ")[0] in methods]
            for file in ("scores.csv", "shifted.csv")
        ]
        lacking = [name for name in methods if sum(row["method"] == name for row in kept[0]) < len(ids)]
        if lacking:
            raise ValueError(f"fusion_study: {folder}/scores.csv lacks pairs of {lacking[0]}; run --stage score first.")
        scored[modality] = (kept[0], kept[1])
    study = collect(options.output_dir, scored, options.networks, options.folds, options.every, options.max_epochs)
    study["picture"] = draw_study(options.output_dir, options.modalities, methods, target / "figures/fusion_study.png")
    write_study(study, target)
    print(f"study: {target}/fusion_study.json, fusion_study.md and figures/fusion_study.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages asked for."""
    options = _options(arguments)
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings, which are processes of their own
    if options.stage in ("train", "all"):
        for modality in options.modalities:
            if not (options.output_dir / modality / "data" / "dataset.json").is_file():
                datalist_aanlib(options.aanlib, options.output_dir / modality / "data", modality, seed=SEED)
        jobs = [(modality, name) for modality in options.modalities for name in options.networks]
        ids = {} if options.max_epochs is None else {"max_epochs": options.max_epochs}
        work = partial(train, output=options.output_dir, folds=options.folds, ids=ids)
        for _ in tqdm(in_parallel(work, jobs, WORKERS), "train", len(jobs), unit="network", disable=None):
            pass
    if options.stage in ("score", "all"):
        for modality in options.modalities:
            score(options.output_dir / modality, [*options.networks, *FUSION_BASELINES], options.every)
    if options.stage in ("write", "all"):
        write(options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("aanlib", type=Path, help="folder with CT-MRI, PET-MRI and SPECT-MRI")
    parser.add_argument("output_dir", type=Path, help="folder for weights and scores")
    parser.add_argument("--modalities", type=_some_of("modality", FOLDS), default=list(FOLDS))
    parser.add_argument("--networks", type=_some_of("network", NETWORKS), default=list(NETWORKS))
    parser.add_argument("--folds", type=_folds, default=FOLDS, help="such as CT=4,PET=3,SPECT=4")
    parser.add_argument("--every", type=int, default=1, help="score every so many of the pairs of a case")
    parser.add_argument("--max_epochs", type=int, help="for a trial: of every training, in place of its config's own")
    parser.add_argument("--stage", choices=("train", "score", "write", "all"), default="all")
    parser.add_argument("--write", action="store_true", help="put the results into docs/, not into output_dir")
    options = parser.parse_args(arguments)
    options.output_dir = options.output_dir.absolute()
    return options


def _some_of(kind: str, known: Any) -> Any:
    """Reader of a list with commas, each one of ``known``."""

    def read(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise argparse.ArgumentTypeError(f"{kind} {unknown[0]!r} is unknown; choose of {','.join(known)}")
        return text.split(",")

    return read


def _folds(text: str) -> dict[str, int]:
    found = dict(FOLDS)
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in FOLDS or not number.isdecimal() or int(number) < 2:
            raise argparse.ArgumentTypeError(f"{part!r} is no number of folds, 2 or more; give such as CT=4,PET=3")
        found[name] = int(number)
    return found


if __name__ == "__main__":
    main()

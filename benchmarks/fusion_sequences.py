"""Tumour contrast of fused MRI sequences: medians of the tables ``lesion_contrast.csv`` of inference runs.

``python benchmarks/fusion_sequences.py "TITLE=FOLDER" ... [--write docs/fusion_sequences]``: FOLDER is the ``output_dir``
of a run of ``inference.json`` with ``sequences.json``; single sequences and baselines are those of the first run.
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import median

LESIONS = {"whole_tumour": "whole tumour", "enhancing": "enhancing", "necrosis": "necrosis"}
HEAD = (
    "`inference.json` with `sequences.json`, weights of the phantoms, on 12 four-sequence phantoms that no network saw"
    ' (`PhantomSettings(training=0, validation=0, test=12, seed=1, modalities=("BraTS",))`): contrast-to-noise of the'
    " lesion against normal tissue 1 to 6 mm around it, median over volumes, output range clip."
)


def medians(folder: Path, method: str) -> dict[str, float]:
    """Median contrast-to-noise of each lesion with one method."""
    with open(folder / "lesion_contrast.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    cells = {
        name: [float(r[f"cnr_{method}"]) for r in rows if r["lesion"] == name and r[f"cnr_{method}"]]
        for name in LESIONS
    }
    return {name: round(median(found), 4) for name, found in cells.items()}


def collect(runs: list[str]) -> dict[str, dict[str, float]]:
    """Figures by title, single sequences and baselines first."""
    folders = {title: Path(folder) for title, _, folder in (run.rpartition("=") for run in runs)}
    first = next(iter(folders.values()))
    with open(first / "lesion_contrast.csv", newline="") as handle:
        methods = [name[4:] for name in csv.DictReader(handle).fieldnames or [] if name.startswith("cnr_")]
    table = {f"{name} of all" if name in ("average", "maximum") else name: medians(first, name) for name in methods[1:]}
    return table | {title: medians(folder, "model") for title, folder in folders.items()}


def markdown(table: dict[str, dict[str, float]]) -> str:
    """One line for each title."""
    lines = ["| fused | " + " | ".join(LESIONS.values()) + " |", "|---|---|---|---|"]
    return "\n".join(
        lines
        + [f"| {title} | " + " | ".join(f"{row[name]:.2f}" for name in LESIONS) + " |" for title, row in table.items()]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="TITLE=FOLDER")
    parser.add_argument("--write", help="name of the .md and .json file, without suffix")
    options = parser.parse_args()
    found = collect(options.runs)
    print(markdown(found))
    if options.write:
        Path(f"{options.write}.json").write_text(json.dumps(found, indent=4) + "\n")
        Path(f"{options.write}.md").write_text(
            f"# Tumour contrast of fused MRI sequences\n\n{HEAD}\n\n{markdown(found)}\n"
        )

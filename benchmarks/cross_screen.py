"""Train on one screen, test on another: what is left of the figures.

    python -m benchmarks.cross_screen --run GDSC2=gdsc2/cell GDSC1=predictions.csv CCLE=predictions.csv \
        --run GDSC1=gdsc1/cell GDSC2=predictions.csv CCLE=predictions.csv --output docs/cross_screen.md

Each ``--run`` names the screen (datalist folder, split by cell) whose training section a network has learnt, then the
``predictions.csv`` of ``inference.json`` on each other screen. Counted are pairs of drugs that training knew with cells
that it did not; beside the network stands the mean of the drug in the training screen. The last columns are about the
screens alone: how well the two agree on the pairs that both have measured.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from common.data import load_datalist, read_responses, responses_of

MIN_PAIRS = 10
HEAD = (
    "| trained on | tested on | drugs | unseen cells | pairs | RMSE | RMSE, drug mean | RMSE, own drug mean | mean per-drug r |"
    " both measured | RMSE between screens | mean per-drug r between screens |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def rmse(error: pd.Series) -> float:
    return float(np.sqrt((error**2).mean()))


def per_drug_r(frame: pd.DataFrame, one: str, other: str) -> float:
    """Mean over drugs with ten pairs or more of the correlation over cells."""
    found = [
        np.corrcoef(part[one], part[other])[0, 1]
        for _, part in frame.groupby("drug")
        if len(part) >= MIN_PAIRS and part[one].std() > 0 and part[other].std() > 0
    ]
    return float(np.mean(found)) if found else float("nan")


def row(trained: str, folder: Path, tested: str, predictions: Path) -> str:
    responses = pd.read_csv(folder / "responses.csv", dtype={"drug": str, "cell": str})
    training = responses_of(responses, load_datalist(folder)["training"])
    table = pd.DataFrame(read_responses(predictions))
    table = table[(table["error"] == "") & table["y"].notna() & table["drug"].isin(training["drug"])]
    table["mean"] = table["drug"].map(training.groupby("drug")["ln_ic50"].mean())
    unseen = table[~table["cell"].isin(training["cell"])]
    own = unseen.groupby("drug")["y"].transform("mean")
    both = table.merge(responses, on=["drug", "cell"])
    numbers = [
        f"{unseen['drug'].nunique()}",
        f"{unseen['cell'].nunique()}",
        f"{len(unseen):,}",
        f"{rmse(unseen['pred'] - unseen['y']):.2f}",
        f"{rmse(unseen['mean'] - unseen['y']):.2f}",
        f"{rmse(own - unseen['y']):.2f}",
        f"{per_drug_r(unseen, 'pred', 'y'):.2f}",
        f"{len(both):,}",
        f"{rmse(both['ln_ic50'] - both['y']):.2f}",
        f"{per_drug_r(both, 'ln_ic50', 'y'):.2f}",
    ]
    return "| " + " | ".join([trained, tested, *numbers]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="+", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = [HEAD]
    for first, *others in arguments.run:
        trained, folder = first.split("=", 1)
        lines += [row(trained, Path(folder), *_named(other)) for other in others]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _named(text: str) -> tuple[str, Path]:
    name, path = text.split("=", 1)
    return name, Path(path)


if __name__ == "__main__":
    main()

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts.common.data import load_datalist, responses_of, write_responses
from scripts.phantoms import PhantomSettings, make_cohort

from benchmarks.cross_screen import row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_cohort(tmp_path / "screen", PhantomSettings(20, 5, 5, "cell", drugs=8, cells=30))
    return tmp_path / "screen"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_only_known_drugs_on_unseen_cells_count(folder: Path, tmp_path: Path) -> None:
    responses = pd.read_csv(folder / "responses.csv")
    training = responses_of(responses, load_datalist(folder)["training"])
    rows = [
        {"id": f"{r.drug}|{r.cell}", "group": r.cell, "section": "new", "drug": r.drug, "cell": r.cell}
        | {"y": r.ln_ic50 + 2, "pred": r.ln_ic50 + 2 + (0.5 if r.cell not in set(training["cell"]) else 9.0)}
        for r in responses.itertuples()
    ]
    rows.append({"id": "x|y", "group": "y", "section": "new", "drug": "x", "cell": "y", "y": 0.0, "pred": 99.0})
    rows.append({"id": "x|z", "group": "z", "section": "new", "drug": "x", "cell": "z", "error": "broken"})
    write_responses(tmp_path / "predictions.csv", rows, ("drug", "cell"))
    found = cells(row("A", folder, "B", tmp_path / "predictions.csv"))
    unseen = responses[~responses["cell"].isin(training["cell"])]
    mean = unseen["drug"].map(training.groupby("drug")["ln_ic50"].mean())
    expected = float(np.sqrt(((mean - unseen["ln_ic50"] - 2) ** 2).mean()))
    assert found[:6] == ["A", "B", "8", "10", f"{len(unseen):,}", "0.50"]
    assert float(found[6]) == pytest.approx(expected, abs=0.006)
    assert found[9:11] == [f"{len(responses):,}", "2.00"] and float(found[11]) == 1

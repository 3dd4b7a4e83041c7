from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from scipy.stats import pearsonr
from scripts.response_figures import correlation_table, plot_group, plot_responses


def pairs(num_drugs: int = 9, num_cells: int = 20) -> pd.DataFrame:
    """All pairs; the later the drug, the noisier its prediction; the last has three pairs."""
    rng = np.random.default_rng(0)
    drugs, cells = np.divmod(np.arange(num_drugs * num_cells), num_cells)
    y = rng.normal(size=len(drugs)) + drugs
    pred = y + rng.normal(size=len(drugs)) * 0.3 * drugs
    frame = pd.DataFrame(
        {"drug": [f"drug <{d}>" for d in drugs], "cell": [f"C{c}" for c in cells], "y": y, "pred": pred}
    )
    return frame.assign(low=pred - 2, high=pred + 2).iloc[: len(drugs) - num_cells + 3]


def test_table_has_correlation_and_error_of_each_group_best_first() -> None:
    frame = pairs()
    table = correlation_table(frame, "drug")
    assert list(table.columns) == ["drug", "pairs", "r", "rmse"]
    assert table["r"].is_monotonic_decreasing and table["drug"][0] == "drug <0>"
    assert len(table) == 8  # the last drug has three pairs
    row = table[table["drug"] == "drug <4>"].iloc[0]
    own = frame[frame["drug"] == "drug <4>"]
    assert row["r"] == pytest.approx(pearsonr(own["y"], own["pred"])[0])
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((own["y"] - own["pred"]) ** 2)))
    assert row["pairs"] == 20


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(pairs(), id="intervals"),
        pytest.param(pairs().drop(columns=["low", "high"]), id="no-intervals"),
        pytest.param(pairs().assign(low=np.nan, high=np.nan), id="empty-intervals"),
        pytest.param(pairs().assign(pred=1.0), id="constant-prediction"),
        pytest.param(pairs().assign(pred=-pairs()["y"]), id="negative-correlation"),
        pytest.param(pairs().iloc[:2], id="two-pairs"),
        pytest.param(pairs().iloc[:1].assign(pred=0.0, y=0.0), id="one-pair-on-the-line"),
    ],
)
def test_overview_is_drawn(frame: pd.DataFrame, tmp_path: Path) -> None:
    plot_responses(frame, tmp_path / "new" / "overview.png", "title")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["overview.png"]
    assert imread(tmp_path / "new" / "overview.png").std() > 0.01


def test_a_group_is_a_small_square_picture(tmp_path: Path) -> None:
    plot_group(pairs().iloc[:20], tmp_path / "one.png")
    assert imread(tmp_path / "one.png").shape[:2] == (260, 260)
    assert (tmp_path / "one.png").stat().st_size < 20_000


def test_no_pairs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plot_responses: pairs has no row"):
        plot_responses(pairs().iloc[:0], tmp_path / "overview.png")

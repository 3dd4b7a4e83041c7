import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.visualize.learning_rates import suggest_learning_rate, write_learning_rates

RATES = np.geomspace(1e-6, 1, 100)


def curve(turn: float = 1e-3, noise: float = 0.0, blow_up: float = 0.1) -> np.ndarray:
    """A loss that falls fastest at ``turn`` and rises behind ``blow_up``."""
    steps = np.log10(RATES / turn)
    loss = 1.5 - np.tanh(1.5 * steps) + 20 * np.clip(np.log10(RATES / blow_up), 0, None) ** 2
    return loss + noise * np.random.default_rng(0).standard_normal(len(RATES))


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("turn", [1e-4, 1e-3])
def test_the_suggestion_is_where_the_loss_falls_fastest_without_a_lag(turn: float, noise: float) -> None:
    rate, _ = suggest_learning_rate(RATES, curve(turn, noise))
    assert turn / 1.8 < rate < turn * 1.8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_what_follows_a_loss_that_is_no_number_is_left_out(bad: float) -> None:
    losses = curve()
    losses[80] = bad
    losses[81:] = 0.001  # a fall that means nothing
    rate, smooth = suggest_learning_rate(RATES, losses)
    assert len(smooth) == 80
    assert rate == pytest.approx(1e-3, rel=0.3)


def test_a_drop_behind_the_minimum_is_no_suggestion() -> None:
    losses = curve()
    losses[95:] = 5.0  # from 20 on: the steepest fall of all, of a run that has diverged
    assert suggest_learning_rate(RATES, losses)[0] == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        pytest.param([1.0] * 5 + [np.nan] * 95, "5 of 100 losses are positive numbers", id="diverged-at-once"),
        pytest.param(np.linspace(1, 9, 100), "the loss never falls", id="never-falls"),
    ],
)
def test_without_a_fall_both_files_are_there_and_one_sentence(tmp_path: Path, losses: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_learning_rates({"lr": list(RATES), "loss": list(losses)}, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"learning_rates.csv", "learning_rates.png"}


def test_table_figure_and_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        rate = write_learning_rates({"lr": list(RATES), "loss": list(curve())}, str(tmp_path))
    assert f"pass --learning_rate {rate:.2g}. Curve: {tmp_path}/learning_rates.png" in caplog.text
    rows = list(csv.DictReader(open(tmp_path / "learning_rates.csv")))
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(RATES)
    assert [float(row["loss"]) for row in rows] == pytest.approx(curve())
    picture = np.asarray(Image.open(tmp_path / "learning_rates.png").convert("RGB")).astype(int)
    assert picture.shape == (675, 1200, 3)
    red = (picture[..., 0] > 200) & (picture[..., 1] < 110)
    column = float(np.median(np.nonzero(red[150:500])[1]))  # of the marked rate, halfway from 1e-6 to 1
    assert 560 < column < 720

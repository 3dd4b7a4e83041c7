import csv
from pathlib import Path

from matplotlib import image

from .engines import make_trainer


def test_history_has_one_row_an_epoch_and_a_figure(tmp_path: Path) -> None:
    make_trainer(tmp_path, 3).run()
    rows = list(csv.DictReader(open(tmp_path / "history.csv")))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(0 <= float(row["val_auc"]) <= 1 and float(row["learning_rate"]) > 0 for row in rows)
    assert float(rows[0]["learning_rate"]) == 0.05  # of the epoch itself, not of the next one
    assert image.imread(tmp_path / "history.png").std() > 0

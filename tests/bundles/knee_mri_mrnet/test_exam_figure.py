from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scripts import exam_figure
from scripts.exam_figure import plot_exam_report


def test_every_curve_has_its_area_and_one_class_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(exam_figure, "Figure", Kept)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (30, 3))
    labels[:, 2] = 0
    stack = np.clip(0.6 * labels + 0.4 * generator.random((30, 3)), 0, 1)
    members = generator.normal(size=(30, 3, 3))
    members[:5, 0] = np.nan
    plot_exam_report({"stack": stack, "mean_of_logits": stack / 2}, members, labels, tmp_path / "e.png", "section test")
    abnormal, acl, meniscus, reliability = figures[0].axes
    texts = abnormal.get_legend_handles_labels()[1]
    assert [text.rsplit(" ", 1)[0] for text in texts] == ["axial", "coronal", "sagittal", "stack", "mean of logits"]
    assert texts[3] == "stack 1.000"
    assert meniscus.get_legend_handles_labels()[1] == []
    assert [text.get_text() for text in meniscus.texts] == ["one class only"]
    assert reliability.get_legend_handles_labels()[1] == ["abnormal", "acl", "meniscus"]
    assert (tmp_path / "e.png").is_file()

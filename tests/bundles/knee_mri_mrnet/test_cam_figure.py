from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scripts import cam_figure
from scripts.cam_figure import PlaneEvidence, plot_cam


def evidence(winner: int = 2, mask: bool = True) -> PlaneEvidence:
    generator = np.random.default_rng(0)
    image, maps = generator.random((2, 4, 24, 24))
    truth = np.zeros((4, 24, 24), dtype=bool)
    truth[1:3, 8:12, 8:12] = True
    return PlaneEvidence(image, maps, np.array([0.1, -0.3, 0.9, 0.2]), winner, 0.75, truth if mask else None)


def test_the_winner_is_shown_and_marked_and_an_absent_plane_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(cam_figure, "Figure", Kept)
    part = evidence()
    plot_cam({"axial": part, "sagittal": evidence(mask=False)}, tmp_path / "c.png", "0001 acl")
    assert (tmp_path / "c.png").stat().st_size > 10000
    axial, bars, coronal = figures[0].axes[:3]
    assert axial.get_title() == "axial: slice 3 of 4, p = 0.75"
    assert np.array_equal(axial.images[0].get_array(), part.image[2])
    overlay = axial.images[1].get_array()
    assert overlay[..., 3].argmax() == part.maps[2].argmax()
    colours = [bar.get_facecolor() for bar in bars.patches]
    assert colours[2] != colours[0] == colours[1] == colours[3]
    assert bars.collections[0].get_offsets()[:, 0].tolist() == [2, 3]  # slices with the finding
    assert coronal.texts[0].get_text() == "no coronal plane"


def test_evidence_against_the_finding_is_not_coloured(tmp_path: Path) -> None:
    part = evidence()._replace(maps=-np.ones((4, 24, 24)))
    plot_cam({"coronal": part}, tmp_path / "c.png")
    assert (tmp_path / "c.png").is_file()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no planes"):
        plot_cam({}, tmp_path / "c.png")
    with pytest.raises(ValueError, match="upsample the maps"):
        plot_cam({"axial": evidence()._replace(maps=np.zeros((4, 8, 8)))}, tmp_path / "c.png")

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from common.visualize import plot_best_and_worst, plot_fusion_panel
from common.visualize.fusion import DIFFERENCES, TILE, _detail


def pair(seed: int = 0, sources: int = 2, shape: tuple[int, int] = (40, 32)) -> np.ndarray:
    return np.random.default_rng(seed).random((sources, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("sources", "shape", "colour"),
    [
        pytest.param(2, (40, 32), False, id="gray"),
        pytest.param(2, (32, 32), True, id="colour"),
        pytest.param(4, (24, 48), False, id="four sequences, wide"),
    ],
)
def test_panel_has_a_tile_for_each_image_and_difference(
    tmp_path: Path, sources: int, shape: tuple[int, int], colour: bool
) -> None:
    images = pair(0, sources, shape)
    chroma = np.full((2, *shape), 0.7, np.float32) if colour else None
    names = [f"T{k}" for k in range(sources)]
    plot_fusion_panel(images, images.max(axis=0), tmp_path / "p.png", chroma, names, "a title")
    drawn = image.imread(tmp_path / "p.png")
    assert drawn.shape[1] > 150 * TILE * (2 * sources + 1)
    assert drawn[:5].min() == 1  # white page
    hue = np.ptp(drawn[..., :3], axis=2)[:, : round(150 * TILE)]  # column of the first source
    assert (np.median(hue) > 0.1) == colour


def test_no_difference_is_black_and_its_signs_have_their_colours(tmp_path: Path) -> None:
    assert DIFFERENCES(0.5)[:3] == pytest.approx((0, 0, 0), abs=0.01)
    assert DIFFERENCES(0.75)[0] > 2 * DIFFERENCES(0.75)[2]
    assert DIFFERENCES(0.25)[2] > 2 * DIFFERENCES(0.25)[0]


def test_detail_is_where_sources_that_both_show_something_disagree_most() -> None:
    sources = np.full((2, 40, 32), 0.5)
    sources[0, 20:26, 3:9] = 0.9
    sources[1, 0:10, 20:32] = 0  # nothing to see here, whatever the difference
    top, left, side = _detail(sources)
    assert side == 8
    assert top <= 20 <= 26 <= top + side
    assert left <= 3 <= 9 <= left + side


def test_detail_stays_inside_the_image() -> None:
    for corner in ((0, 0), (0, 31), (39, 0), (39, 31)):
        sources = np.full((2, 40, 32), 0.5)
        sources[0][corner] = 1
        top, left, side = _detail(sources)
        assert 0 <= top <= corner[0] < top + side <= 40
        assert 0 <= left <= corner[1] < left + side <= 32
    assert _detail(np.zeros((2, 40, 32)))[2] == 8


def cases(count: int) -> list[dict]:
    result = []
    for k in range(count):
        images = pair(k, shape=(20 + k, 20))
        values = {"vif": 0.5, "qabf": float((7 * k) % count), "ms_ssim": float("nan")}
        result.append({"id": f"c{k}", "sources": images, "fused": images.max(axis=0), "chroma": None, "values": values})
    return result


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 2), (3, 2), (9, 6)])
def test_best_and_worst_do_not_overlap(tmp_path: Path, count: int, rows: int) -> None:
    plot_best_and_worst(cases(count), tmp_path / "b.png", "qabf")
    height = image.imread(tmp_path / "b.png").shape[0] / 150
    assert rows == round((height - 0.3) / (TILE * (1 + count / 40)))


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_stands_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, higher: bool) -> None:
    drawn: list[str] = []
    monkeypatch.setattr("matplotlib.axes.Axes.text", lambda self, x, y, text, **style: drawn.append(text))
    plot_best_and_worst(cases(4), tmp_path / "b.png", "qabf", k=1, higher_is_better=higher)
    order = [3, 0] if higher else [0, 3]
    ids = [next(case["id"] for case in cases(4) if case["values"]["qabf"] == value) for value in order]
    assert drawn[::2] == [f"best\n{ids[0]}", f"worst\n{ids[1]}"]
    assert drawn[1].splitlines()[:2] == [f"qabf {order[0]}", "vif 0.5"]


def test_bad_input_is_named(tmp_path: Path) -> None:
    images = pair()
    with pytest.raises(ValueError, match="names \\['CT'\\]; give"):
        plot_fusion_panel(images, images[0], tmp_path / "p.png", names=["CT"])
    with pytest.raises(ValueError, match="fused \\(32, 40\\)"):
        plot_fusion_panel(images, images[0].T, tmp_path / "p.png")
    with pytest.raises(ValueError, match="metric is 'ms_ssim', which c0 has not"):
        plot_best_and_worst(cases(2), tmp_path / "p.png", "ms_ssim")
    with pytest.raises(ValueError, match="an empty list of pairs"):
        plot_best_and_worst([], tmp_path / "p.png", "qabf")

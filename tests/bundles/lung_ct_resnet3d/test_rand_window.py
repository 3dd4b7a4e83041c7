import pytest
import torch
from scripts.rand_window import RandWindow, RandWindowd

WINDOW = (-1000.0, 400.0)


def units(hu: torch.Tensor) -> torch.Tensor:
    return (hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0])


def test_it_equals_another_window_on_the_same_hounsfield_units() -> None:
    hu = torch.linspace(-1024, 600, 200).reshape(1, 5, 5, 8)
    transform = RandWindow(WINDOW, level_hu=50, width=0.1, prob=1.0)
    transform.set_random_state(3)
    result = transform(units(hu))
    level, width = -300 + transform._shift, 1400 * transform._factor
    assert abs(transform._shift) > 1
    assert torch.allclose(result, (hu - (level - width / 2)) / width, atol=1e-6)


def test_tissue_contrast_is_kept_where_scaling_the_clipped_image_bends_it() -> None:
    # fault 12: x * 1.1 after the clip moves soft tissue by 100 HU and leaves air; a window moves both alike
    hu = torch.tensor([-1000.0, -950.0, 0.0, 50.0]).reshape(1, 4, 1, 1)
    transform = RandWindow(WINDOW, level_hu=50, width=0.0, prob=1.0)
    transform.set_random_state(0)
    moved = (transform(units(hu)) - units(hu)).ravel()
    assert torch.allclose(moved, moved[0].expand(4), atol=1e-6)
    scaled = (units(hu) * 1.1 - units(hu)).ravel() * 1400
    assert scaled[0] == 0
    assert scaled[3] > 100


def test_ranges_and_probability() -> None:
    transform = RandWindow(WINDOW, level_hu=50, width=0.1, prob=0.3)
    transform.set_random_state(0)
    drawn = []
    for _ in range(600):
        transform.randomize()
        drawn.append((transform._do_transform, transform._shift, transform._factor))
    assert 0.25 < sum(done for done, _, _ in drawn) / 600 < 0.35
    assert 45 < max(shift for _, shift, _ in drawn) <= 50
    assert 0.9 <= min(factor for _, _, factor in drawn) < 0.91


def test_dictionary_version_draws_once_and_leaves_its_input_alone() -> None:
    data = {"image": torch.rand(1, 4, 4, 4), "other": torch.rand(1, 4, 4, 4), "id": "a"}
    before = data["image"].clone()
    transform = RandWindowd(["image", "other"], WINDOW, prob=1.0)
    transform.set_random_state(1)
    first = transform(data)
    assert torch.equal(data["image"], before)
    array = transform.transform
    assert torch.equal(first["other"], array(data["other"], randomize=False))
    transform.set_random_state(1)
    assert torch.equal(transform(data)["image"], first["image"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"window_hu": (400, -1000)}, "low must be below high", id="empty window"),
        pytest.param({"window_hu": WINDOW, "width": 1.5}, r"must lie in \[0, 1\)", id="width"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandWindow(**arguments)

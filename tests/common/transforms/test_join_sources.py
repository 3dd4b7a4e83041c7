import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.transforms.join_sources import JoinSources, JoinSourcesd

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def test_sources_become_channels_in_order_with_the_affine_of_the_first() -> None:
    first = MetaTensor(torch.rand(1, 4, 5, 6), affine=torch.from_numpy(AFFINE))
    second = MetaTensor(torch.rand(1, 4, 5, 6), affine=torch.from_numpy(AFFINE) + 5e-4)
    item = {"image": first, "mri": second, "id": "a"}
    joined = JoinSourcesd()(item)
    assert set(joined) == {"image", "id"} and set(item) == {"image", "mri", "id"}
    assert torch.equal(torch.as_tensor(joined["image"]), torch.cat([first.as_tensor(), second.as_tensor()]))
    np.testing.assert_array_equal(joined["image"].affine, AFFINE)


def test_an_image_that_holds_all_sources_passes() -> None:
    sources = torch.rand(4, 5, 5)
    assert torch.equal(torch.as_tensor(JoinSourcesd()({"image": sources})["image"]), sources)


def test_more_than_two_sources() -> None:
    item = {key: torch.full((1, 2, 2), k) for k, key in enumerate("abc")}
    assert JoinSourcesd(("a", "b", "c"))(item)["image"][:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        pytest.param(
            {"image": torch.rand(1, 256, 256), "mri": torch.rand(1, 128, 256)},
            "image has size 256 x 256 and mri 128 x 256; register them",
            id="size",
        ),
        pytest.param(
            {"image": torch.rand(1, 8, 8), "mri": torch.rand(1, 8, 8, 1)}, "8 x 8 and mri 8 x 8 x 1", id="axes"
        ),
        pytest.param(
            {
                "image": MetaTensor(torch.rand(1, 4, 4, 4), affine=torch.from_numpy(AFFINE)),
                "mri": MetaTensor(torch.rand(1, 4, 4, 4), affine=torch.from_numpy(AFFINE) + 2e-3),
            },
            "image and mri have equal sizes and different affines; register them",
            id="affine",
        ),
        pytest.param({"image": torch.rand(1, 4, 4), "mri": torch.rand(3, 4, 4)}, "mri has 3 channels", id="channels"),
        pytest.param({"image": torch.rand(1, 4, 4)}, "image has one channel and there is no mri", id="one-source"),
    ],
)
def test_sources_that_do_not_fit_are_refused_and_never_resized(item: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JoinSourcesd()(item)


def test_the_dictionary_version_equals_the_array_version() -> None:
    images = [torch.rand(1, 3, 3), torch.rand(1, 3, 3)]
    assert torch.equal(JoinSourcesd()(dict(zip(("image", "mri"), images, strict=True)))["image"], JoinSources()(images))


@pytest.mark.parametrize("present", [("a", "c"), ("a", "b", "d"), ("a", "b", "c", "d")])
def test_sources_that_are_present_are_joined_in_order_of_the_keys(present: tuple[str, ...]) -> None:
    item = {key: torch.full((1, 2, 2), "abcd".index(key)) for key in reversed(present)}
    joined = JoinSourcesd(("a", "b", "c", "d"), name="a")(item)
    assert set(joined) == {"a"} and joined["a"][:, 0, 0].tolist() == ["abcd".index(key) for key in present]


def test_an_item_without_the_first_key_is_refused() -> None:
    with pytest.raises(KeyError, match="the item has no image, the first of"):
        JoinSourcesd()({"mri": torch.rand(1, 2, 2)})

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from common.data.brain_phantoms import PhantomSettings, make_phantom
from common.transforms import RigidRegistration, RigidRegistrationd, apply_rigid_transform


@cache
def plane(kind: str) -> torch.Tensor:
    phantom = make_phantom(1, "CT", PhantomSettings(slices=1, size=128))
    return torch.from_numpy(phantom.image if kind == "CT" else phantom.mri).float()


def turned(image: torch.Tensor, degrees: float, shift: tuple[float, float]) -> torch.Tensor:
    return apply_rigid_transform(sitk.Euler2DTransform((63.5, 63.5), float(np.deg2rad(degrees)), shift), image, image)


def test_companions_and_labels_move_along_and_the_saved_transform_does_it_again(tmp_path: Path) -> None:
    moved = turned(plane("CT"), 10, (5.0, 0.0))
    labels = (moved > 200).to(torch.uint8) * 7
    item = {"mri": plane("MRI"), "image": moved, "again": torch.cat([moved, moved]), "truth": labels, "id": "a/b"}
    register = RigidRegistrationd(
        "mri", "image", {"image": ["again", "absent"]}, {"image": "truth"}, tmp_path, RigidRegistration(candidates=1)
    )
    done = register(item)
    files = list(tmp_path.iterdir())
    assert [file.name.startswith("a_b_") and file.name.endswith("_image.tfm") for file in files] == [True]
    assert torch.equal(done["again"], torch.cat([done["image"], done["image"]])) and item["image"] is moved
    assert done["truth"].dtype == torch.uint8 and set(done["truth"].unique().tolist()) == {0, 7}
    assert torch.equal(apply_rigid_transform(files[0], labels, plane("MRI"), "nearest"), done["truth"])
    assert torch.allclose(apply_rigid_transform(str(files[0]), moved, plane("MRI")), done["image"], atol=1e-3)
    assert not any(str(key).startswith("image_") for key in done)


def test_the_dictionary_version_equals_the_array_version() -> None:
    moved = turned(plane("CT"), 4, (2.0, 1.0))
    register = RigidRegistration(max_degrees=0, candidates=1)
    done = RigidRegistrationd("mri", "image", registration=register)({"mri": plane("MRI"), "image": moved})
    result = register(plane("MRI"), moved)
    assert torch.equal(done["image"], result.moved) and done["registration_image"]["nmi"] == result.nmi


@pytest.mark.parametrize("item", [{"mri": 1, "id": "a"}, {"image": 1}], ids=["no-moving", "no-fixed"])
def test_an_item_without_one_of_the_keys_passes(item: dict) -> None:
    assert RigidRegistrationd("mri", "image")(item) == item


def test_keys_that_cannot_be_registered_are_refused() -> None:
    with pytest.raises(ValueError, match=r"follow \['pet'\].*name moving keys only"):
        RigidRegistrationd("mri", "image", {"pet": ["chroma"]})
    with pytest.raises(ValueError, match="'mri' is fixed_key and among moving_keys"):
        RigidRegistrationd("mri", ["image", "mri"])

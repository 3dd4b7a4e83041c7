from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.transforms import LoadImaged

from common.transforms.split_sources import SOURCE_NAMES, SplitSourcesd


@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_file_gets_a_key_in_order_and_the_input_stays(count: int) -> None:
    item = {"image": [f"{k}.nii.gz" for k in range(count)], "id": "a"}
    split = SplitSourcesd()(item)
    assert split == dict(zip(SOURCE_NAMES, item["image"], strict=False)) | {"id": "a"}
    assert set(item) == {"image", "id"}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"image": ["1.dcm", "2.dcm", "3.dcm"], "mri": ["4.dcm"]}, id="dicom-series"),
        pytest.param({"image": "sources.nii.gz"}, id="one-file"),
        pytest.param({"id": "a"}, id="no-image"),
    ],
)
def test_what_is_no_list_of_sources_passes(item: dict) -> None:
    assert SplitSourcesd()(item) == item


def test_sources_of_other_sizes_are_read_on_their_own_grids(tmp_path: Path) -> None:
    paths = []
    for k, size in enumerate((8, 9)):
        paths.append(str(tmp_path / f"{k}.nii.gz"))
        nibabel.save(nibabel.Nifti1Image(np.full((size, 5, 4), k, np.float32), np.diag([size, 1, 1, 1])), paths[-1])
    load = LoadImaged(SOURCE_NAMES, image_only=True, ensure_channel_first=True, allow_missing_keys=True)
    item = load(SplitSourcesd()({"image": paths}))
    assert [tuple(item[key].shape) for key in SOURCE_NAMES[:2]] == [(1, 8, 5, 4), (1, 9, 5, 4)]
    assert float(item["source_2"].affine[0, 0]) == 9


@pytest.mark.parametrize(
    ("item", "message"),
    [
        pytest.param({"image": ["a"]}, "image lists 1 entries; it must be 2 to 4 paths", id="one"),
        pytest.param({"image": list("abcde")}, "image lists 5 entries; it must be 2 to 4 paths", id="five"),
        pytest.param({"image": [1, 2]}, "must be 2 to 4 paths", id="no-paths"),
        pytest.param({"image": ["a", "b"], "source_2": "c"}, r"holds \['source_2'\] already", id="taken"),
    ],
)
def test_lists_that_are_no_sources_are_refused(item: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitSourcesd()(item)


@pytest.mark.parametrize("names", [("image",), ("image", "image"), ("image", "image_2")])
def test_names_that_cannot_be_keys_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="give two or more different ones, none starting with 'image_'"):
        SplitSourcesd(names=names)

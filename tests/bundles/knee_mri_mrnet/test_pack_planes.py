import pytest
import torch
from scripts.names import PLANES
from scripts.pack_planes import PackPlanesd, pack_planes


@pytest.mark.parametrize("size", [pytest.param((4, 5), id="images"), pytest.param((7,), id="features")])
def test_planes_stand_in_their_order_and_short_ones_end_in_empty_slices(size: tuple[int, ...]) -> None:
    planes = {"sagittal": torch.rand(3, *size), "axial": torch.rand(5, *size), "coronal": torch.rand(1, *size)}
    packed = PackPlanesd()({"id": "a", **planes})["image"]
    assert packed.shape == (3, 5, *size)
    for channel, name in enumerate(PLANES):
        own = planes[name]
        torch.testing.assert_close(packed[channel, : len(own)], own)
        assert not packed[channel, len(own) :].any()


def test_an_absent_plane_is_empty_and_the_input_is_left_alone() -> None:
    item = {"id": "a", "coronal": torch.ones(2, 3)}
    done = PackPlanesd(name="features")(item)
    assert set(done) == {"id", "features"} and set(item) == {"id", "coronal"}
    assert done["features"].flatten(1).any(dim=1).tolist() == [False, True, False]


def test_wrong_exams_are_refused() -> None:
    with pytest.raises(ValueError, match=r"none of the planes \['axial', 'coronal', 'sagittal'\]; give at least one"):
        PackPlanesd()({"id": "a"})
    with pytest.raises(ValueError, match=r"slices differ in size, {'axial': \(4,\), 'sagittal': \(5,\)}"):
        pack_planes({"axial": torch.ones(2, 4), "sagittal": torch.ones(2, 5)})

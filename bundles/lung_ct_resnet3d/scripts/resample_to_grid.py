"""From a cropped volume to the network's grid."""

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Resize, ResizeWithPadOrCrop, Transform

__all__ = ["ResampleToGrid", "ResampleToGridd"]


class ResampleToGrid(Transform):
    """Resample to ``image_size`` voxels, by default at a fixed number of mm per voxel.

    With ``voxel_mm`` the volume is first padded (or, where it is larger, cropped) about its centre to the physical
    size of the grid, then averaged down; sizes stay comparable between patients. Without it every patient is stretched
    to the grid, as the tutorial does: mm per voxel then differ between patients and axes. Averaging over the area of
    each new voxel suppresses aliasing; when the grid is finer than the volume, interpolation is trilinear.

    Args:
        image_size: grid (X, Y, Z) in voxels.
        voxel_mm: edge of a voxel in mm, or None to stretch.
        label: True for a mask: nearest neighbour.
        fill: value of the padding.

    Raises:
        ValueError: when ``voxel_mm`` is not positive, or the input has no three spatial axes.
    """

    def __init__(
        self, image_size: Sequence[int], voxel_mm: float | None, label: bool = False, fill: float = 0.0
    ) -> None:
        if voxel_mm is not None and voxel_mm <= 0:
            raise ValueError(
                f"ResampleToGrid: voxel_mm is {voxel_mm}, it must be positive; None stretches to the grid."
            )
        self.image_size = tuple(image_size)
        self.voxel_mm = voxel_mm
        self.label = label
        self.fill = fill

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """Resample an image (C, X, Y, Z); its spacing comes from the affine (1 mm for a plain tensor)."""
        if img.ndim != 4:
            raise ValueError(
                f"ResampleToGrid: the image has shape {tuple(img.shape)}, expected (channel, X, Y, Z); it is not a 3-D volume."
            )
        if self.voxel_mm is not None:
            spacing = img.pixdim.tolist() if isinstance(img, MetaTensor) else [1.0] * 3
            extent = [max(1, round(n * self.voxel_mm / mm)) for n, mm in zip(self.image_size, spacing, strict=True)]
            img = ResizeWithPadOrCrop(extent, value=self.fill)(img)
        finer = any(new > old for new, old in zip(self.image_size, img.shape[1:], strict=True))
        return Resize(self.image_size, mode="nearest" if self.label else "trilinear" if finer else "area")(img)


class ResampleToGridd(MapTransform):
    """Dictionary version of :class:`ResampleToGrid`; ``label`` may be one per key."""

    def __init__(
        self,
        keys: KeysCollection,
        image_size: Sequence[int],
        voxel_mm: float | None,
        label: bool | Sequence[bool] = False,
        fill: float = 0.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        labels = [label] * len(self.keys) if isinstance(label, bool) else list(label)
        self.transforms = [ResampleToGrid(image_size, voxel_mm, is_label, fill) for is_label in labels]

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Resample every key."""
        result = dict(data)
        for key, transform in self.key_iterator(result, self.transforms):
            result[key] = transform(result[key])
        return result

"""Where the regions of an atlas are: names, lobes and centres, and scores written back into atlas space."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["brain_map", "read_places"]

COLUMNS = ["code", "name", "lobe", "x", "y", "z"]


def read_places(file: str) -> pd.DataFrame:
    """Read the region table, one row a region in the order of the network.

    Args:
        file: csv with the columns `code`, `name`, `lobe` and the centre `x`, `y`, `z` (mm, RAS, MNI space).

    Raises:
        FileNotFoundError: `file` does not exist.
        ValueError: a column is missing, or a centre is no number.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"read_places: region table {file!r} does not exist; check the path.")
    table = pd.read_csv(file)
    if lost := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"read_places: {file!r} lacks the columns {lost}; interpretation needs {COLUMNS}.")
    if not np.isfinite(table[["x", "y", "z"]].to_numpy(float)).all():
        raise ValueError(f"read_places: {file!r} has a centre that is no number; give x, y and z of every region.")
    return table


def brain_map(scores: NDArray[np.floating], codes: NDArray[np.integer], atlas: str) -> nibabel.Nifti1Image:
    """Write one number a region into the voxels of the region.

    Args:
        scores: (N,); NaN is written as 0.
        codes: atlas code of each region, (N,).
        atlas: 3-D NIfTI of region codes.

    Returns:
        float32 image on the grid of the atlas, 0 outside the regions.

    Raises:
        FileNotFoundError: `atlas` does not exist.
        ValueError: the atlas is not 3-D or lacks a region of the table.
    """
    if not Path(atlas).is_file():
        raise FileNotFoundError(f"brain_map: atlas {atlas!r} does not exist; check the path.")
    image: Any = nibabel.load(atlas)
    labels = np.rint(np.asanyarray(image.dataobj)).astype(int)
    if labels.ndim != 3:
        raise ValueError(f"brain_map: atlas {atlas!r} has {labels.ndim} axes, expected 3; give the label image.")
    if lost := sorted(set(codes.tolist()) - set(np.unique(labels).tolist())):
        raise ValueError(
            f"brain_map: atlas {atlas!r} lacks {len(lost)} of {len(codes)} codes of the region table, first {lost[:5]}; "
            "give the atlas that the series were made with."
        )
    lookup = np.zeros(max(labels.max(), codes.max()) + 1, np.float32)
    lookup[codes] = np.nan_to_num(scores)
    return nibabel.Nifti1Image(lookup[labels.clip(min=0)], image.affine)

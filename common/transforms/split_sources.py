"""Give each source of a fusion case a key of its own."""

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import MapTransform

__all__ = ["SOURCE_NAMES", "SplitSourcesd"]

SOURCE_NAMES = ("image", "source_2", "source_3", "source_4")  # not image_2: MONAI's Spacingd trips over `image_`


class SplitSourcesd(MapTransform):
    """Turn an item whose ``key`` is a list of files, one for each source, into one key for each file.

    ``LoadImaged(names, allow_missing_keys=True)`` then reads each on its own grid, where it would stack the list. An item
    with ``partner_key`` passes, its list being the slices of one DICOM series; so does one with a single path.

    Args:
        key: entry of the paths, in the layout of BraTS flair, t1, t1ce, t2.
        names: keys of the sources in order.
        partner_key: entry that only items of two sources have.

    Raises:
        ValueError: fewer than two names, one twice, or one that starts with ``image_``.
    """

    def __init__(self, key: str = "image", names: Sequence[str] = SOURCE_NAMES, partner_key: str = "mri") -> None:
        super().__init__(key)
        if len(names) < 2 or len(set(names)) < len(names) or any(name.startswith("image_") for name in names):
            raise ValueError(
                f"SplitSourcesd: names are {tuple(names)}; give two or more different ones, none starting with 'image_', "
                "which MONAI mistakes for metadata."
            )
        self.key = key
        self.names = tuple(names)
        self.partner_key = partner_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Split the paths of one item.

        Raises:
            ValueError: one file in the list, more files than names, or a name that the item uses already.
        """
        item = dict(data)
        paths = item.get(self.key)
        if self.partner_key in item or not isinstance(paths, list | tuple):
            return item
        if not 2 <= len(paths) <= len(self.names) or not all(isinstance(path, str | os.PathLike) for path in paths):
            raise ValueError(
                f"SplitSourcesd: {self.key} lists {len(paths)} entries; it must be 2 to {len(self.names)} paths, one for "
                "each source; give more names, or one file."
            )
        del item[self.key]
        names = self.names[: len(paths)]
        if taken := [name for name in names if name in item]:
            raise ValueError(f"SplitSourcesd: the item holds {taken} already; choose other names.")
        return item | dict(zip(names, paths, strict=True))

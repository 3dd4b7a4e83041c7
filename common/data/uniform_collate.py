"""Batches that lose no entry."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.data.utils import list_data_collate

__all__ = ["uniform_collate"]


def uniform_collate(items: Sequence[Mapping[Hashable, Any]]) -> Any:
    """Join items to a batch as MONAI's ``list_data_collate``, but refuse items with different entries.

    MONAI takes the entries of the first item: a colour image behind a gray one would lose its ``chroma``, and come out
    gray.

    Args:
        items: of one batch, with ``id``.

    Returns:
        The batch.

    Raises:
        ValueError: one item has an entry that another lacks.
    """
    first = items[0]
    for item in items:
        if different := sorted(map(str, first.keys() ^ item.keys())):
            raise ValueError(
                f"uniform_collate: cases {first['id']} and {item['id']} of one batch differ in {', '.join(different)};"
                " pass --batch_size 1."
            )
    return list_data_collate(items)

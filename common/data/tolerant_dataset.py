"""A data set in which one broken case does not stop the run."""

import logging
from collections.abc import Callable, Sequence

import torch
from monai.data import Dataset
from monai.utils import convert_to_tensor

__all__ = ["TolerantDataset"]


class TolerantDataset(Dataset):
    """Preprocess each case; a failure becomes the case's ``error`` and a placeholder image.

    Every item has ``image``, ``id``, ``group``, ``section``, ``label`` and ``error`` (empty when all is well), so a
    batch can mix good and broken cases; results of cases with an error must be discarded
    (:class:`~..handlers.PredictionWriter` does).

    Args:
        data: items of a datalist; an item may come with an ``error`` already and is then not read.
        transform: preprocessing that yields ``image`` as a tensor of ``image_shape``.
        image_shape: channel-first shape of a preprocessed image, also of the placeholder (zeros); None takes every
            shape, for batches of one case.
        path_keys: entries handed to the transform, beside ``id``; one that an item lacks is left out.
        extra_keys: further entries that preprocessing may yield, handed out as tensors beside ``image``; one that it
            does not yield, and every one of a case with an error, is left out.
        track_meta: keep the metadata (affine, file name) of the tensors.
        placeholder_shape: shape of the placeholder where ``image_shape`` is None.
        metadata_keys: entries of the item that are passed on.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Callable,
        image_shape: Sequence[int] | None,
        path_keys: Sequence[str] = ("image",),
        extra_keys: Sequence[str] = (),
        track_meta: bool = False,
        placeholder_shape: Sequence[int] = (2, 32, 32),
        metadata_keys: Sequence[str] = ("id", "group", "section", "label"),
    ) -> None:
        super().__init__(data, transform)
        self.image_shape = None if image_shape is None else tuple(image_shape)
        self.path_keys = tuple(path_keys)
        self.extra_keys = tuple(extra_keys)
        self.track_meta = track_meta
        self.placeholder_shape = tuple(placeholder_shape) if self.image_shape is None else self.image_shape
        self.metadata_keys = tuple(metadata_keys)
        self.logger = logging.getLogger(type(self).__name__)

    def _transform(self, index: int) -> dict:
        item = self.data[index]
        error, tensors = item.get("error", ""), dict[str, torch.Tensor]()
        if not error:
            try:
                tensors = self._tensors(item)
            except Exception as problem:  # any reader or transform may fail in its own way
                error = _one_sentence(problem)
        if error:
            self.logger.warning(f"{item['id']}: {error}")
            placeholder = torch.zeros(self.placeholder_shape)
            tensors = {"image": convert_to_tensor(placeholder, track_meta=self.track_meta)}
        names = {key: item[key] for key in self.metadata_keys}
        return tensors | {"error": error} | names

    def _tensors(self, item: dict) -> dict[str, torch.Tensor]:
        given = {key: item[key] for key in self.path_keys if key in item}
        done = self.transform(given | {"id": item["id"]})
        keys = ["image", *(key for key in self.extra_keys if key in done)]
        tensors = {key: convert_to_tensor(done[key], track_meta=self.track_meta) for key in keys}
        shape = tuple(tensors["image"].shape)
        if self.image_shape is not None and shape != self.image_shape:
            raise ValueError(
                f"{type(self).__name__}: preprocessing gave shape {shape}, expected {self.image_shape};"
                " check the volume's dimensions."
            )
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError(f"{type(self).__name__}: the volume holds NaN or infinite values; repair the file.")
        return tensors


def _one_sentence(problem: BaseException) -> str:
    """The innermost message: MONAI wraps the cause in 'applying transform ...'."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0]

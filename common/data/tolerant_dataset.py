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
        image_shape: channel-first shape of a preprocessed image, also of the placeholder (zeros).
    """

    def __init__(self, data: Sequence[dict], transform: Callable, image_shape: Sequence[int]) -> None:
        super().__init__(data, transform)
        self.image_shape = tuple(image_shape)
        self.logger = logging.getLogger(type(self).__name__)

    def _transform(self, index: int) -> dict:
        item = self.data[index]
        error, image = item.get("error", ""), torch.zeros(self.image_shape)
        if not error:
            try:
                image = self._image(item)
            except Exception as problem:  # any reader or transform may fail in its own way
                error = _one_sentence(problem)
        if error:
            self.logger.warning(f"{item['id']}: {error}")
        names = {key: item[key] for key in ("id", "group", "section", "label")}
        return {"image": image, "error": error} | names

    def _image(self, item: dict) -> torch.Tensor:
        image = convert_to_tensor(self.transform({"image": item["image"], "id": item["id"]})["image"], track_meta=False)
        if tuple(image.shape) != self.image_shape:
            raise ValueError(
                f"{type(self).__name__}: preprocessing gave shape {tuple(image.shape)}, expected {self.image_shape};"
                " check the volume's dimensions."
            )
        if not torch.isfinite(image).all():
            raise ValueError(f"{type(self).__name__}: the volume holds NaN or infinite values; repair the file.")
        return image


def _one_sentence(problem: BaseException) -> str:
    """The innermost message: MONAI wraps the cause in 'applying transform ...'."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0]

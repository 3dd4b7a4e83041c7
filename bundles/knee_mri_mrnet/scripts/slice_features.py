"""Features of every slice from a frozen network, computed once and stored, with augmented copies."""

import copy
import hashlib
import sys
import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Randomizable
from torch import nn

__all__ = ["FirstCopyd", "RandCopyd", "SliceFeaturesd"]


class _SliceNetwork(Protocol):
    def slice_features(self, image: torch.Tensor) -> torch.Tensor: ...


class SliceFeaturesd(MapTransform):
    """Replace slices (S, H, W) by their features (1 + copies, S, F) from a frozen network.

    Row 0 belongs to the image as it is, the others to augmented copies of it, whose draws depend on `seed`, the copy
    and the content of the image only: the result can be cached. A slice that is empty (all 0) stays so in each copy.
    All that decides about the result is public or hashed in a public attribute, as ``CachedDataset`` needs it.

    Args:
        keys: entries (S, H, W) in [0, 1]; one that an item lacks is passed over.
        network: has ``slice_features(image (B, S, H, W)) -> (B, S, F)``; a copy of it is kept and never trained.
        copies: number of augmented copies.
        augmentation: random dictionary transforms of the entry ``image``; needed for copies.
        seed: of the draws.
        batch_slices: slices in one pass.

    Raises:
        ValueError: `copies` is negative or has no augmentation, or `batch_slices` is below 1.
    """

    def __init__(
        self,
        keys: KeysCollection,
        network: nn.Module,
        copies: int = 0,
        augmentation: Sequence[Callable] | None = None,
        seed: int = 0,
        batch_slices: int = 16,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        if copies < 0 or (copies and not augmentation):
            raise ValueError(
                f"SliceFeaturesd: copies is {copies} with augmentation={augmentation}; take 0, or more with a list of "
                "random transforms."
            )
        if batch_slices < 1:
            raise ValueError(f"SliceFeaturesd: batch_slices is {batch_slices}; take 1 or more.")
        self.copies = copies
        self.seed = seed
        self.augmentation = copy.deepcopy(list(augmentation or ())) if copies else []
        self.weights_sha256 = _weights_sha256(network)
        self.code_sha256 = _code_sha256(network)
        self._batch_slices = batch_slices  # has no influence on the result
        self._augment = Compose(copy.deepcopy(self.augmentation))  # draws leave traces, which must not be described
        self._network = copy.deepcopy(network).eval().requires_grad_(False)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the item with features in place of slices.

        Raises:
            ValueError: an entry is not (S, H, W).
        """
        item = dict(data)
        for key in self.key_iterator(item):
            image = _plain(item[key])
            if image.ndim != 3:
                raise ValueError(f"SliceFeaturesd: {key!r} has the shape {tuple(image.shape)}, and must be (S, H, W).")
            rows = [image, *(self._augmented(image, number) for number in range(1, self.copies + 1))]
            item[key] = torch.stack([self._features(row) for row in rows])
        return item

    def _augmented(self, image: torch.Tensor, number: int) -> torch.Tensor:
        content = zlib.crc32(image.numpy().tobytes())
        words = np.random.SeedSequence([self.seed, number, content])
        self._augment.set_random_state(seed=int(words.generate_state(1)[0]))
        augmented = _plain(self._augment({"image": image.clone()})["image"])
        filled = (image != 0).flatten(1).any(dim=1)
        return augmented * filled[:, None, None]

    @torch.no_grad()
    def _features(self, image: torch.Tensor) -> torch.Tensor:
        device = next((tensor.device for tensor in self._network.parameters()), torch.device("cpu"))
        network = cast(_SliceNetwork, self._network)
        parts = [network.slice_features(part[None].to(device))[0] for part in image.split(self._batch_slices)]
        return torch.cat(parts).to("cpu", torch.float32)  # (S, F)


class RandCopyd(Randomizable, MapTransform):
    """Pick one of the copies (C, S, F) of each entry at random: (S, F).

    Args:
        keys: entries of :class:`SliceFeaturesd`; one that an item lacks is passed over.
    """

    def __init__(self, keys: KeysCollection) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the item with one copy of each entry."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = item[key][int(self.R.randint(len(item[key])))].clone()
        return item


class FirstCopyd(MapTransform):
    """Take the first copy (C, S, F) of each entry, which belongs to the image as it is: (S, F).

    Args:
        keys: entries of :class:`SliceFeaturesd`; one that an item lacks is passed over.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the item with the first copy of each entry."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = item[key][0].clone()
        return item


def _plain(image: Any) -> torch.Tensor:
    tensor = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
    return tensor.detach().to("cpu", torch.float32)


def _weights_sha256(network: nn.Module) -> str:
    """Digest of the parameters and buffers of the backbone; of the whole network when it has none by that name."""
    part = getattr(network, "backbone", network)
    digest = hashlib.sha256()
    for name, tensor in part.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _code_sha256(network: nn.Module) -> str:
    """Digest of this project's files that the modules of the network are written in."""
    names = {type(module).__module__ for module in network.modules()}
    own = sorted(name for name in names if name.startswith(("scripts.", "common.")))
    files = [Path(str(sys.modules[name].__file__)).read_bytes() for name in own]
    return hashlib.sha256(b"".join(files)).hexdigest()

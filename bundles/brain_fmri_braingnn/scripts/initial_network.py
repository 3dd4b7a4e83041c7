"""What is done to a network before training: scale of the features, and weights to start from."""

import logging
import re
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

__all__ = ["prepare"]


def prepare(network: nn.Module, training: Dataset, pretrained_path: str | None = None) -> nn.Module:
    """Fit the feature scale on the training cases and load pretrained weights, in place.

    Features are divided by the standard deviation of each edge over the training cases, so they are standardised
    within the fold and the scale travels with the weights. They are not centred: a centred row tells nothing about
    which region it is, and the pooling scores then differ from subject to subject.

    Args:
        network: with initial weights and ``set_feature_scale``.
        training: preprocessed training cases with ``image`` (channels, N, N).
        pretrained_path: state dict of :mod:`~.contrastive` pretraining; its encoder is loaded, but for the scale
            of the features, which is the training cases' own.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: when ``pretrained_path`` does not exist.
        ValueError: when it has no encoder that fits the network.
    """
    network.set_feature_scale(channel_std(training))  # type: ignore[operator]
    if pretrained_path:
        _load(network, Path(pretrained_path))
    return network


def channel_std(training: Dataset) -> torch.Tensor:
    """Standard deviation (channels, N, N) of ``image`` over the cases that have an edge (0: absent); else 1."""
    count = total = squares = torch.zeros(())
    for k in range(len(training)):  # type: ignore[arg-type]
        x = torch.as_tensor(training[k]["image"]).double()
        count, total, squares = count + (x != 0), total + x, squares + x.square()
    mean = total / count.clamp(min=1)
    std = (squares / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
    return torch.where((count > 1) & (std > 1e-6), std, torch.ones_like(std)).float()


def _load(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"prepare: pretrained_path {path} does not exist; run configs/contrastive.json first.")
    own = network.state_dict()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    weights |= {_within(name): value for name, value in weights.items() if name.startswith("encoder.")}
    found = {name: weights[name] if name in weights else weights.get(_within(name)) for name in own}
    fitting = {
        name: value
        for name, value in found.items()
        if value is not None and value.shape == own[name].shape and not name.endswith("feature_std")
    }
    if not any("conv" in name for name in fitting):
        raise ValueError(f"prepare: {path} has no encoder that fits the network; choose the widths it was made with.")
    network.load_state_dict(fitting, strict=False)
    logging.getLogger("network").info(f"started from {path}: {len(fitting)} of {len(own)} tensors")


def _within(name: str) -> str:
    """Name of a tensor inside one encoder: every member of an ensemble starts from the same one."""
    return re.sub(r"^(members\.\d+|encoder|functional)\.", "", name)

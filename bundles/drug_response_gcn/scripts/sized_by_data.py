"""Buffers whose sizes come from the data."""

from typing import Any

import torch
from torch import nn

__all__ = ["SizedByData"]


class SizedByData(nn.Module):
    """A module whose buffers take the shapes that a fit or a file of weights gives them.

    How many genes and drugs there are is known by the data alone; a network that is built before it has seen any can
    thus load the weights of every cohort.
    """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            loaded = state_dict.get(prefix + name)
            if loaded is not None and loaded.shape != buffer.shape:
                setattr(self, name, torch.empty_like(loaded, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args)

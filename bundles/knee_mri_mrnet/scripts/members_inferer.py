"""The stack's output together with what its nine members said."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.inferers import SimpleInferer
from monai.transforms import MapTransform
from torch import Tensor

from .names import PLANES, TASKS

__all__ = ["MembersInferer", "SplitMembersd"]


class MembersInferer(SimpleInferer):
    """Call the stack with ``with_members=True``."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Output of the network with the members' logits appended."""
        return super().__call__(inputs, network, *args, with_members=True, **kwargs)


class SplitMembersd(MapTransform):
    """Part the output of :class:`MembersInferer`: (3 + 9,) -> the entry itself (3,) and ``members`` (3 planes, 3 tasks)."""

    def __init__(self, keys: KeysCollection = "pred") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """Logits of the stack and logits of the members."""
        result = dict(data)
        for key in self.key_iterator(result):
            output = result[key]
            result[key] = output[: len(TASKS)]
            result["members"] = output[len(TASKS) :].reshape(len(PLANES), len(TASKS))
        return result

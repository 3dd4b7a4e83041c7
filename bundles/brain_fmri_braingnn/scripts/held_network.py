"""Changes to a BrainGNN for the time of an explanation: decisions held fast, and guided ReLU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .common.layers import RaGConv, ROITopKPool, Selection
from .network import BrainGNN

__all__ = ["can_be_held", "guided_relu", "held"]


def can_be_held(network: BrainGNN) -> bool:
    """Whether the edges of a network are normalised by their sum, which :func:`held` needs."""
    convolutions = network.conv1, network.conv2
    return not network.augment and all(conv.edge_norm == "sum" and conv.attention is None for conv in convolutions)


@contextmanager
def held(network: BrainGNN, image: Tensor) -> Iterator[BrainGNN]:
    """Hold what jumps when edges of `image` get weaker: kept regions, and the sums that normalise the edges.

    Weight that is taken from an edge goes to a silent region instead of to the other edges, so a message fades with its
    edge and the rest stays. At `image` itself the outputs are unchanged.

    Args:
        network: changed within the block only.
        image: (B, 2, N, N); the batch that the network may be given.

    Raises:
        ValueError: when the network normalises edges otherwise than by their sum.
    """
    convolutions, pools = (network.conv1, network.conv2), (network.pool1, network.pool2)
    if not can_be_held(network):
        raise ValueError("held: only edges normalised by their sum can be held; take mode='paper' without attention.")
    try:
        for conv in convolutions:
            conv.aggregate = _HeldDegree(conv)  # type: ignore[method-assign]
        for pool in pools:
            pool.select = _HeldIndex(pool)  # type: ignore[method-assign]
        with torch.no_grad():
            network(image)  # the first call is recorded
        yield network
    finally:
        for layer, name in [(conv, "aggregate") for conv in convolutions] + [(pool, "select") for pool in pools]:
            layer.__dict__.pop(name, None)


class _HeldDegree:
    """`RaGConv.aggregate` with the sum of the weights into a region as it was at the first call."""

    def __init__(self, conv: RaGConv) -> None:
        self.aggregate: Callable[[Tensor, Tensor], Tensor] = conv.aggregate
        self.degree: Tensor | None = None

    def __call__(self, transformed: Tensor, adjacency: Tensor) -> Tensor:
        degree = adjacency.sum(2, keepdim=True)
        if self.degree is None:
            self.degree = degree
        # one more region, which sends zeros, takes the weight that is missing
        sink = torch.cat([adjacency, self.degree - degree], dim=2)
        sink = nn.functional.pad(sink, (0, 0, 0, 1))
        return self.aggregate(nn.functional.pad(transformed, (0, 0, 0, 1)), sink)[:, :-1]


class _HeldIndex:
    """`ROITopKPool.select` with the kept regions of the first call."""

    def __init__(self, pool: ROITopKPool) -> None:
        self.select: Callable[..., Selection] = pool.select
        self.index: Tensor | None = None

    def __call__(self, x: Tensor, present: Tensor | None = None) -> Selection:
        selection = self.select(x, present)
        if self.index is None:
            self.index = selection.index
        return selection._replace(index=self.index)


class _GuidedReLU(torch.autograd.Function):
    """ReLU whose backward pass lets positive gradients through only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (x > 0)


class guided_relu(TorchFunctionMode):  # noqa: N801 (used as a context)
    """Within the block every ReLU is a guided one, called as module, function or method.

    `monai.visualize.GuidedBackpropGrad` replaces modules only; the ReLU of the convolutions is a method call.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace calls of ReLU."""
        if func in (torch.relu, Tensor.relu, nn.functional.relu):
            return _GuidedReLU.apply(args[0])
        return func(*args, **(kwargs or {}))

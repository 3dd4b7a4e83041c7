"""Edges of the drug-cell graph: training responses only, and of these none that a step supervises."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Unit", "hide_edges", "training_edges"]

Unit = Literal["pair", "cell", "drug"]


def training_edges(residuals: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Edges of the graph, one for each training response.

    Nothing outside ``mask`` is read, so responses of validation and test cannot reach a message, whatever stands in
    their places (NaN too).

    Args:
        residuals: standardised residuals of the responses, (C, D).
        mask: the training pairs, (C, D), bool.

    Returns:
        ``edge_index`` (2, E) as [drug; cell], sorted by cell, and ``edge_weight`` (E,).

    Raises:
        ValueError: for shapes or a type that do not fit, and for a training residual that is not finite.
    """
    if residuals.ndim != 2 or mask.shape != residuals.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"training_edges: residuals have shape {list(residuals.shape)} and mask {list(mask.shape)} of"
            f" {mask.dtype}, expected (C, D) twice, the mask of torch.bool."
        )
    cell, drug = mask.nonzero(as_tuple=True)
    weight = residuals[cell, drug]
    if not weight.isfinite().all():
        bad = int((~weight.isfinite()).nonzero()[0])
        raise ValueError(
            f"training_edges: residual of cell {int(cell[bad])} and drug {int(drug[bad])} is {float(weight[bad])}, a"
            " training pair needs a finite one; take the pair out of mask."
        )
    return torch.stack([drug, cell]), weight


def hide_edges(mask: Tensor, unit: Unit, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw the training pairs that a step supervises; the others stay messages.

    A network that sees the response it has to predict copies it, and learns nothing that holds for a pair without an
    edge. A step therefore passes ``mask & ~hidden`` to :func:`training_edges` and computes its loss on ``hidden``. What
    is hidden resembles what will be unknown: single pairs for unknown pairs, all edges of a cell for unseen cells
    (and tissues), all edges of a drug for unseen drugs.

    Args:
        mask: the training pairs, (C, D), bool.
        unit: ``pair``, ``cell`` or ``drug``: what is drawn, and hidden as a whole.
        share: chance of a unit to be hidden, inside (0, 1).
        generator: of the draw.

    Returns:
        The hidden pairs (C, D), bool, all within ``mask``.

    Raises:
        ValueError: for an unknown unit or a share outside (0, 1).
    """
    shapes = {"pair": mask.shape, "cell": (len(mask), 1), "drug": (1, mask.shape[1])}
    if unit not in shapes or not 0 < share < 1:
        raise ValueError(
            f"hide_edges: unit is {unit!r} and share {share}; choose a unit of {', '.join(shapes)} and a share inside"
            " (0, 1)."
        )
    return mask & (torch.rand(shapes[unit], generator=generator, device=mask.device) < share)

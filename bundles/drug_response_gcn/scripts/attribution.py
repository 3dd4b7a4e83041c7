"""What each atom of a drug adds to a predicted response."""

from __future__ import annotations

import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn

from .molecule_graph import ATOM_FEATURES
from .pair_layout import PairLayout

__all__ = ["METHODS", "atom_attributions", "without_atoms"]

METHODS = ("occlusion", "gradient")


def atom_attributions(
    network: nn.Module, image: Tensor, layout: PairLayout, method: str = "occlusion", batch_size: int = 32
) -> Tensor:
    r"""What each atom adds to the ln IC50 that a network predicts for one drug on one cell.

    Occlusion of atom v is exact in its meaning, the prediction less the one for the molecule without that atom and its
    bonds,

    .. math:: a_v = \hat y(G) - \hat y(G \setminus v),

    while the gradient is that of the prediction by the atom's features, times the features, summed over them: faster,
    and true for small changes only. A negative number: with this atom less drug is needed, the cell is more sensitive.
    The numbers need not sum to the prediction, as atoms act together, and what is left without an atom need not be a
    sensible molecule. The rest of the pair (offset, drug code, fingerprint) stays as it is, so a network that reads the
    molecule from its fingerprint or code gives zeros.

    Args:
        network: maps images (B, 1, H, W) to ln IC50 (B, 1); used in evaluation mode.
        image: one pair (1, H, W).
        layout: where the parts of the image stand.
        method: `occlusion` or `gradient`.
        batch_size: atoms that are left out at a time.

    Returns:
        One number an atom in the order of the rows, (n_atoms,), ln units; for a change of 0.69 twice the drug is
        needed.

    Raises:
        ValueError: another shape than the layout's, no atoms, or an unknown method.

    Reference:
        Zeiler and Fergus, ECCV 2014 (occlusion); Shrikumar et al., arXiv:1605.01713, 2016 (gradient times input).
    """
    if tuple(image.shape) != layout.shape:
        raise ValueError(
            f"atom_attributions: image has the shape {tuple(image.shape)}, its layout {layout.shape}; give one pair."
        )
    atoms = layout.unpack_drug(image[None])[0, :, :ATOM_FEATURES].any(dim=1).nonzero().flatten()
    if len(atoms) == 0:
        raise ValueError("atom_attributions: the image holds no atom, it must have 1 or more; give a drug.")
    if method not in METHODS:
        raise ValueError(f"atom_attributions: method is {method!r}, it must be one of {list(METHODS)}.")
    with eval_mode(network):
        if method == "gradient":
            return _gradient_times_input(network, image, layout)[atoms]
        whole = network(image[None]).flatten()
        parts = [
            network(torch.stack([without_atoms(image, [int(atom)], layout) for atom in some])).flatten()
            for some in atoms.split(batch_size)
        ]
    return whole - torch.cat(parts)


def without_atoms(image: Tensor, atoms: list[int], layout: PairLayout) -> Tensor:
    """A pair (1, H, W) whose drug lacks some atoms: their features, bonds and distances are 0; a copy."""
    copy = image.clone()
    drug = copy[0, : layout.max_atoms]
    drug[atoms] = 0
    for start in range(ATOM_FEATURES, layout.width, layout.max_atoms):  # bond codes, then distances
        drug[:, [start + atom for atom in atoms]] = 0
    return copy


def _gradient_times_input(network: nn.Module, image: Tensor, layout: PairLayout) -> Tensor:
    """Sum over features of gradient times input, one number a row, (N,)."""
    with torch.enable_grad():
        given = image[None].detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(given).sum(), given)
    product = layout.unpack_drug(gradient * given.detach())[0]
    return product[:, :ATOM_FEATURES].sum(dim=1)

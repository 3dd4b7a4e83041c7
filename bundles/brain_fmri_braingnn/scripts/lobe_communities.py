"""Communities of BrainGNN that begin as the lobes of the brain."""

import pandas as pd
import torch
from torch import Tensor, nn

from .common.layers import RaGConv
from .region_places import read_places

__all__ = ["LOBES", "init_communities", "lobe_alpha"]

LOBES = ("Frontal", "Parietal", "Temporal", "Occipital", "Insula", "Limbic", "Subcortical")
ELSEWHERE = 0.1  # share of the strength outside the own lobe: relu has no gradient at 0, and none could be learnt


def lobe_alpha(places: pd.DataFrame, num_communities: int = 6) -> Tensor:
    """Strength of each region in communities that are lobes, (N, K).

    A region has 1 / sqrt(N) in its own lobe, about the length of a row of the random initialisation, and a tenth of
    it in the others. With K = 6 the subcortical regions, which are in no lobe, have 1 / sqrt(6 N) in all six, a row of
    the same length; with K = 7 they are the seventh community.

    Args:
        places: table with the column `lobe`.
        num_communities: K, 6 or 7.

    Raises:
        ValueError: for another K or an unknown lobe.
    """
    if num_communities not in (6, 7):
        raise ValueError(f"lobe_alpha: num_communities is {num_communities}, there are 6 lobes, or 7 with Subcortical.")
    if unknown := sorted(set(places["lobe"]) - set(LOBES)):
        raise ValueError(f"lobe_alpha: the region table has the lobes {unknown}; known are {list(LOBES)}.")
    own = torch.tensor([LOBES.index(lobe) for lobe in places["lobe"]])
    on = len(own) ** -0.5
    alpha = torch.full((len(own), num_communities), ELSEWHERE * on)
    placed = own < num_communities
    alpha[placed, own[placed]] = on
    alpha[~placed] = on * num_communities**-0.5
    return alpha


def init_communities(network: nn.Module, regions: str) -> nn.Module:
    """Set alpha of every region-aware convolution of a network to the lobes, in place.

    Args:
        network: with `RaGConv` layers of 6 or 7 communities over the regions of the table.
        regions: path of the region table.

    Returns:
        The same network.

    Raises:
        ValueError: when the network has no such layer, or another number of regions or communities.
    """
    places = read_places(regions)
    layers = [layer for layer in network.modules() if isinstance(layer, RaGConv)]
    if not layers:
        raise ValueError("init_communities: the network has no RaGConv layer; take BrainGNN.")
    for layer in layers:
        if layer.num_regions != len(places):
            raise ValueError(
                f"init_communities: the network has {layer.num_regions} regions and {regions!r} {len(places)}; "
                "give the table of its atlas."
            )
        with torch.no_grad():
            layer.alpha.copy_(lobe_alpha(places, layer.num_communities))
    return network

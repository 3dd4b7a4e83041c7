"""Graph layers that MONAI lacks: BrainGNN on a fixed list of regions, and convolutions on any graph."""

from .cheb_conv import ChebConv, scaled_laplacian
from .gat_conv import GATConv
from .gcn_conv import GCNConv, gcn_norm
from .gin_conv import GINConv
from .laplacian import dirichlet_energy, laplacian, rayleigh_quotient
from .message_passing import MessagePassing
from .ra_gconv import RaGConv
from .readout import Readout
from .roi_topk_pool import ROITopKPool, Selection, gather_edges, gather_regions
from .spectral_filter import spectral_filter

__all__ = [
    "ChebConv",
    "GATConv",
    "GCNConv",
    "GINConv",
    "MessagePassing",
    "ROITopKPool",
    "RaGConv",
    "Readout",
    "Selection",
    "dirichlet_energy",
    "gather_edges",
    "gather_regions",
    "gcn_norm",
    "laplacian",
    "rayleigh_quotient",
    "scaled_laplacian",
    "spectral_filter",
]

"""Graph layers that MONAI lacks: dense, batched over a fixed list of brain regions."""

from .ra_gconv import RaGConv
from .readout import Readout
from .roi_topk_pool import ROITopKPool, Selection, gather_edges, gather_regions

__all__ = ["RaGConv", "ROITopKPool", "Readout", "Selection", "gather_edges", "gather_regions"]

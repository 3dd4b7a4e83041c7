"""Site, sex and age as numbers, and which subjects they connect."""

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["PHENOTYPE", "RULES", "UNKNOWN", "edge_tolerance", "phenotype_edges", "phenotype_numbers"]

PHENOTYPE = ("site", "sex", "age")  # order of the leading numbers of a subject's vector
RULES = ("sum", "product")
UNKNOWN = -1.0
_CODES = 1 << 24  # whole numbers below it are exact in float32


def phenotype_numbers(subject: Mapping[str, Any]) -> Tensor:
    """Site, sex and age of a subject, (3,) float32, ``UNKNOWN`` where absent.

    The site's name becomes a checksum: equal names get equal numbers in any cohort, so no list of names has to travel
    with the weights. Of 20 names two share a number with a probability of 1 in 90,000.

    Args:
        subject: entries ``site`` (text), ``sex`` (number) and ``age`` (years); each may be absent, empty or NaN.
    """
    site = subject.get("site")
    code = UNKNOWN if _absent(site) else float(zlib.crc32(str(site).encode()) % _CODES)
    rest = [UNKNOWN if _absent(subject.get(name)) else float(subject[name]) for name in PHENOTYPE[1:]]
    return torch.tensor([code, *rest])


def edge_tolerance(edges: Mapping[str, float]) -> Tensor:
    """Largest difference of site, sex and age that still agrees, (3,); -1: the entry does not connect.

    Args:
        edges: entry -> tolerance, ``{"site": 0, "sex": 0, "age": 2}``.

    Raises:
        ValueError: an entry that is no phenotype, or a tolerance below 0.
    """
    for name, tolerance in edges.items():
        if name not in PHENOTYPE:
            raise ValueError(f"edge_tolerance: {name!r} is no entry, choose from {', '.join(PHENOTYPE)}.")
        if tolerance < 0:
            raise ValueError(f"edge_tolerance: the tolerance of {name} is {tolerance}, it must be 0 or more.")
    return torch.tensor([float(edges.get(name, -1)) for name in PHENOTYPE])


def phenotype_edges(targets: Tensor, sources: Tensor, tolerance: Tensor, combine: str) -> Tensor:
    """Weight of the phenotype between subjects: how many entries agree, or whether all do.

    Args:
        targets: phenotype of the hearing subjects, (M, 3).
        sources: phenotype of the heard subjects, (T, 3).
        tolerance: of :func:`edge_tolerance`, (3,); an unknown value agrees with nothing. Without any entry everybody
            is connected.
        combine: ``sum`` of the agreements, as Parisot et al., Eq. (3); or their ``product``.

    Returns:
        (M, T), whole numbers 0 .. number of entries.

    Reference:
        Parisot et al., Medical Image Analysis 48:117-130 (2018), doi:10.1016/j.media.2018.06.001, Eq. (3).
    """
    agree = [
        (_known(targets[:, column, None]) - _known(sources[None, :, column])).abs() <= largest
        for column, largest in enumerate(tolerance.tolist())
        if largest >= 0
    ]
    if not agree:
        return targets.new_ones(len(targets), len(sources))
    stacked = torch.stack(agree)
    return (stacked.sum(0) if combine == "sum" else stacked.all(0)).to(targets.dtype)  # Eq. (3)


def _known(values: Tensor) -> Tensor:
    """NaN, which is near to nothing, for what is unknown."""
    return values.masked_fill(values == UNKNOWN, torch.nan)


def _absent(value: Any) -> bool:
    return value is None or value == "" or value != value

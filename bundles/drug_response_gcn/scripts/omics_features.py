"""Features of a cell line, fitted on the training cells of a fold."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["OmicsFeatures"]

_SPREAD = 3.0  # standard deviation of the first component over training
_RELATIVE_ZERO = 1e-6  # a singular value below this part of the first is rounding


class OmicsFeatures(nn.Module):
    r"""Omics values (M, G) to K features: principal components of each kind, and single genes.

    .. math::
        f = 3\, \frac{(x - \mu) V}{s_1 / \sqrt{C}}

    with the mean :math:`\mu`, the right singular vectors V and the first singular value :math:`s_1` of the C training
    cells, for each kind of omics by itself. The first component has standard deviation 3 over training; the further ones
    keep their proportion to it, so that weak ones, which are mostly noise, stay weak. Components that C cells cannot
    determine are 0. The largest entry of a column of V is positive, so a fit has no free sign.

    A missing value (NaN; a whole row of a kind where a cell lacks it) is the mean of training. The most variable genes
    of kind ``expression`` stand behind the components, each with mean 0 and variance 1 over training, for a gene graph.

    Args:
        num_components: number of components of each kind, in the order in which the kinds stand in a row. How many
            values a kind has is known by the fit, or by loaded weights.
        num_genes: single genes; 0: none.
        capacity: most values of a kind; weights of every cohort have this shape.

    Raises:
        ValueError: without a kind, for fewer than one component of it, or genes without the kind expression.
    """

    __jit_unused_properties__ = ["sizes", "num_values", "parts", "num_features"]

    gene_index: Tensor
    gene_mean: Tensor
    gene_std: Tensor

    def __init__(self, num_components: Mapping[str, int], num_genes: int = 0, capacity: int = 8192) -> None:
        super().__init__()
        self.num_components = dict(num_components)
        self.num_genes = num_genes
        self.capacity = capacity
        if min(num_components.values(), default=0) < 1:
            raise ValueError(
                f"OmicsFeatures: num_components is {self.num_components}, name one kind or more, each with 1 or more."
            )
        if num_genes < 0 or (num_genes and "expression" not in num_components):
            raise ValueError(
                f"OmicsFeatures: num_genes is {num_genes} for the kinds {list(num_components)}, it must be 0, or more "
                "beside the kind expression."
            )
        self.kinds = nn.ModuleDict({kind: _Components(capacity, count) for kind, count in num_components.items()})
        self.register_buffer("gene_index", torch.zeros(num_genes, dtype=torch.long))
        self.register_buffer("gene_mean", torch.zeros(num_genes))
        self.register_buffer("gene_std", torch.ones(num_genes))

    @property
    def sizes(self) -> dict[str, int]:
        """Number of values of each kind, 0 before the fit."""
        return {kind: int(cast(_Components, module).size) for kind, module in self.kinds.items()}

    @property
    def num_values(self) -> int:
        """G, values in a row, 0 before the fit."""
        return sum(self.sizes.values())

    @property
    def parts(self) -> list[int]:
        """Features of each part of a row: components of each kind in their order, then genes if there are any."""
        return [*self.num_components.values(), *([self.num_genes] if self.num_genes else [])]

    @property
    def num_features(self) -> int:
        """K, features of a cell."""
        return sum(self.parts)

    def fit(self, values: Tensor, sizes: Mapping[str, int]) -> Tensor:
        """Fit on training cells, in place; there is nothing random in it.

        Args:
            values: (C, G), the kinds side by side, NaN where missing.
            sizes: number of values of each kind, with sum G.

        Returns:
            Features (C, K) of the training cells.

        Raises:
            ValueError: for kinds that differ, more values than ``capacity``, fewer genes than ``num_genes``, another G, no
                cell, or infinite values.
        """
        if list(sizes) != list(self.num_components) or min(sizes.values()) < 1:
            raise ValueError(
                f"OmicsFeatures: the sizes are {dict(sizes)}, give 1 or more values of each of "
                f"{', '.join(self.num_components)}, in this order."
            )
        if max(sizes.values()) > self.capacity:
            raise ValueError(
                f"OmicsFeatures: the sizes are {dict(sizes)}, there is room for {self.capacity} values of a kind; raise "
                "capacity#values in training and inference."
            )
        if self.num_genes > sizes.get("expression", self.num_genes):
            raise ValueError(
                f"OmicsFeatures: num_genes is {self.num_genes}, expression has {sizes['expression']} genes; lower it."
            )
        parts = _split(values, sizes)
        if not len(values):
            raise ValueError("OmicsFeatures: there is no training cell; give one or more.")
        for kind, part in parts.items():
            cast(_Components, self.kinds[kind]).fit(part.double())
        if self.num_genes:
            mean, centred = _centre(parts["expression"].double())
            known = parts["expression"].isfinite().sum(0).clamp(min=1)
            std = (centred.square().sum(0) / known).sqrt()
            chosen = std.argsort(descending=True, stable=True)[: self.num_genes]
            self.gene_index.copy_(chosen)
            self.gene_mean.copy_(mean[chosen])
            self.gene_std.copy_(torch.where(std > 0, std, 1.0)[chosen])
        return self.features(values)

    def features(self, values: Tensor) -> Tensor:
        """Features (M, K) of cells with values (M, G), NaN where missing.

        Raises:
            ValueError: for another G, or infinite values.
        """
        parts = _split(values, self.sizes)
        features = [self.kinds[kind](part) for kind, part in parts.items()]
        if self.num_genes:
            genes = parts["expression"][:, self.gene_index]
            features.append(((genes - self.gene_mean) / self.gene_std).nan_to_num(0.0))
        return torch.cat(features, dim=1)


class _Components(nn.Module):
    """Principal components of one kind: values (M, G) to scores (M, K)."""

    mean: Tensor
    components: Tensor
    scale: Tensor
    size: Tensor

    def __init__(self, capacity: int, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(capacity))
        self.register_buffer("components", torch.zeros(capacity, num_components))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("size", torch.zeros((), dtype=torch.long))

    def fit(self, values: Tensor) -> None:
        """Fit on values (C, G), NaN where missing."""
        mean, centred = _centre(values)
        singular, vectors = _right_singular(centred)
        count = min(self.components.shape[1], int((singular > _RELATIVE_ZERO * singular[0]).sum()))
        vectors = vectors[:, :count]
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        self.size.fill_(len(mean))
        self.mean.zero_()[: len(mean)] = mean
        self.components.zero_()[: len(mean), :count] = vectors * largest.sign()
        self.scale.fill_(float(singular[0]) / len(values) ** 0.5 / _SPREAD if count else 1.0)

    def forward(self, values: Tensor) -> Tensor:
        """Scores; 0, the mean of training, where values are missing."""
        size = int(self.size)
        return (values - self.mean[:size]).nan_to_num(0.0) @ self.components[:size] / self.scale


def _centre(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the known values, 0 for a column without any, and the values less it, 0 where missing."""
    mean = values.nanmean(0).nan_to_num(0.0)
    return mean, (values - mean).nan_to_num(0.0)


def _right_singular(x: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values, the largest first, and right singular vectors (G, r) of x (C, G) in double precision.

    From the smaller of both Gram matrices, several times as fast as a decomposition of x; singular values below 1e-7 of
    the first are lost.
    """
    wide = x.shape[0] < x.shape[1]
    squares, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    singular, vectors = squares.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    if wide:
        vectors = x.T @ vectors / singular.clamp(min=torch.finfo(x.dtype).tiny)
    return singular, vectors


def _split(values: Tensor, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """Values of each kind, (M, G_kind)."""
    if values.ndim != 2 or values.shape[1] != sum(sizes.values()):
        raise ValueError(
            f"OmicsFeatures: the values have shape {list(values.shape)}, expected (cells, {sum(sizes.values())}): "
            f"{', '.join(f'{size} of {kind}' for kind, size in sizes.items())}."
        )
    parts = dict(zip(sizes, values.split(list(sizes.values()), dim=1), strict=True))
    for kind, part in parts.items():
        if part.isinf().any():
            cell = int(part.isinf().any(1).nonzero()[0])
            raise ValueError(
                f"OmicsFeatures: {kind} of the cell in row {cell} is infinite; correct the value, or make it NaN "
                "where it is unknown."
            )
    return parts

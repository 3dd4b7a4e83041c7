"""One drug and one cell as one image: where each number stands."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from .molecule_graph import ATOM_FEATURES

__all__ = ["DRUG_CODE", "LEAD", "OFFSET", "SCALE", "PairLayout", "unpack_drug", "unpack_vector"]

OFFSET, SCALE, DRUG_CODE = 0, 1, 2  # places in the vector
LEAD = 3  # numbers before the fingerprint


@dataclass(frozen=True, kw_only=True)
class PairLayout:
    """Sizes of a pair's image (1, N + R, width).

    Rows 0 .. N - 1 are the atoms: features F, bond codes N and, with ``conformer``, distances N in angstrom; zero
    beyond the last atom. The last R rows are the vector, row by row and padded with zeros: the offset (naive effect
    known for the pair, ln IC50), the scale (ln units of one unit of the network's answer), the drug's code (1 + index
    in the training library, 0 for an unknown drug), the bits of the fingerprint, the cell's features.

    Args:
        max_atoms: N, at least 1.
        cell_features: K, numbers that describe the cell, at least 0.
        fingerprint_bits: numbers of the fingerprint, at least 0.
        conformer: distances of the atoms stand in the drug's rows.

    Raises:
        ValueError: for a size below its smallest.
    """

    max_atoms: int = 96
    cell_features: int
    fingerprint_bits: int = 0
    conformer: bool = False

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name, least in (("max_atoms", 1), ("cell_features", 0), ("fingerprint_bits", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"PairLayout: {name} is {getattr(self, name)}, it must be {least} or more.")

    @property
    def width(self) -> int:
        """Numbers of a row: F + N, or F + 2 N with distances."""
        return ATOM_FEATURES + self.max_atoms * (2 if self.conformer else 1)

    @property
    def vector_length(self) -> int:
        """Numbers of the vector: offset, scale, drug code, fingerprint, cell."""
        return LEAD + self.fingerprint_bits + self.cell_features

    @property
    def vector_rows(self) -> int:
        """R, rows that the vector takes."""
        return math.ceil(self.vector_length / self.width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image without its batch, (1, N + R, width)."""
        return 1, self.max_atoms + self.vector_rows, self.width

    def pack(self, drug_rows: Tensor, vector: Tensor) -> Tensor:
        """Image of one pair, (1, N + R, width).

        Args:
            drug_rows: rows of the drug, (N, width).
            vector: offset, scale, drug code, fingerprint and cell, (``vector_length``,).

        Raises:
            ValueError: for other shapes.
        """
        for name, value, shape in (
            ("drug_rows", drug_rows, (self.max_atoms, self.width)),
            ("vector", vector, (self.vector_length,)),
        ):
            if tuple(value.shape) != shape:
                raise ValueError(f"PairLayout: {name} has shape {tuple(value.shape)}, this layout wants {shape}.")
        image = drug_rows.new_empty(self.shape)
        image[0, : self.max_atoms] = drug_rows
        image[0, self.max_atoms :] = pad(vector, (0, self.vector_rows * self.width - len(vector))).view(-1, self.width)
        return image

    def unpack_drug(self, image: Tensor) -> Tensor:
        """Rows of the drugs (B, N, width) in images (B, 1, N + R, width)."""
        return unpack_drug(image, self.max_atoms)

    def unpack_vector(self, image: Tensor) -> Tensor:
        """Vectors (B, ``vector_length``) in images (B, 1, N + R, width)."""
        return unpack_vector(image, self.max_atoms, self.vector_length)


def unpack_drug(image: Tensor, max_atoms: int) -> Tensor:
    """Rows of the drugs (B, N, width) in images (B, 1, N + R, width); works in TorchScript."""
    return image[:, 0, :max_atoms]


def unpack_vector(image: Tensor, max_atoms: int, vector_length: int) -> Tensor:
    """Vectors (B, L) in images (B, 1, N + R, width); works in TorchScript."""
    return image[:, 0, max_atoms:].flatten(1)[:, :vector_length]

"""Network for drug response: a drug tower and a cell tower that meet in one number."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from .cell_towers import build_cell_tower
from .drug_library import DrugLibrary
from .drug_towers import build_drug_tower
from .packed_library import pack_library
from .pair_layout import DRUG_CODE, LEAD, OFFSET, SCALE, unpack_drug, unpack_vector
from .response_network import CAPACITY, ResponseNetwork

__all__ = ["DrugResponseNet", "parameter_groups"]

FUSIONS = ("product", "concatenation")


class DrugResponseNet(ResponseNetwork):
    r"""Ln IC50 of drug and cell from the molecule's graph and the cell's omics.

    .. math::
        \hat y_{dc} = o_{dc} + s_d \Big(\frac{u_c^\top v_d}{\sqrt{E}} + a_d + b_c\Big)

    with the cell tower's :math:`(u_c, b_c)`, the drug tower's :math:`(v_d, a_d)`, and offset and scale from
    :class:`~.known_effects.KnownEffects`. ``concatenation`` puts an MLP of :math:`[u_c, v_d]` in place of the product. A
    drug that training has seen adds a vector of its own to :math:`(v_d, a_d)`: with it a known drug loses nothing
    against a model without chemistry; ``code_dropout`` hides it in training, 1 always, so that the graph must speak.

    Two ways in give the same numbers: packed pairs, for verification and export, where each pair brings its molecule;
    and cells against the library set by :meth:`set_library`, for training, where each drug is encoded once per step.

    Args:
        num_components: components of each kind of omics, in order (``{"expression": 256}``).
        num_genes: genes of the gene graph, 0 without.
        drug_encoder: see :func:`~.drug_towers.build_drug_tower`.
        cell_encoder: see :func:`~.cell_towers.build_cell_tower`.
        fusion: ``product`` or ``concatenation``.
        effects: known mean effects, see :class:`~.known_effects.KnownEffects`.
        hidden_channels: width of the drug tower.
        num_layers: layers of the drug tower.
        drug_channels: numbers that the drug tower hands on.
        cell_channels: width of the cell tower.
        embedding_channels: E.
        dropout: of the cell tower and of the MLP, in [0, 1).
        drug_dropout: of the drug tower, in [0, 1).
        code_dropout: probability in [0, 1] that a drug's own vector is hidden in training.
        max_atoms: N, heavy atoms of the largest molecule.
        fingerprint_bits: bits for the encoder ``fingerprint``, else 0.
        capacity: room for training ``drugs``, ``cells`` and ``values`` of a kind of omics, see
            :class:`~.response_network.ResponseNetwork`.

    Shapes:
        ``image`` (B, 1, N + R, width), see :class:`~.pair_layout.PairLayout` -> (B, 1); or (M, 1 + K), effect and
        features of cells, with a library of D drugs -> (M, D).

    Raises:
        ValueError: an unknown fusion, or cells without a library.

    Reference:
        The two-tower product is that of matrix factorisation with side information; GINE: Hu et al., ICLR 2020.
    """

    def __init__(
        self,
        num_components: Mapping[str, int],
        num_genes: int = 0,
        drug_encoder: str = "gine",
        cell_encoder: str = "mlp",
        fusion: str = "product",
        effects: Collection[str] = ("drug",),
        hidden_channels: int = 64,
        num_layers: int = 3,
        drug_channels: int = 128,
        cell_channels: int = 256,
        embedding_channels: int = 64,
        dropout: float = 0.5,
        drug_dropout: float = 0.3,
        code_dropout: float = 0.0,
        max_atoms: int = 96,
        fingerprint_bits: int = 0,
        capacity: Mapping[str, int] = CAPACITY,
    ) -> None:
        conformer = "distance" in drug_encoder
        super().__init__(num_components, num_genes, effects, max_atoms, fingerprint_bits, conformer, capacity)
        if fusion not in FUSIONS:
            raise ValueError(f"DrugResponseNet: fusion is {fusion!r}, it must be one of {list(FUSIONS)}.")
        self.max_atoms = max_atoms
        self.num_drugs = capacity["drugs"]
        self.vector_length = self.layout.vector_length
        self.cell_start = LEAD + fingerprint_bits
        self.places = (OFFSET, SCALE, DRUG_CODE)  # TorchScript reads no constants of a module
        self.code_dropout = code_dropout
        self.drug_tower = build_drug_tower(
            drug_encoder, self.layout, hidden_channels, num_layers, drug_channels, drug_dropout, self.num_drugs
        )
        self.drug_head = nn.Linear(drug_channels, embedding_channels + 1)
        self.own = nn.Embedding(self.num_drugs + 1, embedding_channels + 1, padding_idx=0)
        nn.init.zeros_(self.own.weight)
        self.cell_tower = build_cell_tower(
            cell_encoder, self.omics.parts, cell_channels, embedding_channels + 1, dropout, num_genes
        )
        self.joint = (
            nn.Sequential(
                nn.Linear(2 * embedding_channels, 256),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(256, 1),
            )
            if fusion == "concatenation"
            else None
        )
        self.rows = torch.zeros(0)
        self.packed: tuple[Tensor, ...] = ()

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        if image.dim() == 2:
            return self.grid(image)
        vector = unpack_vector(image, self.max_atoms, self.vector_length)
        drug = self._drug(self.drug_tower(unpack_drug(image, self.max_atoms), vector), vector)
        cell = self.cell_tower(vector[:, self.cell_start :])
        out = self._meet(cell, drug)
        return (vector[:, self.places[0]] + vector[:, self.places[1]] * out).unsqueeze(1)

    def _drug(self, encoded: Tensor, vector: Tensor) -> Tensor:
        """Vectors (D, E + 1) of drugs: what the tower says, and their own."""
        code = vector[:, self.places[2]].round().long().clamp(0, self.num_drugs)
        if self.training and self.code_dropout > 0:
            code = code * (torch.rand(code.shape, device=code.device) >= self.code_dropout).long()
        return self.drug_head(encoded) + self.own(code)

    def _meet(self, cell: Tensor, drug: Tensor) -> Tensor:
        """Answers (...,) of cells (..., E + 1) and drugs (..., E + 1), before scale and offset."""
        u, v = cell[..., :-1], drug[..., :-1]
        if self.joint is None:
            out = (u * v).sum(-1) / u.shape[-1] ** 0.5
        else:
            out = self.joint(torch.cat([u, v], dim=-1)).squeeze(-1)
        return out + drug[..., -1] + cell[..., -1]

    @torch.jit.unused
    def grid(self, cells: Tensor) -> Tensor:
        """Ln IC50 (M, D) of cells (M, 1 + K), effect and features, against the library."""
        if not len(self.lead):
            raise ValueError("DrugResponseNet: there is no library of drugs, call set_library first.")
        drug = self._drug(self._encode_library(), self.lead)
        cell = self.cell_tower(cells[:, 1:])
        if self.joint is None:  # the same as _meet, as one matrix product
            out = cell[:, :-1] @ drug[:, :-1].T / (drug.shape[1] - 1) ** 0.5 + drug[:, -1] + cell[:, -1:]
        else:
            shape = (len(cell), len(drug), -1)
            out = self._meet(cell[:, None].expand(shape), drug[None].expand(shape))
        return self.in_ln_units(out, cells)

    def _encode_library(self) -> Tensor:
        if hasattr(self.drug_tower, "forward_packed"):
            x, bonds, molecule = self.packed
            tower: Any = self.drug_tower
            return tower.forward_packed(x, bonds, molecule, len(self.lead), self.lead)
        return self.drug_tower(self.rows, self.lead)

    def set_library(self, library: DrugLibrary) -> None:
        """See :class:`~.response_network.ResponseNetwork`."""
        super().set_library(library)
        if hasattr(self.drug_tower, "forward_packed"):  # each drug once a step, and no padding
            self.packed = tuple(part.to(self.lead.device) for part in pack_library(library.rows))
        else:
            self.rows = library.rows.to(self.lead.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self.rows, self.packed = fn(self.rows), tuple(fn(part) for part in self.packed)
        return self

    def packed_pair(self, rows: Tensor, drug: int, cell: Tensor) -> Tensor:
        """Image (1, N + R, width) of one drug of the library, with its rows (N, W), and a cell (1 + K,)."""
        vector = torch.cat([self.lead[drug].cpu(), cell[1:].cpu()])
        vector[OFFSET] += cell[0].cpu()
        return self.layout.pack(rows, vector).to(self.lead.device)


def parameter_groups(network: DrugResponseNet, learning_rate: float, drug_learning_rate: float) -> list[dict[str, Any]]:
    """Parameters for the optimizer: the drug tower learns at a rate of its own, as it sees few hundred molecules.

    Args:
        network: whose parameters.
        learning_rate: of everything else.
        drug_learning_rate: of the drug tower.
    """
    tower = {id(parameter) for parameter in network.drug_tower.parameters()}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in tower]
    return [
        {"params": rest, "lr": learning_rate},
        {"params": list(network.drug_tower.parameters()), "lr": drug_learning_rate},
    ]

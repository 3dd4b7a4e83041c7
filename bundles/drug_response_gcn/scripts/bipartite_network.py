"""The screen as one graph of drugs and cells, as a network of this bundle."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from .bipartite import BipartiteResponse
from .bipartite_graph import Unit, hide_edges, training_edges
from .pair_layout import LEAD, SCALE
from .response_network import CAPACITY, ResponseNetwork
from .sized_by_data import SizedByData

__all__ = ["BipartiteNetwork"]


class BipartiteNetwork(ResponseNetwork):
    """Predict pairs from the measured responses of their neighbours in the graph of drugs and cells.

    Edges are training responses alone, held in the weights; those of validation and test never become one. A step of
    training hides a share of the edges, is asked for these only (NaN elsewhere), and hears the others. A cell that is
    not among the training cells has no edge and is predicted from its features.

    Args:
        num_components: components of each kind of omics, in order.
        effects: known mean effects, see :class:`~.known_effects.KnownEffects`.
        unit: what a step hides as a whole: ``pair`` for unknown pairs, ``cell`` for unseen cells, ``drug`` for unseen
            drugs.
        share: chance of a unit to be hidden, inside (0, 1).
        hidden_channels: width.
        num_layers: rounds of messages.
        dropout: in [0, 1).
        fingerprint_bits: features of a drug.
        capacity: see :class:`~.response_network.ResponseNetwork`.

    Shapes:
        Cells (M, 1 + K), effect and features -> (M, D). There is no packed form, so no export.
    """

    def __init__(
        self,
        num_components: Mapping[str, int],
        effects: Collection[str],
        unit: Unit,
        share: float = 0.3,
        hidden_channels: int = 64,
        num_layers: int = 2,
        dropout: float = 0.3,
        fingerprint_bits: int = 2048,
        capacity: Mapping[str, int] = CAPACITY,
    ) -> None:
        super().__init__(num_components, 0, effects, 96, fingerprint_bits, False, capacity)
        self.unit = unit
        self.share = share
        self.graph = BipartiteResponse(fingerprint_bits, self.omics.num_features, hidden_channels, num_layers, dropout)
        self.training_data = _TrainingGraph()

    def remember(self, cells: Tensor, responses: Tensor) -> None:
        """Take the training cells (C, 1 + K) and their responses (C, D), ln IC50 with NaN; the library is set."""
        data = self.training_data
        rest = (responses - self.in_ln_units(torch.zeros_like(responses), cells)) / self.lead[:, SCALE]
        data.cells, data.residuals, data.drugs = cells, rest, self.lead[:, LEAD:]

    def forward(self, cells: Tensor) -> Tensor:
        """See the class."""
        data = self.training_data
        if self.training:
            place = torch.cdist(cells, data.cells).argmin(dim=1)
            rest = data.residuals[place]
            mask = torch.isfinite(rest)
            hidden = hide_edges(mask, self.unit, self.share)
            out = self.graph(self.lead[:, LEAD:], cells[:, 1:], *training_edges(rest, mask & ~hidden))
            return self.in_ln_units(out, cells).masked_fill(~hidden, torch.nan)
        nodes, place = _joined(data.cells, cells)
        drugs, drug_place = _joined(data.drugs, self.lead[:, LEAD:])
        rest = torch.full((len(nodes), len(drugs)), torch.nan, device=cells.device)
        rest[: len(data.cells), : len(data.drugs)] = data.residuals
        out = self.graph(drugs, nodes[:, 1:], *training_edges(rest, torch.isfinite(rest)))
        return self.in_ln_units(out[place][:, drug_place], cells)


def _joined(known: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """Known rows and those of the given that are not among them, and where each given row stands."""
    exact = torch.cdist(given, known, compute_mode="donot_use_mm_for_euclid_dist")  # else equal rows lie .02 apart
    distance, place = exact.min(dim=1)
    new = distance > 1e-3
    return torch.cat([known, given[new]]), torch.where(new, len(known) + new.cumsum(0) - 1, place)


class _TrainingGraph(SizedByData):
    """Cells (C, 1 + K), residuals (C, D) and fingerprints (D, bits) of training."""

    cells: Tensor
    residuals: Tensor
    drugs: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("cells", "residuals", "drugs"):
            self.register_buffer(name, torch.zeros(0, 0))

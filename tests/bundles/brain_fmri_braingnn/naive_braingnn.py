"""BrainGNN as its equations read: one graph, one region, one edge at a time, from the weights of a state dict.

Li et al., BrainGNN, Medical Image Analysis 74:102233 (2021), Eq. (1)-(10). It imports nothing of the bundle: the tests
compare it with the dense network.
"""

import math

import torch
from torch import Tensor

State = dict[str, Tensor]


def kernel(alpha: Tensor, basis: Tensor, bias: Tensor) -> Tensor:
    """Eq. (2), (3): kernel (F, O) of the region whose row of memberships is ``alpha`` (K,)."""
    total = bias
    for u in range(len(alpha)):
        total = total + max(alpha[u], alpha.new_zeros(())) * basis[u]
    return total


def convolve(rows: list[Tensor], regions: list[int], adjacency: Tensor, state: State, name: str) -> list[Tensor]:
    """Eq. (1): every region i hears itself and its neighbours j, each through ITS OWN kernel."""
    alpha, basis, bias = (state[f"{name}.{part}"] for part in ("alpha", "basis", "kernel_bias"))
    kernels = [kernel(alpha[region], basis, bias) for region in regions]
    out = []
    for i in range(len(rows)):
        total = rows[i] @ kernels[i]
        degree = sum(float(adjacency[i, j]) for j in range(len(rows)))
        for j in range(len(rows)):
            if adjacency[i, j] > 0:
                total = total + adjacency[i, j] / degree * (rows[j] @ kernels[j])
        out.append(torch.relu(total))
    return out


def standardised(rows: list[Tensor], weight: Tensor, present: list[bool]) -> list[Tensor]:
    """Eq. (4): projection on w / ||w||, standardised over the present regions; NaN for the others."""
    length = torch.sqrt(sum(w * w for w in weight))
    raw = [row @ weight / length for row in rows]
    kept = [value for value, there in zip(raw, present, strict=True) if there]
    mean = sum(kept) / len(kept)
    std = torch.sqrt(sum((value - mean) ** 2 for value in kept) / len(kept) + 1e-12)
    return [
        (value - mean) / std if there else weight.new_tensor(math.nan)
        for value, there in zip(raw, present, strict=True)
    ]


def best(scores: list[Tensor], num_kept: int) -> list[int]:
    """Eq. (4): positions of the k highest scores, best first; fewer where fewer regions are present."""
    present = [i for i, score in enumerate(scores) if not score.isnan()]
    return sorted(present, key=lambda i: -float(scores[i].detach()))[:num_kept]


def readout(rows: list[Tensor]) -> Tensor:
    """Eq. (5): mean || max."""
    mean, largest = torch.zeros_like(rows[0]), rows[0]
    for row in rows:
        mean = mean + row / len(rows)
        largest = torch.maximum(largest, row)
    return torch.cat([mean, largest])


def head(z: Tensor, state: State) -> Tensor:
    """Linear layers, each but the last followed by ReLU and batch norm with the stored statistics."""
    layers = sorted({int(key.split(".")[1]) for key in state if key.startswith("head.")})
    for place in layers:
        own = {key.split(".")[2]: value for key, value in state.items() if key.startswith(f"head.{place}.")}
        if "running_mean" in own:
            z = (z - own["running_mean"]) / torch.sqrt(own["running_var"] + 1e-5) * own["weight"] + own["bias"]
        else:
            z = own["weight"] @ z + own["bias"]
            z = z if place == layers[-1] else torch.relu(z)
    return z


def braingnn(state: State, features: Tensor, adjacency: Tensor, ratio: float) -> tuple[Tensor, Tensor, Tensor]:
    """One graph: features (N, N), adjacency (N, N) -> logits (C,), scores of pool 1 (N,), scores of pool 2 (N,)."""
    regions = list(range(len(features)))
    present = [any(value != 0 for value in row) for row in features]
    rows, edges, seen, all_scores, num_kept = [*features], adjacency, [], [], len(features)
    for layer in (1, 2):
        rows = convolve(rows, regions, edges, state, f"conv{layer}")
        scores = standardised(rows, state[f"pool{layer}.weight"], present)
        place = features.new_full((len(features),), math.nan)
        for region, score in zip(regions, scores, strict=True):
            place = place.index_put((torch.tensor(region),), score)
        all_scores.append(place)
        num_kept = math.ceil(ratio * num_kept)
        index = best(scores, num_kept)
        rows = [rows[i] * torch.sigmoid(scores[i]) for i in index]
        regions, present = [regions[i] for i in index], [True] * len(index)
        edges = torch.stack([torch.stack([edges[i, j] for j in index]) for i in index])
        seen.append(readout(rows))
    return head(torch.cat(seen), state), *all_scores


def unit_loss(weights: list[Tensor]) -> Tensor:
    """Eq. (6)."""
    return sum((torch.sqrt(sum(value * value for value in w)) - 1) ** 2 for w in weights)


def topk_pool_loss(scores: Tensor, num_kept: int) -> Tensor:
    """Eq. (8): scores (M, N) -> scalar."""
    total, graphs = scores.new_zeros(()), 0
    for row in scores:
        gates = sorted((torch.sigmoid(value) for value in row if not value.isnan()), key=lambda g: -float(g.detach()))
        graphs += bool(gates)
        for rank, gate in enumerate(gates):
            total = total - torch.log(gate if rank < num_kept else 1 - gate) / len(gates)
    return total / graphs


def group_consistency_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Eq. (9): every pair of graphs of a class, region by region; a region missing in either does not count."""
    total = scores.new_zeros(())
    for m in range(len(scores)):
        for n in range(len(scores)):
            for i in range(scores.shape[1]):
                if labels[m] == labels[n] and not (scores[m, i].isnan() or scores[n, i].isnan()):
                    total = total + (scores[m, i] - scores[n, i]) ** 2
    return total

"""Top-k pooling loss of BrainGNN."""

import torch
from torch import Tensor, nn

__all__ = ["topk_pool_loss"]


def topk_pool_loss(scores: Tensor, num_kept: int) -> Tensor:
    r"""Push the gates of the kept regions to 1 and those of the others to 0.

    .. math::
        -\frac{1}{M}\sum_m \frac{1}{N_m} \Big[\sum_{i \le k} \log \hat s_{m,i} + \sum_{i > k} \log(1 - \hat s_{m,i})\Big],
        \qquad \hat s = \mathrm{sort}_{desc}(\sigma(\tilde s))

    Args:
        scores: (M, N) standardised scores of ALL regions, NaN where a region is missing; a graph without any region
            does not count.
        num_kept: k.

    Returns:
        Scalar >= 0. Standardised scores allow no less than 0.3133 (k = N / 2, scores of -1 and 1).

    Raises:
        ValueError: when ``scores`` is not a matrix or k is not in 1..N.

    Reference:
        Li et al., Medical Image Analysis 74:102233 (2021), Eq. (8). The authors' code sees the kept scores only.
    """
    if scores.ndim != 2 or not 1 <= num_kept <= scores.shape[1]:
        raise ValueError(
            f"topk_pool_loss: num_kept is {num_kept} for scores of shape {tuple(scores.shape)}; expected (M, N) and"
            " 1 <= num_kept <= N."
        )
    present = scores.isfinite()
    count = present.sum(1, keepdim=True)
    rank = torch.arange(scores.shape[1], device=scores.device)
    ordered = scores.masked_fill(~present, -torch.inf).sort(dim=1, descending=True).values
    ordered = ordered.masked_fill(rank >= count, 0)
    terms = nn.functional.logsigmoid(torch.where(rank < num_kept, ordered, -ordered))  # Eq. (8)
    per_graph = -(terms * (rank < count)).sum(1) / count[:, 0].clamp(min=1)
    return per_graph.sum() / (count > 0).sum().clamp(min=1)

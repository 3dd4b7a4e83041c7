"""Cell tower in which expression attends to the other kinds of omics."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["OmicsAttention"]


class OmicsAttention(nn.Module):
    r"""Cross-attention between kinds of omics, beside a linear map of all features.

    .. math::
        q' = \mathrm{LN}\big(q + \mathrm{softmax}(Q K^\top / \sqrt d)\, V\big), \qquad c = W q' + b + W_s x

    A linear map per part makes ``num_tokens`` tokens of it. Tokens q of the first part, expression, query those of the
    other parts; where there is one part alone they query themselves. A kind that a cell lacks, with features 0, gives
    the tokens of the mean cell.

    Args:
        parts: features of each part of a cell, expression first, with sum K.
        hidden_channels: width of a token, a multiple of ``num_heads``.
        out_channels: O.
        dropout: probability on tokens behind the attention; .4 of it acts on the features that become tokens.
        num_tokens: tokens of a part.
        num_heads: heads of the attention.

    Shapes:
        ``features`` (B, K) -> (B, O).

    Raises:
        ValueError: when the heads do not divide the width.

    Reference:
        Vaswani et al., Attention is all you need, NeurIPS 2017, arXiv:1706.03762, Eq. (1).
    """

    def __init__(
        self,
        parts: Sequence[int],
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        num_tokens: int = 4,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        if hidden_channels % num_heads:
            raise ValueError(
                f"OmicsAttention: hidden_channels is {hidden_channels}, it must be a multiple of the {num_heads} heads."
            )
        self.parts = list(parts)
        self.num_tokens = num_tokens
        self.tokens = nn.ModuleList([nn.Linear(part, num_tokens * hidden_channels) for part in parts])
        self.attention = nn.MultiheadAttention(hidden_channels, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden_channels)
        self.feature_dropout = nn.Dropout(0.4 * dropout)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(num_tokens * hidden_channels, out_channels)
        self.skip = nn.Linear(sum(parts), out_channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        split = self.feature_dropout(features).split(self.parts, dim=1)
        tokens: list[Tensor] = []
        for i, layer in enumerate(self.tokens):
            tokens.append(layer(split[i]).unflatten(1, [self.num_tokens, -1]))  # (B, T, H)
        query = tokens[0]
        memory = torch.cat(tokens[1:], dim=1) if len(tokens) > 1 else query
        heard = self.attention(query, memory, memory, need_weights=False)[0]  # Eq. (1)
        return self.out(self.dropout(self.norm(query + heard)).flatten(1)) + self.skip(features)

"""Cell tower of two linear layers."""

from torch import Tensor, nn

__all__ = ["OmicsMLP"]


class OmicsMLP(nn.Module):
    r"""Perceptron of the fitted features, beside a linear map of them.

    .. math::
        c = W_2\, \mathrm{relu}(W_1 x + b_1) + b_2 + W_s x

    The linear part learns what a ridge regression of the components does; the perceptron adds to it.

    Args:
        in_channels: K, fitted features of a cell.
        hidden_channels: width of the hidden layer.
        out_channels: O.
        dropout: probability in the hidden layer; .4 of it acts on the features of the perceptron.

    Shapes:
        ``features`` (B, K) -> (B, O).
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Dropout(0.4 * dropout),
            nn.Linear(in_channels, hidden_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, out_channels),
        )
        self.skip = nn.Linear(in_channels, out_channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.network(features) + self.skip(features)

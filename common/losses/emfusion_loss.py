"""The training objective of EMFusion."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from .fusion_inputs import fusion_inputs
from .fusion_intensity_loss import fusion_intensity_loss
from .fusion_ssim_loss import fusion_ssim_loss
from .source_weights import abundance_saliency_weights
from .unique_channel_loss import unique_channel_loss

__all__ = ["EMFusionLoss", "FrozenEncoders"]


class FrozenEncoders(Protocol):
    """What the loss needs of stage one."""

    def encoders(self) -> Sequence[nn.Module]:
        """One frozen module per source, image (B, 1, H, W) -> its K unique channels (B, K, H, W)."""


class EMFusionLoss(nn.Module):
    r"""Surface-level terms weighted by the content of the sources, and a deep term on their unique features.

    .. math::
        L = L_{ssim} + 10\, L_{mse} + 0.5\, L_{unique}, \quad
        L_{unique} = \sum_i \frac1K \sum_k \mathrm{mean}\, |E_{i,k}(S_i) - E_{i,k}(F)|

    Everything, the encoders too, runs in float32 under autocast.

    Args:
        stage_one: supplies the encoders; asked for them in ``forward`` only, so it need not have run before. None is
            allowed when ``unique`` is 0.
        ssim: weight of the structural term.
        mse: weight of the squared error.
        unique: weight of the deep term; 0 leaves it out.
        c: temperature of the weights of the sources (:func:`abundance_saliency_weights`).

    Shapes:
        fused (B, 1, H, W), sources (B, N, H, W), both in [0, 1] -> scalar. ``terms`` holds the unweighted terms of the
        last batch by name.

    Raises:
        ValueError: when the deep term has a weight but no encoders, or another number of them than sources.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021). The authors' code mixes L1 and L2 in the deep term.
    """

    def __init__(
        self,
        stage_one: FrozenEncoders | None = None,
        ssim: float = 1.0,
        mse: float = 10.0,
        unique: float = 0.5,
        c: float = 0.5,
    ) -> None:
        super().__init__()
        if unique and stage_one is None:
            raise ValueError(f"EMFusionLoss: unique is {unique} without stage_one; give one, or set unique to 0.")
        self.stage_one = stage_one
        self.weights = {"ssim": ssim, "mse": mse, "unique": unique}
        self.c = c
        self.terms: dict[str, Tensor] = {}

    def forward(self, fused: Tensor, sources: Tensor) -> Tensor:
        """See the class."""
        fused, sources = fusion_inputs("EMFusionLoss", fused, sources)
        weights = abundance_saliency_weights(sources, self.c)
        terms = {
            "ssim": fusion_ssim_loss(fused, sources, weights),
            "mse": fusion_intensity_loss(fused, sources, "mse", weights),
        }
        if self.stage_one is not None and self.weights["unique"]:
            terms["unique"] = self._unique(self.stage_one.encoders(), fused, sources)
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def _unique(self, encoders: Sequence[nn.Module], fused: Tensor, sources: Tensor) -> Tensor:
        if len(encoders) != sources.shape[1]:
            raise ValueError(
                f"EMFusionLoss: sources are {sources.shape[1]} but stage_one has {len(encoders)} encoders; train stage"
                " one on the same sources, or set unique to 0."
            )
        total = fused.new_zeros(())
        with torch.autocast(fused.device.type, enabled=False):
            for encoder, source in zip(encoders, sources.split(1, dim=1), strict=True):
                with torch.no_grad():
                    wanted = encoder(source)
                total = total + unique_channel_loss(encoder(fused), wanted)
        return total

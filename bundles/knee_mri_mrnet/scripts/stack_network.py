"""Nine MRNets and a stacker: one exam with three planes, three answers."""

import torch
from torch import Tensor, nn

from .backbones import BACKBONES, Backbone, make_backbone
from .names import PLANES, TASKS, member_name
from .network import MRNet
from .slice_head import SliceHead
from .stacker import Stacker

__all__ = ["MRNetStack"]

SHARED = "shared"


class MRNetStack(nn.Module):
    """Every plane and task has a head; the logits of a task's planes are stacked.

    Args:
        backbone: name, see :func:`~scripts.backbones.make_backbone`.
        head: ``"linear"`` or ``"mlp"``.
        pooling: over slices, ``"max"`` or ``"attention"``.
        dropout: of the heads.
        shared_backbone: True: one backbone for the nine heads, held and run once; False: nine, which end-to-end
            training of the members needs.
        freeze_backbone: train the heads only.

    Shapes:
        image (B, 3, S, H, W) in [0, 1], planes in the order of ``PLANES``, short planes padded with slices of zeros ->
        stacked logits (B, 3) in the order of ``TASKS``. A plane of zeros is absent and the stacker does without it.

    Raises:
        ValueError: a name is unknown or `dropout` is out of range.

    Reference:
        Bien et al., Deep-learning-assisted diagnosis for knee MRI, PLOS Medicine 15:e1002699 (2018). Departures: the
        shared backbone, see ``shared_backbone``, and the stacker, see :class:`~scripts.stacker.Stacker`.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        head: str = "linear",
        pooling: str = "max",
        dropout: float = 0.0,
        shared_backbone: bool = True,
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        names = [member_name(plane, task) for plane in PLANES for task in TASKS]
        self.shared_backbone = shared_backbone
        self.backbones = nn.ModuleDict(
            {name: make_backbone(backbone) for name in ([SHARED] if shared_backbone else names)}
        )
        width = BACKBONES[backbone].num_features
        self.heads = nn.ModuleDict({name: SliceHead(width, head, pooling, dropout) for name in names})
        self.stacker = Stacker()
        if freeze_backbone:
            self.backbones.requires_grad_(False)

    def member(self, plane: str, task: str) -> MRNet:
        """The network of one plane and task; it shares its modules with this one, so training it trains this one.

        Raises:
            ValueError: `plane` or `task` is unknown.
        """
        name = member_name(plane, task)
        backbone, head = self.backbones[SHARED if self.shared_backbone else name], self.heads[name]
        assert isinstance(backbone, Backbone) and isinstance(head, SliceHead)  # for the type checker
        return MRNet(backbone, head)

    def logits_from_features(self, features: Tensor) -> Tensor:
        """Logits (B, 3 planes, 3 tasks) of slice features (B, 3 planes, S, F) of the shared backbone."""
        logits = []
        for index, head in enumerate(self.heads.values()):
            logits.append(head(features[:, index // 3]))
        return torch.cat(logits, dim=1).unflatten(1, (3, 3))

    def member_logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the nine members and which planes there are.

        Args:
            image: (B, 3 planes, S, H, W).

        Returns:
            Logits (B, 3 planes, 3 tasks), of no meaning for an absent plane, and present (B, 3 planes), bool.
        """
        present = (image != 0).flatten(2).any(dim=2)
        features = []
        for index, backbone in enumerate(self.backbones.values()):
            slices = image.flatten(0, 1) if self.shared_backbone else image[:, index // 3]
            features.append(backbone.slice_features(slices))  # type: ignore[operator]
        if self.shared_backbone:
            return self.logits_from_features(features[0].unflatten(0, (-1, 3))), present
        logits = []
        for index, head in enumerate(self.heads.values()):
            logits.append(head(features[index]))
        return torch.cat(logits, dim=1).unflatten(1, (3, 3)), present

    def forward(self, image: Tensor, with_members: bool = False) -> Tensor:
        """Stacked logits (B, 3) of exams (B, 3, S, H, W); ``with_members`` appends those of the nine members: (B, 12)."""
        logits, present = self.member_logits(image)
        stacked = self.stacker(logits, present)
        return torch.cat([stacked, logits.flatten(1)], dim=1) if with_members else stacked

"""Networks that turn gray slices into feature maps, chosen by name."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from monai.networks.nets import DenseNet121, EfficientNet, EfficientNetBN, SEResNet50, resnet18
from monai.networks.nets.efficientnet import MBConvBlock
from torch import Tensor, nn

from .alexnet import alexnet_features

__all__ = ["BACKBONES", "Backbone", "fold_first_convolution", "make_backbone"]

LITE0_BLOCKS = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)


class Backbone(nn.Module):
    """Normalisation of a gray image and a feature extractor that is always in evaluation mode.

    ``train()`` does not reach it: a batch holds the slices of few exams, which are alike, so batch normalisation keeps
    and uses its stored statistics, and there is no stochastic depth. Its parameters can still be trained.

    Args:
        name: key of :data:`BACKBONES`.
        features: normalised image (N, 1, H, W) -> feature map (N, F, h, w).
        num_features: F.
        mean: of an image in [0, 1], as the weights expect it.
        std: likewise.

    Shapes:
        image (N, 1, H, W) in [0, 1] -> feature map (N, F, h, w).
    """

    def __init__(self, name: str, features: nn.Module, num_features: int, mean: float, std: float) -> None:
        super().__init__()
        self.name = name
        self.num_features = num_features
        self.mean = mean
        self.std = std
        self.features = features
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Feature map (N, F, h, w) of slices (N, 1, H, W)."""
        return self.features((image - self.mean) / self.std)

    def slice_features(self, image: Tensor) -> Tensor:
        """Global average pool of every slice, all slices in parallel.

        Args:
            image: exams (B, S, H, W) in [0, 1]; a slice of zeros is empty.

        Returns:
            (B, S, F), zeros for an empty slice.
        """
        pooled = self.forward(image.flatten(0, 1).unsqueeze(1)).mean(dim=(2, 3))  # (B * S, F)
        occupied = (image != 0).flatten(2).any(dim=2, keepdim=True)  # (B, S, 1)
        return torch.where(occupied, pooled.reshape(image.shape[0], image.shape[1], -1), 0.0)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)

    def freeze(self) -> "Backbone":
        """Stop training: no parameter needs a gradient, so no graph is kept. Returns itself."""
        return self.requires_grad_(False)

    def calibrate(self, image: Tensor) -> "Backbone":
        """Set the statistics of batch normalisation to those of some slices (N, 1, H, W) in [0, 1].

        A random start needs this before it is trained: statistics of 0 and 1 do not fit random weights. Returns itself.
        """
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.train().reset_running_stats()
            norm.momentum = None  # the plain mean over batches, here of one
        with torch.no_grad():
            self(image)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        return self.eval()


def make_backbone(name: str, in_channels: int = 1) -> Backbone:
    """Backbone with random weights; :func:`~scripts.pretrained.load_pretrained` fills in ImageNet weights.

    ``alexnet`` (the article) and ``efficientnet_lite0`` have public ImageNet weights that can be loaded; ``resnet18``,
    ``densenet121``, ``seresnet50`` and ``efficientnet-b0`` are MONAI's 2-D networks and start at random. MONAI has no
    VGG and no Inception, which others have tried on this task.

    Args:
        name: key of :data:`BACKBONES`.
        in_channels: 1 for a gray image; 3 has the shapes of an ImageNet checkpoint.

    Raises:
        ValueError: `name` is unknown.

    Reference:
        Krizhevsky, arXiv:1404.5997 (AlexNet); Tan and Le, arXiv:1905.11946 (EfficientNet; Lite0 has no squeeze and
        excitation and ReLU6 for swish).
    """
    if name not in BACKBONES:
        raise ValueError(f"make_backbone: name is {name!r}, and known are {list(BACKBONES)}; take one of those.")
    recipe = BACKBONES[name]
    return Backbone(name, recipe.build(in_channels), recipe.num_features, recipe.mean, recipe.std)


def fold_first_convolution(backbone: Backbone) -> Backbone:
    """Sum the weights of the first convolution over its input channels, in place.

    A gray slice repeated three times and one mean and deviation for all channels give the same result, at a third of
    the multiplications of that layer. Returns the same backbone.
    """
    first = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    first.weight = nn.Parameter(first.weight.detach().sum(1, keepdim=True), first.weight.requires_grad)
    first.in_channels = 1
    return backbone


def _lite0(in_channels: int) -> nn.Module:
    network = EfficientNet(list(LITE0_BLOCKS), in_channels=in_channels, drop_connect_rate=0.0)
    for module in list(network.modules()):
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6(inplace=True)
        if isinstance(module, MBConvBlock):  # TorchScript compiles MONAI's squeeze-and-excitation branch, taken or not
            for name in ("adaptpool", "reduce_padding", "reduce", "expand_padding", "expand"):
                module.add_module(f"_se_{name}", nn.Identity())
    return _efficientnet(network)


def _b0(in_channels: int) -> nn.Module:
    network = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=in_channels)
    network.set_swish(memory_efficient=False)
    return _efficientnet(network)


def _efficientnet(network: EfficientNet) -> nn.Module:
    names = (
        "_conv_stem_padding",
        "_conv_stem",
        "_bn0",
        "_swish",
        "_blocks",
        "_conv_head_padding",
        "_conv_head",
        "_bn1",
    )
    parts = OrderedDict((name, getattr(network, name)) for name in names)
    return nn.Sequential(parts | {"_swish_head": network._swish})


def _resnet18(in_channels: int) -> nn.Module:
    network = resnet18(spatial_dims=2, n_input_channels=in_channels, conv1_t_stride=2, feed_forward=False)
    names = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))


def _densenet121(in_channels: int) -> nn.Module:
    features = DenseNet121(spatial_dims=2, in_channels=in_channels, out_channels=1).features
    features.add_module("relu5", nn.ReLU(inplace=True))
    return features


def _seresnet50(in_channels: int) -> nn.Module:
    network = SEResNet50(spatial_dims=2, in_channels=in_channels)
    names = ("layer0", "layer1", "layer2", "layer3", "layer4")
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))


class Recipe(NamedTuple):
    """How to build a backbone, its features, and mean and deviation of an image in [0, 1] for its weights."""

    build: Callable[[int], nn.Module]
    num_features: int
    mean: float
    std: float


BACKBONES = {
    "alexnet": Recipe(alexnet_features, 256, 58.09 / 255, 49.73 / 255),  # mean, std of MRNet's training images
    "efficientnet_lite0": Recipe(_lite0, 1280, 127 / 255, 128 / 255),
    "resnet18": Recipe(_resnet18, 512, 0.485, 0.229),
    "densenet121": Recipe(_densenet121, 1024, 0.485, 0.229),
    "seresnet50": Recipe(_seresnet50, 2048, 0.485, 0.229),
    "efficientnet-b0": Recipe(_b0, 1280, 0.485, 0.229),
}

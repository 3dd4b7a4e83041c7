"""The convolutions of AlexNet."""

from torch import nn

__all__ = ["alexnet_features"]


def alexnet_features(in_channels: int = 1) -> nn.Sequential:
    """Five convolutions whose places 0, 3, 6, 8, 10 are those in torchvision's checkpoint.

    With three input channels they hold 2,469,696 parameters; the two wide linear layers of the checkpoint (58.6 of its
    61.1 million parameters) are not part of the article's network.

    Returns:
        Layers (N, in_channels, H, W) -> (N, 256, h, w), 256 x 256 -> 7 x 7.

    Reference:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
    )

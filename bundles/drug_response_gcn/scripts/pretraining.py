"""Pretraining of a drug tower: it learns to tell properties of molecules that rdkit computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from .common.data.molecules import read_molecule
from .drug_library import DrugLibrary
from .pair_layout import LEAD, PairLayout
from .properties import PROPERTIES, molecular_properties

__all__ = ["PropertyPretraining", "pretrain", "property_items"]


class PropertyPretraining(nn.Module):
    """A drug tower with a linear head on the properties of its molecule.

    Properties are standardised by mean and standard deviation of the molecules given to :meth:`fit`, so that each
    counts alike. After training, the tower goes on without the head.

    Args:
        tower: drug tower, (B, N, width) and vector (B, L) -> (B, out_channels); it is trained in place.
        layout: where the parts of an image stand.
        out_channels: numbers that the tower hands on.

    Shapes:
        ``image`` (B, 1, N + R, width) -> standardised properties (B, 9), in the order of
        :data:`~.properties.PROPERTIES`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, tower: nn.Module, layout: PairLayout, out_channels: int) -> None:
        super().__init__()
        self.tower = tower
        self.layout = layout
        self.head = nn.Linear(out_channels, len(PROPERTIES))
        self.register_buffer("mean", torch.zeros(len(PROPERTIES)))
        self.register_buffer("scale", torch.ones(len(PROPERTIES)))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.head(self.tower(self.layout.unpack_drug(image), self.layout.unpack_vector(image)))

    def fit(self, properties: Tensor) -> None:
        """Take mean and standard deviation from the molecules of training, (D, 9); a constant property keeps scale 1.

        Raises:
            ValueError: another shape, or no molecules.
        """
        if properties.dim() != 2 or properties.shape[1] != len(PROPERTIES) or not len(properties):
            raise ValueError(
                f"PropertyPretraining: properties have the shape {tuple(properties.shape)}; give (D, "
                f"{len(PROPERTIES)}) of 1 or more molecules."
            )
        scale = properties.std(dim=0, correction=0)
        self.mean.copy_(properties.mean(dim=0))
        self.scale.copy_(torch.where(scale > 1e-6, scale, 1.0))

    def standardise(self, properties: Tensor) -> Tensor:
        """Properties (..., 9) in units of their spread."""
        return (properties - self.mean) / self.scale


def property_items(library: DrugLibrary, layout: PairLayout) -> list[dict[str, Any]]:
    """One item a molecule: `id` (its name), `image` (1, N + R, width) without a cell, `label` properties (9,).

    Only molecules of training belong here: properties carry no response, but a test molecule that the tower has met
    would not be an unseen drug any more.

    Args:
        library: molecules; those with one parent count once.
        layout: the one of the library.
    """
    first = {parent: index for index, parent in reversed(list(enumerate(library.parents)))}
    return [
        {
            "id": library.names[index],
            "image": layout.pack(library.rows[index], _vector(library.fingerprints[index], layout)),
            "label": molecular_properties(read_molecule(parent, library.names[index])),
        }
        for parent, index in sorted(first.items(), key=lambda entry: entry[1])
    ]


def pretrain(
    network: PropertyPretraining,
    items: list[dict[str, Any]],
    num_epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> list[float]:
    """Train the tower of a network on properties, with AdamW and one cycle of the learning rate.

    Args:
        network: its tower and head are trained in place, its scale fitted; left in evaluation mode.
        items: see :func:`property_items`.
        num_epochs: passes over the molecules, at least 1.
        batch_size: molecules a step.
        learning_rate: the highest one.
        seed: of the order of the molecules and of dropout; the generator of the caller is left as it was.

    Returns:
        Mean squared error of each epoch on the standardised properties; 1 is what their means reach.

    Raises:
        ValueError: there is no item.
    """
    if not items:
        raise ValueError("pretrain: there is no molecule, items must hold 1 or more; give the drugs of training.")
    images, labels = torch.stack([item["image"] for item in items]), torch.stack([item["label"] for item in items])
    images, labels = images.to(network.mean.device), labels.to(network.mean.device)
    network.fit(labels)
    targets = network.standardise(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    steps = num_epochs * -(-len(items) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    history = []
    network.train()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(num_epochs):
            total = 0.0
            for some in torch.randperm(len(items)).split(batch_size):
                optimizer.zero_grad()
                loss = mse_loss(network(images[some]), targets[some])
                loss.backward()
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(some)
            history.append(total / len(items))
    network.eval()
    return history


def _vector(fingerprint: Tensor, layout: PairLayout) -> Tensor:
    """Vector of a pair that has a molecule only; offset, code and cell are 0."""
    return torch.cat([torch.zeros(LEAD), fingerprint, torch.zeros(layout.cell_features)])

"""A phantom screen of 12 small drugs and 40 cells with its fitted networks, for the tests of what is built on one."""

import tempfile
from functools import cache
from pathlib import Path

import torch
from scripts.cell_features import CellFeaturesd
from scripts.common.data import load_datalist
from scripts.drug_library import DrugLibrary, drug_library
from scripts.network import DrugResponseNet
from scripts.pair_layout import PairLayout
from scripts.phantoms import PhantomSettings, make_cohort
from scripts.response_network import ResponseNetwork
from scripts.screen import Screen, read_screen
from torch import Tensor

ROOM = {"drugs": 20, "cells": 40, "values": 300}
COMPONENTS = {"expression": 8, "mutation": 3}
UNITS = {"drug": (8, 2, 2), "cell": (28, 6, 6), "tissue": (4, 1, 1), "random": (70, 10, 20)}


def settings(split: str, drugs: int = 12) -> PhantomSettings:
    training, validation, test = UNITS[split]
    return PhantomSettings(training, validation, test, split, drugs=drugs, cells=40)


@cache
def make_screen(split: str = "drug", drugs: int = 12) -> Screen:
    with tempfile.TemporaryDirectory() as folder:
        make_cohort(Path(folder), settings(split, drugs))
        return read_screen(load_datalist(folder), list(COMPONENTS))


@cache
def make_library(layout: PairLayout, split: str = "drug") -> DrugLibrary:
    return drug_library(make_screen(split).drugs, layout)


def part_of(library: DrugLibrary, drugs: list[int]) -> DrugLibrary:
    names, parents = ([column[d] for d in drugs] for column in (library.names, library.parents))
    return DrugLibrary(names, parents, library.rows[drugs], library.fingerprints[drugs])


def make_network(encoder: str = "gine", **changes: object) -> DrugResponseNet:
    """Small network without dropout, whose drugs have random vectors of their own."""
    torch.manual_seed(0)
    sizes = {"hidden_channels": 16, "num_layers": 2, "drug_channels": 12, "cell_channels": 16, "embedding_channels": 8}
    rest = {"dropout": 0.0, "drug_dropout": 0.0, "max_atoms": 32, "capacity": ROOM}
    bits = {"fingerprint_bits": 64 if encoder == "fingerprint" else 0}
    network = DrugResponseNet(COMPONENTS, drug_encoder=encoder, **sizes | rest | bits | changes)
    torch.nn.init.normal_(network.own.weight[1:])
    return network.eval()


def cells_of(network: ResponseNetwork, screen: Screen, section: str = "training") -> tuple[Tensor, Tensor]:
    """Effect and features (M, 1 + K) of the cells of a section, and its responses (M, D)."""
    items = [CellFeaturesd("image", network)(item) for item in screen.items(section)]
    return torch.stack([i["image"] for i in items]), torch.stack([torch.tensor(i["label"]).float() for i in items])

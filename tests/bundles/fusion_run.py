"""Runs of the fusion bundles in this process, so that no time goes to start-up, and the pictures they need."""

import csv
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from common.data.brain_phantoms import PhantomSettings, make_cohort, make_phantom
from tests.bundles.bundle_run import ROOT, BundleRun

__all__ = ["RATE", "FusionRun", "execute", "failure", "frames", "pair", "save", "weights_of"]

RATE = re.compile(r"fused (\d+) frames of (\d+ x \d+): ([\d.]+) frames/s in the network, ([\d.]+) frames/s")


class FusionRun(BundleRun):
    """Runs of one fusion bundle; a call starts a process, every other method runs here."""

    def __init__(self, bundle: str, **ids: Any) -> None:
        super().__init__(bundle, **({"val_interval": 1} | ids))
        self.root = ROOT / self.folder

    def make_cohort(self, folder: Path, **settings: Any) -> Path:
        """Make the phantoms of the contract, with other ``settings`` where given."""
        make_cohort(folder, PhantomSettings(**(self.contract["phantoms"] | settings)))
        return folder

    def parsed(self, names: list[str], **ids: Any) -> ConfigParser:
        """Configs ``names``, one over the other, with ``ids``."""
        config = ConfigParser()
        config.read_config([str(self.root / f"configs/{name}.json") for name in names])
        config.update({"bundle_root": str(self.root)} | ids)
        return config

    def training(self, names: list[str], cohort: Path, folder: Path, **ids: Any) -> ConfigParser:
        """A small training with the overrides ``names``; everything is written to ``folder``."""
        places = {"dataset_dir": str(cohort), "cache_dir": str(cohort / "cache")}
        places |= {"output_dir": str(folder), "model_dir": str(folder), "train#handlers#6#_disabled_": True}
        return self.parsed(["train", *names], **(places | self.ids | ids))

    def inference(self, names: list[str], source: Any, output: Path, **ids: Any) -> ConfigParser:
        """Inference without a progress bar, with the overrides ``names``."""
        places = {"dataset_dir": str(source), "output_dir": str(output), "handlers#0#disable": True}
        return self.parsed(["inference", *names], **(places | ids))

    def fuse(self, source: Any, output: Path, weights: Path, *names: str, **ids: Any) -> list[dict[str, str]]:
        """Fuse with a weights file; the rows of the network in ``metrics.csv``."""
        config = self.inference([*names], source, output, **({"ckpt_path": str(weights), "panels": False} | ids))
        for step in range(2):
            config.get_parsed_content(f"run#{step}")
        rows = csv.DictReader(open(output / "metrics.csv"))
        return [row for row in rows if row["method"] == "model"]

    def live(self, source: Path, output: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
        """Run the live command with random weights; the lines of FrameRate."""
        config = self.inference(["live"], source, output, load_pretrain=False)
        with caplog.at_level(logging.INFO):
            config.get_parsed_content("run#1")
        return [record.getMessage() for record in caplog.records if record.name == "FrameRate"]


def execute(config: ConfigParser) -> None:
    """``initialize`` and every step of ``run``."""
    for step in ["initialize", *(f"run#{k}" for k in range(len(config["run"])))]:
        config.get_parsed_content(step)


def failure(call: Callable[[], Any], kind: type[Exception] = Exception) -> str:
    """Messages of an error and its causes, the first cause, of class ``kind``, last; MONAI names the expression on top."""
    try:
        call()
    except Exception as problem:
        chain: list[BaseException] = [problem]
        while chain[-1].__cause__ is not None:
            chain.append(chain[-1].__cause__)
        assert isinstance(chain[-1], kind), repr(chain[-1])
        return "\n".join(str(one) for one in chain)
    raise AssertionError("the run came to its end")


def weights_of(path: Path) -> torch.Tensor:
    """All weights of a file in one row."""
    return torch.cat([value.ravel() for value in torch.load(path, weights_only=True).values()])


def save(folder: Path, name: str, image: np.ndarray) -> None:
    """Write one picture."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / name)


def pair(folder: Path, modality: str, name: str = "7001.png", bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Write one slice of a phantom beside its MRI, 64 x 64."""
    phantom = make_phantom(3, modality, PhantomSettings(size=64, slices=1, bits=bits))
    save(folder / modality, name, phantom.image[0])
    save(folder / "MRI", name, phantom.mri[0])
    return phantom.image[0], phantom.mri[0]


def frames(folder: Path, modality: str = "CT") -> None:
    """Write six slices of a phantom beside their MRI, 64 x 64."""
    phantom = make_phantom(3, modality, PhantomSettings(size=64, slices=6))
    for k in range(6):
        save(folder / modality, f"{7001 + k}.png", phantom.image[k])
        save(folder / "MRI", f"{7001 + k}.png", phantom.mri[k])

"""Start a bundle as a user does: ``python -m monai.bundle run`` in a process of its own."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]


class BundleRun:
    """Runs of one bundle, made small by its ``contract.json``.

    Args:
        bundle: its name.
        ids: further ids for every run.
    """

    def __init__(self, bundle: str, **ids: Any) -> None:
        self.folder = f"bundles/{bundle}"
        self.contract = json.loads((Path(__file__).parent / bundle / "contract.json").read_text())
        self.ids = self.contract["overrides"] | ids

    def command(self, configs: list[str], folder: Path, cohort: Path, **ids: Any) -> list[str]:
        """Arguments of a run that reads ``cohort`` and writes everything to ``folder``."""
        files = [f"{self.folder}/configs/{name}.json" for name in configs]
        places = {"dataset_dir": cohort, "output_dir": folder, "model_dir": folder, "cache_dir": cohort / "cache"}
        parts = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)]
        for name, value in (self.ids | places | ids).items():
            parts += [f"--{name}", str(value)]
        return parts

    def __call__(self, configs: list[str], folder: Path, cohort: Path, **ids: Any) -> subprocess.CompletedProcess:
        """Run to the end."""
        return subprocess.run(
            self.command(configs, folder, cohort, **ids), cwd=ROOT, capture_output=True, text=True, check=False
        )

    def in_two_processes(self, folder: Path, cohort: Path, **ids: Any) -> subprocess.CompletedProcess:
        """Train with ``multi_gpu_train.json`` under torchrun."""
        parts = self.command(["train", "multi_gpu_train"], folder, cohort, **ids)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *parts[1:]]
        return subprocess.run(launcher, cwd=ROOT, capture_output=True, text=True, check=False)

    def killed_after(self, epochs: int, folder: Path, cohort: Path, **ids: Any) -> None:
        """Train and kill the process, without a chance to clean up, when so many epochs are in the history."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(self.command(["train"], folder, cohort, **ids), cwd=ROOT, **silent) as process:
            end = time.monotonic() + 240
            while len(history(folder)) < epochs and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)


def history(folder: Path) -> list[dict[str, str]]:
    """Rows of ``history.csv`` without the seconds; empty without the file."""
    path = folder / "history.csv"
    return [{**row, "seconds": ""} for row in csv.DictReader(open(path))] if path.is_file() else []


def same_weights(one: Path, two: Path, *names: str) -> bool:
    """Whether the files of these names hold the same tensors in both folders; of a checkpoint its network."""
    for name in names:
        states = [torch.load(folder / name, weights_only=True) for folder in (one, two)]
        states = [state.get("objects", {}).get("network", state) for state in states]
        if states[0].keys() != states[1].keys() or not all(torch.equal(states[0][k], states[1][k]) for k in states[0]):
            return False
    return True

"""What the choices of `knee_mri_mrnet` are worth: sagittal members trained one way each, scored on unseen phantoms.

Run from the repository root: ``python benchmarks/knee_choices.py [--output docs/knee_choices.json]``. Every row is the
bundle's own ``train.json`` with overrides, on 56 training and 16 validation phantoms of a cohort of its own (seed 1),
and the AUROC on its 100 test exams. One cohort: differences below about .05 are chance.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundles/knee_mri_mrnet"
sys.path[:0] = [str(BUNDLE), str(ROOT)]

from scripts.names import TASKS  # noqa: E402
from scripts.phantoms import PhantomSettings, make_cohort  # noqa: E402

from common.metrics import classification_metrics  # noqa: E402

CHOICES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "default": ([], {}),
    "no augmented copies": ([], {"copies": 0}),
    "richer augmentation": (["rich_augmentation"], {}),
    "halving step schedule": (["step_lr"], {}),
    "two batches accumulated": ([], {"accumulation_steps": 2}),
    "attention over slices": ([], {"pooling": "attention"}),
    "classifier of two layers": ([], {"head": "mlp", "dropout": 0.5}),
    "one network, three planes and tasks": (["three_plane"], {}),
}


def train(choice: str, task: str, cohort: Path, cache: Path) -> tuple[float, dict[str, float]]:
    """Seconds of training, with features from the cache where they are, and AUROC of each task on the test section."""
    overrides, ids = CHOICES[choice]
    files = [str(BUNDLE / f"configs/{name}.json") for name in ("train", *overrides)]
    with tempfile.TemporaryDirectory() as folder:
        places = {"bundle_root": str(BUNDLE), "dataset_dir": str(cohort), "output_dir": folder, "model_dir": folder}
        common = {"cache_dir": str(cache), "task": task, "quiet": True}
        parser = configured(files, places | common | ids)
        start = time.monotonic()
        for part in ("initialize", "run"):
            parser.get_parsed_content(part)
        seconds = time.monotonic() - start
        weights = torch.load(Path(folder) / f"{parser.get_parsed_content('weights')}.pt", weights_only=True)
        scored = configured(files, places | common | ids | {"training_cases": "$@datalist['test']", "copies": 0})
        return seconds, areas(scored, weights, [task] if "three_plane" not in overrides else list(TASKS))


def configured(files: list[str], ids: dict[str, Any]) -> ConfigParser:
    """A parser of its own for each run."""
    parser = ConfigParser()
    parser.read_config(files)
    parser.update(ids)
    return parser


def areas(parser: ConfigParser, weights: dict[str, torch.Tensor], tasks: list[str]) -> dict[str, float]:
    """AUROC by task of the plain evaluator over what it was given for training exams."""
    evaluator = parser.get_parsed_content("train#evaluator")
    parser.get_parsed_content("network_def").load_state_dict(weights)
    found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def collect(engine: Engine) -> None:
        outputs = engine.state.output
        assert isinstance(outputs, list)
        found.extend((output["pred"].cpu(), output["label"].cpu()) for output in outputs)

    evaluator.add_event_handler(Events.ITERATION_COMPLETED, collect)
    evaluator.run()
    scores, labels = (torch.stack(column).double().numpy() for column in zip(*found, strict=True))
    result = {}
    for k, task in enumerate(tasks):
        two = torch.tensor([[1 - p, p] for p in scores[:, k]]).numpy()
        result[task] = classification_metrics(two, labels[:, k].astype(int))["auroc"]
    return result


def main(cohort: Path, output: Path | None) -> None:
    """Print one row a choice and write the figures."""
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    if not cohort.is_dir():
        make_cohort(cohort, PhantomSettings(test=100, seed=1))
    rows: dict[str, dict[str, float]] = {}
    print("| sagittal plane | abnormal | ACL | meniscus | training, s |\n| --- | --- | --- | --- | --- |")
    for choice, (overrides, _) in CHOICES.items():
        found: dict[str, float] = {}
        seconds = 0.0
        for task in TASKS[:1] if "three_plane" in overrides else TASKS:
            used, figures = train(choice, task, cohort, cohort / "cache")
            seconds, found = seconds + used, found | figures
        rows[choice] = {task: round(found[task], 4) for task in TASKS} | {"seconds": round(seconds, 1)}
        cells = " | ".join(f"{rows[choice][task]:.3f}" for task in TASKS)
        print(f"| {choice} | {cells} | {seconds:.0f} |", flush=True)
    if output:
        output.write_text(json.dumps(rows, indent=4) + "\n")


if __name__ == "__main__":
    os.chdir(ROOT)
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cohort", type=Path, default=Path(tempfile.gettempdir()) / "knee_choices")
    arguments.add_argument("--output", type=Path)
    options = arguments.parse_args()
    main(options.cohort, options.output)

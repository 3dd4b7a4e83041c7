"""A small classifier with MONAI's engines, for the tests of handlers."""

from pathlib import Path

import monai
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ROCAUC, LrScheduleHandler, ValidationHandler, from_engine
from monai.transforms import Activationsd, AsDiscreted, Compose, RandGaussianNoised

from common.handlers import BestWeights, EarlyStop, EpochSeed, GradientClip, History, Resume
from common.transforms import CaseSeeded


def cases(count: int, seed: int) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 8, generator=generator)
    labels = (images[:, 0] + 0.8 * torch.randn(count, generator=generator) > 0).long()
    return [
        {"image": image, "label": int(label), "id": f"{seed}/{k}"}
        for k, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def make_trainer(
    folder: Path,
    max_epochs: int,
    resume: bool = False,
    num_workers: int = 0,
    accumulation_steps: int = 1,
    patience: int = 99,
    extra: tuple = (),
) -> SupervisedTrainer:
    monai.utils.set_determinism(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(16, 2)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=1)
    augmentation = CaseSeeded([RandGaussianNoised("image", prob=0.7, std=0.5)], seed=3)
    best = BestWeights(str(folder / "model.pt"), network, "val_auc")
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases(40, 2)), batch_size=10),
        network=network,
        postprocessing=Compose([Activationsd("pred", softmax=True), AsDiscreted("label", to_onehot=2)]),
        key_val_metric={"val_auc": ROCAUC(output_transform=from_engine(["pred", "label"]))},
        val_handlers=[
            LrScheduleHandler(scheduler, print_lr=False, step_transform=lambda e: float(e.state.metrics["val_auc"])),
            best,
        ],
    )
    history = History(str(folder), evaluator, optimizer)
    stop = EarlyStop(evaluator, "val_auc", patience)
    state = {
        "network": network,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "stop": stop,
        "history": history,
        "best": best,
    }
    handlers = [
        EpochSeed(0, augmentation),
        GradientClip(1.0),
        ValidationHandler(validator=evaluator, epoch_level=True, interval=1),
        stop,
        history,
        *extra,
        Resume(str(folder / "checkpoint.pt"), state, evaluator, resume),
    ]
    loader = DataLoader(Dataset(cases(44, 1), augmentation), batch_size=8, shuffle=True, num_workers=num_workers)
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=max_epochs,
        train_data_loader=loader,
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.CrossEntropyLoss(),
        train_handlers=handlers,
        accumulation_steps=accumulation_steps,
    )

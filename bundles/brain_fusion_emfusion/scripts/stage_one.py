"""Stage one of EMFusion: which features are unique to each of two modalities."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from ignite.metrics import Average
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .common.data.atomic import atomic_path
from .common.handlers import EpochSeed, GradientClip, Resume
from .common.losses import ssim_index
from .stage_one_networks import SOURCES, Autoencoder, ModalityPair, Translator

__all__ = ["StageOne", "reconstruction_loss", "unique_channels"]

MSE_WEIGHT = 40.0
DECAY = {"translators": 0.8, "autoencoders": 0.85}  # of the learning rate, per epoch
STEPS = ("translators", "autoencoders", "unique_channels")


def reconstruction_loss(image: Tensor, target: Tensor, structure: Tensor) -> Tensor:
    r"""Sum over modalities of :math:`40\, \mathrm{MSE}(x, t) + 1 - \mathrm{SSIM}(x, s)`.

    Args:
        image: x (B, 2, H, W), what the networks made.
        target: t (B, 2, H, W), whose gray levels to have.
        structure: s (B, 2, H, W), whose structure to have.

    Returns:
        Scalar >= 0.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), stage one.
    """
    squared = (image.float() - target.float()).square().mean(dim=(-2, -1))  # (B, 2)
    return (MSE_WEIGHT * squared + 1 - ssim_index(image, structure)).sum(1).mean()


def unique_channels(difference: Tensor, count: int) -> list[int]:
    """Indices of the ``count`` largest of ``difference`` (C,), the largest first; of equal ones the first."""
    return difference.sort(descending=True, stable=True).indices[:count].tolist()


class StageOne:
    """Train translators and autoencoders, then choose the channels that a translated image does not excite.

    A translator makes an image of one modality from the other. What the autoencoder of a modality sees in a real image
    but not in a translated one is unique to the modality: the channels of its features with the largest mean absolute
    difference, over the training images (the authors choose on their test images). Each of the three steps is skipped
    when its file is there and was made with the same ``identity`` and settings, and goes on from its checkpoint after
    an interruption, to bitwise the same weights (same machine).

    Files in ``output_dir``: ``translators.pt``, ``autoencoders.pt`` (state dicts), ``unique_channels.json``,
    ``stage_one.json`` (what they were made from).

    Args:
        dataset: training items with ``image`` (2, h, w), h, w >= 11, in [0, 1], in the order of ``SOURCES``, and
            ``id``; an item may be a list of such patches.
        output_dir: folder for the files.
        identity: names the data and what was done to them; another one starts over.
        max_epochs_translators: epochs of the translators, both in one loop.
        max_epochs_autoencoders: epochs of the autoencoders; odd steps see real images, even steps translated ones.
        num_unique: channels to choose per modality, of 128.
        batch_size: items a step.
        learning_rate: of Adam in the first epoch.
        device: where to train.
        amp: mixed precision, on CUDA only.
        seed: of weights, order and augmentation.
        num_workers: of the loader.
        rank: of this process; others than 0 wait for the files and load them.
        max_norm: largest gradient norm; 0 clips nothing.
        augmentation: transform with an ``epoch`` that the dataset draws from
            (:class:`~.common.transforms.CaseSeeded`), or None.

    Raises:
        ValueError: when ``num_unique`` is not in 1..128, or the dataset is empty or has items of another shape.

    Reference:
        Xu and Ma, EMFusion, Information Fusion 76:177-186 (2021), stage one. Here both translators keep the structure of
        their input; the authors' code asks it of one of them only.
    """

    def __init__(
        self,
        dataset: Dataset,
        output_dir: str,
        identity: str,
        max_epochs_translators: int = 8,
        max_epochs_autoencoders: int = 10,
        num_unique: int = 10,
        batch_size: int = 16,
        learning_rate: float = 1e-3,
        device: str | torch.device = "cpu",
        amp: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        rank: int = 0,
        max_norm: float = 1.0,
        augmentation: Any | None = None,
    ) -> None:
        if not 1 <= num_unique <= Autoencoder.num_features:
            raise ValueError(
                f"StageOne: num_unique is {num_unique}, choose 1 to {Autoencoder.num_features} channels; the paper's"
                " is 10."
            )
        self.dataset = dataset
        self.output_dir = Path(output_dir)
        self.identity = identity
        self.max_epochs = {"translators": max_epochs_translators, "autoencoders": max_epochs_autoencoders}
        self.num_unique = num_unique
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = torch.device(device)
        self.amp = amp and self.device.type == "cuda"
        self.seed = seed
        self.num_workers = num_workers
        self.rank = rank
        self.max_norm = max_norm
        self.augmentation = augmentation
        with torch.random.fork_rng(devices=[]):  # the weights follow from the seed, the caller's draws stay as they are
            torch.manual_seed(seed)
            self.translators = ModalityPair(Translator)
            self.autoencoders = ModalityPair(Autoencoder)
        self.channels: dict[str, list[int]] | None = None
        self._encoders: list[nn.Module] = []
        self.logger = logging.getLogger(type(self).__name__)

    def run(self) -> None:
        """Train what is missing or out of date, load the rest, choose the channels."""
        if self.rank > 0:
            self.logger.info(f"rank {self.rank} waits for {self.output_dir / 'unique_channels.json'}")
            while not all(self._is_current(step) for step in STEPS):
                time.sleep(1)
        self._train_or_load("translators", self.translators)
        self._train_or_load("autoencoders", self.autoencoders)
        path = self._file("unique_channels")
        if self._is_current("unique_channels"):
            self._log(f"unique_channels: kept, {path}")
        else:
            self._forget("unique_channels")
            self._choose()
            self._remember("unique_channels")
            self._log(f"unique_channels: {self.num_unique} of each modality, {path}")
        found = json.loads(path.read_text())
        self.channels = {name: found[name] for name in SOURCES}
        self._encoders = [self._autoencoder(name).frozen_encoder(self.channels[name]) for name in SOURCES]

    def encoders(self) -> Sequence[nn.Module]:
        """Frozen encoders in the order of the sources, image (B, 1, H, W) -> its unique channels (B, K, H, W).

        Raises:
            RuntimeError: before :meth:`run`.
        """
        if not self._encoders:
            raise RuntimeError("StageOne: the encoders are not trained yet; call run() before the loss is used.")
        return self._encoders

    def _train_or_load(self, name: str, network: nn.Module) -> None:
        """Bring one pair of networks to its final, frozen weights."""
        path = self._file(name)
        network.to(self.device)
        if self._is_current(name):
            network.load_state_dict(torch.load(path, map_location=self.device, weights_only=True))
            self._log(f"{name}: kept, {path}")
        else:
            self._forget(name)
            loss = self._train(name, network)
            with atomic_path(path) as temporary:
                torch.save(network.state_dict(), temporary)
            self._remember(name)
            self._checkpoint(name).unlink(missing_ok=True)
            self._log(f"{name}: {self.max_epochs[name]} epochs, {loss}{path}")
        network.eval().requires_grad_(False)

    def _train(self, name: str, network: nn.Module) -> str:
        """Train one pair, from its checkpoint if there is one; the mean loss of the last epoch, in words."""
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY[name])
        mark = _Mark(self._made_from(name))
        state = {"network": network, "optimizer": optimizer, "lr_scheduler": scheduler, "made_from": mark}
        trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=self.max_epochs[name],
            train_data_loader=self._loader(shuffle=True),
            network=network,
            optimizer=optimizer,
            loss_function=_loss_to_label,
            prepare_batch=_translation if name == "translators" else _reconstruction,
            additional_metrics={"loss": Average(output_transform=lambda output: output["loss"].detach())},
            train_handlers=[
                EpochSeed(self.seed, self.augmentation),
                GradientClip(self.max_norm),
                LrScheduleHandler(scheduler, print_lr=False),  # type: ignore[arg-type]
                ProgressBar(desc=name, disable=None),
                Resume(str(self._checkpoint(name)), state, resume=self._can_resume(name)),
            ],
            amp=self.amp,
            decollate=False,
        )
        if name == "autoencoders":
            trainer.add_event_handler(Events.ITERATION_STARTED(every=2), self._translate_batch)
        trainer.run()
        loss = trainer.state.metrics.get("loss")
        return "" if loss is None else f"loss {loss:.4f}, "

    def _loader(self, shuffle: bool) -> DataLoader:
        if not len(self.dataset):  # type: ignore[arg-type]
            raise ValueError("StageOne: the dataset is empty; check the training section of dataset.json.")
        return DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            collate_fn=_collate,
        )

    @torch.no_grad()
    def _translate_batch(self, engine: Any) -> None:
        """Put translated images in the place of the real ones."""
        image = engine.state.batch["image"].to(self.device)
        engine.state.batch = {"image": self.translators(image.flip(1))}

    @torch.no_grad()
    def _choose(self) -> None:
        """Write the channels with the largest mean |enc(real) - enc(translated)| over the training set."""
        total = torch.zeros(len(SOURCES), Autoencoder.num_features, dtype=torch.float64)
        pixels = 0

        def step(engine: Engine, batch: dict[str, Tensor]) -> None:
            nonlocal total, pixels
            image = batch["image"].to(self.device)
            translated = self.translators(image.flip(1))
            pairs = zip(SOURCES, image.split(1, dim=1), translated.split(1, dim=1), strict=True)
            both = [(self._autoencoder(n).encode(x) - self._autoencoder(n).encode(y)).abs() for n, x, y in pairs]
            total += torch.stack([difference.double().sum(dim=(0, 2, 3)) for difference in both]).cpu()
            pixels += image[:, 0].numel()

        engine = Engine(step)
        EpochSeed(self.seed, self.augmentation).attach(engine)  # crops of the dataset are the same every time
        engine.run(self._loader(shuffle=False), max_epochs=1)
        mean = dict(zip(SOURCES, total / pixels, strict=True))
        chosen = {name: unique_channels(mean[name], self.num_unique) for name in SOURCES}
        difference = {name: [float(mean[name][k]) for k in chosen[name]] for name in SOURCES}
        _write_json(
            self._file("unique_channels"),
            {"identity": self.identity, "mri": chosen["mri"], "functional": chosen["functional"]}
            | {"difference": difference},
        )

    def _autoencoder(self, name: str) -> Autoencoder:
        return cast(Autoencoder, self.autoencoders[name])

    def _file(self, step: str) -> Path:
        return self.output_dir / f"{step}.{'json' if step == 'unique_channels' else 'pt'}"

    def _checkpoint(self, name: str) -> Path:
        return self.output_dir / f"{name}.checkpoint.pt"

    def _made_from(self, step: str) -> dict[str, Any]:
        """What decides the outcome of a step: data, own settings and those of the steps before."""
        settings = {
            name: getattr(self, name) for name in ("identity", "batch_size", "learning_rate", "max_norm", "seed")
        }
        settings["max_epochs_translators"] = self.max_epochs["translators"]
        if step != "translators":
            settings["max_epochs_autoencoders"] = self.max_epochs["autoencoders"]
        if step == "unique_channels":
            settings["num_unique"] = self.num_unique
        return settings

    def _records(self) -> dict[str, Any]:
        path = self.output_dir / "stage_one.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def _is_current(self, step: str) -> bool:
        return self._file(step).is_file() and self._records().get(step) == self._made_from(step)

    def _forget(self, step: str) -> None:
        """Before a file is replaced; a kill in between must not leave a new file under an old record."""
        records = self._records()
        if records.pop(step, None) is not None:
            _write_json(self.output_dir / "stage_one.json", records)

    def _remember(self, step: str) -> None:
        _write_json(self.output_dir / "stage_one.json", self._records() | {step: self._made_from(step)})

    def _can_resume(self, name: str) -> bool:
        path = self._checkpoint(name)
        if not path.is_file():
            return False
        objects = torch.load(path, map_location="cpu", weights_only=True)["objects"]
        return objects.get("made_from") == self._made_from(name)

    def _log(self, message: str) -> None:
        if self.rank == 0:
            self.logger.info(message)


class _Mark:
    """Plain values that travel with a checkpoint."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def state_dict(self) -> dict[str, Any]:
        return dict(self.values)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore: only an equal mark is resumed."""


def _translation(
    batch: dict[str, Tensor], device: torch.device, non_blocking: bool, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """A translator gets the other modality; the label holds the target, and the input for its structure."""
    image = batch["image"].to(device, non_blocking=non_blocking)
    return image.flip(1), torch.stack([image, image.flip(1)])


def _reconstruction(
    batch: dict[str, Tensor], device: torch.device, non_blocking: bool, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """An autoencoder has one image as input, target and structure."""
    image = batch["image"].to(device, non_blocking=non_blocking)
    return image, torch.stack([image, image])


def _loss_to_label(image: Tensor, label: Tensor) -> Tensor:
    """``label`` (2, B, 2, H, W): target and structure."""
    return reconstruction_loss(image, label[0], label[1])


def _collate(items: Sequence[Any]) -> dict[str, Tensor]:
    """Stack the images (2, h, w) of items, or of the patches of items."""
    flat = [part for item in items for part in (item if isinstance(item, list) else [item])]
    for item in flat:
        if item["image"].ndim != 3 or len(item["image"]) != len(SOURCES):
            raise ValueError(
                f"StageOne: image of {item.get('id')} has shape {tuple(item['image'].shape)}, expected (2, h, w);"
                " stage one compares exactly two sources."
            )
    return {
        "image": torch.stack([torch.as_tensor(item["image"], dtype=torch.float32).as_subclass(Tensor) for item in flat])
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4) + "\n")

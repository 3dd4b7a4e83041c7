"""The options of a training run, and the three pains of the field: NaN, out of memory, gray instead of colour."""

import csv
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from scripts.network import EMFusionNet

from common.data.brain_phantoms import PhantomSettings, make_cohort, make_phantom
from common.losses import EMFusionLoss, FusionQualityLoss, SurfaceLoss
from tests.bundles.fusion_run import FusionRun, execute, failure, weights_of

SMALL = {"network_def#features": 4, "batch_size": 2, "patch_size": [48, 48], "max_epochs": 1}
run = FusionRun("brain_fusion_emfusion", **SMALL)
PETA = "torch.empty(10**15)"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, PhantomSettings(training=4, validation=1, test=1, slices=1, size=64, modalities=("CT",)))
    return folder


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        pytest.param({}, [0.01, 0.505, 1, 0.75, 0.25], id="warm-up-and-cosine"),
        pytest.param({"warmup_epochs": 0}, [1, 0.9045, 0.6545, 0.3455, 0.0955], id="no-warm-up"),
        pytest.param({"warmup_epochs": 2.5}, [0.01, 0.208, 0.406, 0.604, 0.802], id="warm-up-to-the-end"),
        pytest.param({"warmup_epochs": 9}, [0.01, 0.208, 0.406, 0.604, 0.802], id="warm-up-beyond-the-end"),
        # 5 batches are 3 steps when 2 are accumulated
        pytest.param({"accumulation_steps": 2, "batches": 5}, [0.01, 0.34, 0.67, 1, 0.75], id="accumulated"),
    ],
)
def test_the_learning_rate_has_its_course_for_every_warm_up(ids: dict, expected: list[float]) -> None:
    batches = ids.pop("batches", 2)
    epochs = 2.5 if batches == 2 else 2
    settings = {"max_epochs": epochs, "warmup_epochs": 1, "learning_rate": 1.0, "device": torch.device("cpu")}
    config = run.parsed(["train"], **(settings | {"train#dataloader": list(range(batches))} | ids))
    config["lr_scheduler"]["t_total"] = (
        f"$int({config['lr_scheduler']['t_total'][1:]})"  # 2.5 epochs, for the test only
    )
    optimizer, scheduler = (config.get_parsed_content(name) for name in ("optimizer", "lr_scheduler"))
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected, abs=1e-3)


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path, cohort: Path) -> None:
    still = {"random_transforms": [], "max_epochs": 2, "learning_rate": 0.01, "warmup_epochs": 0}
    sizes = {"small": (1, 2), "large": (2, 1), "plain": (1, 1)}
    for name, (batch_size, steps) in sizes.items():
        ids = {"batch_size": batch_size, "accumulation_steps": steps, "train#dataloader#shuffle": False}
        execute(run.training(["surface"], cohort, tmp_path / name, **(still | ids)))
    small, large, plain = (weights_of(tmp_path / name / "model.pt") for name in sizes)
    torch.testing.assert_close(small, large, atol=1e-4, rtol=0)
    assert (plain - large).abs().max() > 1e-3


class Encoders:
    def encoders(self) -> list[torch.nn.Module]:
        torch.manual_seed(1)
        return [torch.nn.Conv2d(1, 4, 3) for _ in range(2)]


@pytest.mark.parametrize(
    "loss", [SurfaceLoss(), FusionQualityLoss(), EMFusionLoss(Encoders())], ids=lambda x: type(x).__name__
)
def test_losses_stay_in_single_precision_under_autocast(loss: torch.nn.Module) -> None:
    phantom = make_phantom(3, "CT", PhantomSettings(size=64, slices=1))
    sources = torch.as_tensor(np.stack([phantom.image[0], phantom.mri[0]]))[None].float() / 255
    fused = (sources.mean(1, keepdim=True) + 0.05).bfloat16()  # as a network under autocast gives it
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(fused.requires_grad_(), sources)
    mixed.backward()
    assert mixed.dtype == torch.float32 and torch.isfinite(fused.grad).all()
    assert float(mixed) == pytest.approx(float(loss(fused.detach().float(), sources)), rel=1e-5)


def always(transform: Any) -> Any:
    if isinstance(transform, list):
        return [always(one) for one in transform]
    if not isinstance(transform, dict):
        return transform
    return {key: 1.0 if key == "prob" else always(value) for key, value in transform.items()}


@pytest.mark.parametrize("names", [[], ["volumes"]], ids=["pictures", "volumes"])
def test_no_augmentation_leaves_the_unit_range_so_gamma_cannot_give_nan(tmp_path: Path, names: list[str]) -> None:
    shape = (64, 64, 8) if names else (64, 64, 1)
    draw = np.random.default_rng(0)
    for name in ("image", "mri"):
        volume = draw.normal(0, 1000, shape).astype(np.float32)  # HU of both signs, far from 0..1
        nibabel.save(nibabel.Nifti1Image(volume if names else volume[..., 0], np.eye(4)), tmp_path / f"{name}.nii.gz")
    config = run.parsed(["train", *names], patch_size=[48, 48], output_dir=str(tmp_path))
    config["random_transforms"] = always(config["random_transforms"])
    item = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "mri")} | {"id": "a"}
    preprocessing, augmentation = (config.get_parsed_content(f"train#{n}") for n in ("preprocessing", "augmentation"))
    for epoch in range(20):
        augmentation.epoch = epoch
        image = preprocessing(item)["image"]
        assert torch.isfinite(image).all() and image.min() >= 0 and image.max() <= 1 and image.std() > 0.01


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.manual_seed(0)
    torch.save(EMFusionNet(features=4).state_dict(), path)
    return path


def fuse(source: Path, output: Path, model: Path, **ids: Any) -> dict[str, dict[str, str]]:
    """Run inference; the row of each case."""
    small = {"network_def#features": 4, "figures": False}
    return {row["id"]: row for row in run.fuse(source, output, model, **(small | ids))}


def test_a_file_with_nan_is_named_in_training_and_in_inference(tmp_path: Path, cohort: Path, model: Path) -> None:
    bad = np.full((64, 64), np.nan, np.float32)
    for name in ("CT", "MRI"):
        (tmp_path / "data" / name).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(bad, np.eye(4)), tmp_path / "data" / name / "7001.nii.gz")
    row = fuse(tmp_path / "data", tmp_path / "out", model)["7001"]
    assert row["error"] == "ScaleToUnit: image holds NaN or infinite values; repair the file."
    path = str(tmp_path / "data/CT/7001.nii.gz")
    case = {"image": path, "mri": path, "id": "7001", "group": "7", "section": "training", "label": -1}
    config = run.training(["surface"], cohort, tmp_path, training_cases=[case] * 2, cache_dir=str(tmp_path / "cache"))
    messages = failure(lambda: execute(config))
    assert "case 7001 cannot be preprocessed" in messages
    assert "ScaleToUnit: image holds NaN or infinite values; repair the file." in messages


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            {"loss": f"$lambda fused, sources: {PETA}"},
            r"no room for images of 2 x 2 x 48 x 48 in epoch 2, iteration 3; batch_size is 2; accumulation_steps is 1;"
            r" patch_size is \[48, 48\]; amp is False; pass a smaller --batch_size with .*The last checkpoint is good",
            id="training",
        ),
        pytest.param(
            {"validate#inferer": f"$lambda inputs, network: {PETA}"},
            "no room for images of 1 x 2 x 64 x 64; give smaller images, or take a device with more memory",
            id="validation",
        ),
    ],
)
def test_out_of_memory_ends_in_one_sentence_and_leaves_the_files(
    tmp_path: Path, cohort: Path, override: dict, message: str
) -> None:
    execute(run.training(["surface"], cohort, tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}
    assert set(before) == {"model.pt", "checkpoint.pt"}
    ids = {"max_epochs": 2, "val_interval": 1, "resume": True}
    assert re.search(message, failure(lambda: execute(run.training(["surface"], cohort, tmp_path, **(ids | override)))))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


def save_pair(folder: Path, name: str, image: Image.Image, mri: Image.Image, suffix: str = "png") -> None:
    for part, picture in {"PET": image, "MRI": mri}.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        picture.save(folder / part / f"{name}.{suffix}")


def pictures() -> tuple[Image.Image, Image.Image]:
    phantom = make_phantom(3, "PET", PhantomSettings(size=64, slices=1))
    return Image.fromarray(phantom.image[0]), Image.fromarray(phantom.mri[0])


def test_one_image_too_large_for_the_memory_does_not_cost_the_others(tmp_path: Path, model: Path) -> None:
    colour, gray = pictures()
    for name, size in {"1001": 64, "2001": 80, "3001": 64}.items():
        save_pair(tmp_path / "in", name, colour.resize((size, size)), gray.resize((size, size)))
    inferer = f"$lambda image, network: network(image) if image.shape[-1] == 64 else {PETA}"
    rows = fuse(tmp_path / "in", tmp_path / "out", model, inferer=inferer)
    assert {name: bool(row["error"]) for name, row in rows.items()} == {"1001": False, "2001": True, "3001": False}
    assert "no room for images of 1 x 2 x 80 x 80" in rows["2001"]["error"]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"1001_fused.png", "3001_fused.png"}


def png_of_16_bit(path: Path, image: Image.Image) -> None:
    """Pillow writes no such file."""
    levels = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("convert", "suffix"),
    [
        pytest.param(lambda image: image, "png", id="rgb"),
        pytest.param(lambda image: image.quantize(64), "png", id="palette"),
        pytest.param(lambda image: image.convert("RGBA"), "png", id="alpha"),
        pytest.param(lambda image: image, "jpg", id="jpeg"),
        pytest.param(lambda image: image.convert("CMYK"), "tif", id="cmyk"),
        pytest.param(None, "png", id="16-bit"),
    ],
)
def test_colour_in_is_colour_out(tmp_path: Path, model: Path, convert: Callable | None, suffix: str) -> None:
    colour, gray = pictures()
    save_pair(tmp_path / "in", "7001", convert(colour) if convert else colour, gray, suffix)
    if convert is None:
        png_of_16_bit(tmp_path / "in/PET/7001.png", colour)
    row = fuse(tmp_path / "in", tmp_path / "out", model, num_workers=int(suffix == "jpg"))["7001"]
    fused = np.asarray(Image.open(tmp_path / "out/7001_fused.png")).astype(float)
    assert not row["error"] and fused.shape == (64, 64, 3)
    lit = np.asarray(gray) > 60
    difference = {k: np.asarray(colour)[lit][:, k].mean() - np.asarray(colour)[lit][:, 2].mean() for k in (0, 1)}
    assert [np.sign(fused[lit][:, k].mean() - fused[lit][:, 2].mean()) for k in (0, 1)] == list(
        np.sign([*difference.values()])
    )


def test_colour_in_the_wrong_place_is_named(tmp_path: Path, model: Path) -> None:
    colour, gray = pictures()
    save_pair(tmp_path / "in", "1001", gray, colour)
    save_pair(tmp_path / "in", "2001", colour, colour)
    rows = fuse(tmp_path / "in", tmp_path / "out", model)
    sentence = "RGBToYCbCrd: mri is in colour, and only image may be; swap the two, or give mri in gray."
    assert [row["error"] for row in rows.values()] == [sentence] * 2


def test_a_batch_of_gray_and_colour_is_refused(tmp_path: Path, model: Path) -> None:
    colour, gray = pictures()
    save_pair(tmp_path / "in", "1001", gray, gray)
    save_pair(tmp_path / "in", "2001", colour, gray)
    messages = failure(lambda: fuse(tmp_path / "in", tmp_path / "out", model, batch_size=2))
    assert "cases 1001 and 2001 of one batch differ in chroma; pass --batch_size 1" in messages


KEYWORD = """$@network.register_forward_pre_hook(lambda module, args, kwargs: (args, {**kwargs, 'gain': 1.0}),
 with_kwargs=True) and @network"""


class KeywordNet(EMFusionNet):
    """A network that needs a keyword argument in training, as one that also returns its sources does."""

    def forward(self, image: torch.Tensor, gain: float | None = None) -> torch.Tensor:
        if gain is None:
            raise TypeError("gain is missing")
        return gain * super().forward(image)


@pytest.mark.parametrize("names", [[], ["surface"]], ids=["own-loss", "surface-loss-and-keyword"])
def test_the_learning_rate_finder_suggests_a_rate_and_touches_no_weights(
    tmp_path: Path, cohort: Path, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.pt").write_bytes(b"mine")
    ids = {"stage_one_epochs": [1, 1], "num_rates": 20, "start_rate": 1e-4}
    if names:
        ids |= {"network_def": KeywordNet(features=4), "finder_network": KEYWORD.replace("\n", "")}
    config = run.training([*names, "lr_finder"], cohort, tmp_path, **ids)
    if names:
        config.config.pop("network_def#features", None)
    network = config.get_parsed_content("network_def")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with caplog.at_level("INFO"):
        execute(config)
    rates = [float(row["learning_rate"]) for row in csv.DictReader(open(tmp_path / "learning_rates.csv"))]
    assert rates[:2] == pytest.approx([1e-4, 1e-4 * 10 ** (4 / 19)]) and 10 <= len(rates) <= 20
    assert "pass --learning_rate " in caplog.text and (tmp_path / "learning_rates.png").is_file()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert (tmp_path / "model.pt").read_bytes() == b"mine"
    assert not (tmp_path / "checkpoint.pt").exists()

import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import scripts.stage_one as module
import torch
from scripts.common.losses import EMFusionLoss, ssim_index
from scripts.stage_one import StageOne, reconstruction_loss, unique_channels
from torch.utils.data import Dataset


class Patches(Dataset):
    """Random crops of six fixed images; reading breaks after a while to play an interruption."""

    def __init__(self, fail_after: int = 10**9) -> None:
        generator = torch.Generator().manual_seed(3)
        self.images = torch.rand(6, 2, 16, 16, generator=generator)
        self.left = fail_after

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        top, left = np.random.randint(0, 5, 2)
        return {"image": self.images[index, :, top : top + 12, left : left + 12], "id": str(index), "note": None}


def stage_one(folder: Path, dataset: Dataset | None = None, **settings: object) -> StageOne:
    defaults = {"identity": "a", "max_epochs_translators": 2, "max_epochs_autoencoders": 2, "batch_size": 2}
    return StageOne(dataset or Patches(), str(folder), **(defaults | settings))  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = {name: torch.load(folder / f"{name}.pt", weights_only=True) for name in ("translators", "autoencoders")}
    return {f"{name}.{key}": value for name, state in files.items() for key, value in state.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    stage_one(folder).run()
    return folder


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(3, id="first_epoch"),
        pytest.param(6, id="translators_after_epoch_1"),
        pytest.param(9, id="translators_in_epoch_2"),
        pytest.param(12, id="between"),
        pytest.param(21, id="autoencoders_in_epoch_2"),
        pytest.param(27, id="choice"),
    ],
)
def test_an_interrupted_run_ends_with_bitwise_the_same_files(read: int, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage_one(tmp_path, Patches(fail_after=read)).run()
    again = Patches()
    stage_one(tmp_path, again).run()
    expected, found = weights(whole), weights(tmp_path)
    assert expected.keys() == found.keys()
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []
    assert (tmp_path / "unique_channels.json").read_text() == (whole / "unique_channels.json").read_text()
    assert 10**9 - again.left == 30 - read // 6 * 6  # whole epochs are not repeated


def test_a_second_run_reads_no_data_and_says_so(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    with caplog.at_level(logging.INFO, "StageOne"):
        stage = stage_one(whole, Patches(fail_after=0))
        stage.run()
    lines = [record.message for record in caplog.records if record.name == "StageOne"]
    files = ("translators.pt", "autoencoders.pt", "unique_channels.json")
    assert lines == [f"{file.split('.')[0]}: kept, {whole / file}" for file in files]
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before
    assert sorted(path.name for path in before) == sorted([*files, "stage_one.json"])
    for name, value in weights(whole).items():
        kind, key = name.split(".", 1)
        assert torch.equal(getattr(stage, kind).state_dict()[key], value)


def steps_done(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.message for record in caplog.records if record.name == "StageOne"]
    return [message.split(":")[0] for message in messages if "kept" not in message]


@pytest.mark.parametrize(
    ("settings", "removed", "expected"),
    [
        pytest.param({"identity": "b"}, "", ["translators", "autoencoders", "unique_channels"], id="identity"),
        pytest.param({"seed": 1}, "", ["translators", "autoencoders", "unique_channels"], id="seed"),
        pytest.param({"max_epochs_autoencoders": 1}, "", ["autoencoders", "unique_channels"], id="later_epochs"),
        pytest.param({"num_unique": 3}, "", ["unique_channels"], id="num_unique"),
        pytest.param({"num_workers": 1}, "", [], id="workers_change_nothing"),
        pytest.param({}, "autoencoders.pt", ["autoencoders"], id="missing_file"),
        pytest.param({}, "unique_channels.json", ["unique_channels"], id="missing_channels"),
        pytest.param({}, "stage_one.json", ["translators", "autoencoders", "unique_channels"], id="unknown_origin"),
    ],
)
def test_a_step_is_repeated_when_its_file_is_missing_or_made_from_something_else(
    settings: dict, removed: str, expected: list, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in whole.iterdir():
        if path.name != removed:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with caplog.at_level(logging.INFO, "StageOne"):
        stage_one(tmp_path, **settings).run()
    assert steps_done(caplog) == expected


@pytest.mark.parametrize(
    ("read", "name", "factor"),
    [pytest.param(9, "translators", 0.8, id="translators"), pytest.param(21, "autoencoders", 0.85, id="autoencoders")],
)
def test_the_learning_rate_falls_by_its_factor_every_epoch(read: int, name: str, factor: float, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage_one(tmp_path, Patches(fail_after=read), learning_rate=0.01).run()
    state = torch.load(tmp_path / f"{name}.checkpoint.pt", weights_only=True)
    assert state["objects"]["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.01 * factor)


def test_a_checkpoint_of_another_run_is_not_continued(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage_one(tmp_path, Patches(fail_after=9), identity="other", seed=5).run()
    stage_one(tmp_path).run()
    assert all(torch.equal(value, weights(tmp_path)[name]) for name, value in weights(whole).items())


def test_a_file_that_is_being_replaced_has_no_record(whole: Path, tmp_path: Path) -> None:
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        stage_one(tmp_path, Patches(fail_after=3), identity="other").run()
    assert "translators" not in json.loads((tmp_path / "stage_one.json").read_text())


def test_the_channels_are_those_with_the_largest_mean_difference(tmp_path: Path) -> None:
    images = Patches().images[..., :12, :12]
    stage = stage_one(tmp_path, [{"image": image, "id": "x"} for image in images], num_unique=4)
    stage.run()
    found = json.loads((tmp_path / "unique_channels.json").read_text())
    assert found["identity"] == "a"
    with torch.no_grad():
        fake = {"functional": images[:, 1:], "mri": images[:, :1]}
        real = {"functional": images[:, :1], "mri": images[:, 1:]}
        for name in ("functional", "mri"):
            encode = stage.autoencoders[name].encode
            difference = (encode(real[name]) - encode(stage.translators[name](fake[name]))).abs().mean(dim=(0, 2, 3))
            top = sorted(range(128), key=lambda k: -float(difference[k]))[:4]
            assert found[name] == top == stage.channels[name]
            assert found["difference"][name] == pytest.approx(difference[top].tolist(), rel=1e-4)
            encoder = stage.encoders()[("functional", "mri").index(name)]
            assert torch.allclose(encoder(real[name]), encode(real[name])[:, top], atol=1e-6)


def test_of_equal_differences_the_first_channels_are_taken() -> None:
    assert unique_channels(torch.tensor([1.0, 3.0, 1.0, 3.0, 2.0]), 3) == [1, 3, 4]
    assert unique_channels(torch.ones(128), 3) == [0, 1, 2]


def test_reconstruction_loss_is_40_squared_error_to_one_and_structure_of_the_other() -> None:
    image, target, structure = torch.rand(3, 2, 2, 12, 12)
    expected = sum(
        40 * torch.nn.functional.mse_loss(image[:, k], target[:, k])
        + (1 - ssim_index(image[:, k : k + 1], structure[:, k : k + 1])).mean()
        for k in range(2)
    )
    assert torch.allclose(reconstruction_loss(image, target, structure), expected)


def test_targets_and_structures_of_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(image: torch.Tensor, target: torch.Tensor, structure: torch.Tensor) -> torch.Tensor:
        seen.append((target, structure))
        return reconstruction_loss(image, target, structure)

    monkeypatch.setattr(module, "reconstruction_loss", spy)
    images = Patches().images[..., :12, :12]
    stage = stage_one(tmp_path, [{"image": image, "id": "x"} for image in images], max_epochs_translators=1)
    stage.run()
    translators, autoencoders = seen[:3], seen[3:]
    assert len(autoencoders) == 6
    for target, structure in translators:  # gray levels of the other modality, structure of the input
        assert torch.equal(structure, target.flip(1)) and all((images == one).flatten(1).all(1).any() for one in target)
    for step, (target, structure) in enumerate(autoencoders, start=1):
        assert torch.equal(target, structure)
        real = all((images == one).flatten(1).all(1).any() for one in target)
        assert real == (step % 2 == 1)
    second = stage.translators(images.flip(1))
    assert all((second - one).abs().flatten(1).amax(1).min() < 1e-5 for one in autoencoders[1][0])


def test_the_loss_can_be_made_before_the_run_and_not_used(tmp_path: Path) -> None:
    stage = stage_one(tmp_path)
    loss = EMFusionLoss(stage)
    fused, sources = torch.rand(1, 1, 12, 12, requires_grad=True), torch.rand(1, 2, 12, 12)
    with pytest.raises(RuntimeError, match=r"the encoders are not trained yet; call run\(\) before the loss is used"):
        loss(fused, sources)
    assert stage.channels is None
    stage.run()
    loss(fused, sources).backward()
    assert fused.grad.any() and loss.terms["unique"] > 0
    assert not any(p.requires_grad for encoder in stage.encoders() for p in encoder.parameters())


def test_making_it_leaves_the_random_state_of_the_caller_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first = stage_one(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    second = stage_one(tmp_path)
    assert torch.equal(first.translators["mri"].encoder[0].weight, second.translators["mri"].encoder[0].weight)


def test_other_ranks_wait_for_the_first_and_load(tmp_path: Path) -> None:
    other = stage_one(tmp_path, Patches(fail_after=0), rank=1)
    thread = threading.Thread(target=other.run, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and other.channels is None
    first = stage_one(tmp_path)
    first.run()
    thread.join(20)
    assert not thread.is_alive()
    assert other.channels == first.channels
    image = torch.rand(1, 1, 8, 8)
    assert all(torch.equal(a(image), b(image)) for a, b in zip(first.encoders(), other.encoders(), strict=True))


def test_items_may_be_lists_of_patches(tmp_path: Path) -> None:
    patches = [{"image": np.random.rand(2, 12, 12), "id": "x"} for _ in range(3)]
    stage = stage_one(tmp_path, [patches, patches])
    stage.run()
    assert len(stage.channels["mri"]) == 10


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_unique is 129, choose 1 to 128 channels; the paper's is 10"):
        stage_one(tmp_path, num_unique=129)
    with pytest.raises(ValueError, match="the dataset is empty"):
        StageOne([], str(tmp_path), "a").run()
    with pytest.raises(ValueError, match=r"image of p7 has shape \(3, 12, 12\), expected \(2, h, w\)"):
        stage_one(tmp_path, [{"image": torch.rand(3, 12, 12), "id": "p7"}]).run()

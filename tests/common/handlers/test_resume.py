import csv
from pathlib import Path

import pytest
import torch

from .engines import make_trainer


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def flatten(value: object, name: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flatten(item, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for key, item in enumerate(value) for k, v in flatten(item, f"{name}/{key}").items()}
    return {name: value}


def assert_same(first: Path, second: Path) -> None:
    one, two = flatten(load(first)), flatten(load(second))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if not name.endswith("seconds"):
            assert torch.equal(value, two[name]) if torch.is_tensor(value) else value == two[name], name


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_equals_an_undisturbed_one_in_every_entry(tmp_path: Path, num_workers: int) -> None:
    make_trainer(tmp_path / "whole", 7).run()
    make_trainer(tmp_path / "parts", 3).run()
    make_trainer(tmp_path / "parts", 7, resume=True, num_workers=num_workers).run()
    assert_same(tmp_path / "whole/checkpoint.pt", tmp_path / "parts/checkpoint.pt")
    assert_same(tmp_path / "whole/model.pt", tmp_path / "parts/model.pt")


def test_two_runs_with_one_seed_give_equal_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_trainer(tmp_path / name, 3).run()
    assert_same(tmp_path / "a/model.pt", tmp_path / "b/model.pt")


def test_a_resumed_run_keeps_better_weights_of_before(tmp_path: Path) -> None:
    make_trainer(tmp_path, 3).run()
    state = load(tmp_path / "checkpoint.pt")
    state["objects"]["best"] = {"best": 2.0, "best_epoch": 1}
    torch.save(state, tmp_path / "checkpoint.pt")
    before = (tmp_path / "model.pt").read_bytes()
    make_trainer(tmp_path, 6, resume=True).run()
    assert (tmp_path / "model.pt").read_bytes() == before


def test_a_finished_or_early_stopped_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    make_trainer(tmp_path, 50, patience=2).run()
    epoch = load(tmp_path / "checkpoint.pt")["epoch"]
    assert epoch < 50
    trainer = make_trainer(tmp_path, 50, resume=True, patience=2)
    trainer.run()
    assert load(tmp_path / "checkpoint.pt")["epoch"] == epoch
    assert len(list(csv.DictReader(open(tmp_path / "history.csv")))) == epoch


def test_resume_without_a_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="start without --resume"):
        make_trainer(tmp_path, 2, resume=True).run()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    make_trainer(tmp_path, 1).run()
    state = load(tmp_path / "checkpoint.pt")
    torch.save(state | {"objects": {"network": {}}}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="resume with the configuration that wrote it"):
        make_trainer(tmp_path, 2, resume=True).run()
    torch.save(state | {"iteration": 5}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="same data and batch_size"):
        make_trainer(tmp_path, 2, resume=True).run()


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_trainer(tmp_path, 1).run()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def broken_save(state: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken_save)
    with pytest.raises(OSError, match="disk full"):
        make_trainer(tmp_path, 2, resume=True).run()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*"))

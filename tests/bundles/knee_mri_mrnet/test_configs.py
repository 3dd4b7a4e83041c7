"""What the configs promise: settings that the tutorial got wrong, and none that is lost on the way to the members."""

import json
from pathlib import Path

CONFIGS = Path(__file__).parents[3] / "bundles/knee_mri_mrnet/configs"
# of the run itself, not of a member's training
OWN = {"weights", "plane", "task", "resume", "quiet", "fold"}


def read(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def test_weight_decay_is_decoupled_from_the_moments() -> None:
    assert read("train")["optimizer"]["_target_"] == "torch.optim.AdamW"


def test_only_training_is_shuffled_and_augmented() -> None:
    config = read("train")
    assert config["train"]["dataloader"]["shuffle"]
    for loader in (config["train"]["plain_dataloader"], config["validate"]["dataloader"]):
        assert not loader["shuffle"]
    assert config["validation_features"][0]["copies"] == 0
    for part in (config["train"]["plain_preprocessing"], config["validate"]["preprocessing"]):
        assert "plain_transforms" in part["transforms"] and "augmentation" not in part["transforms"]


def test_every_setting_of_a_member_reaches_the_members_of_the_stack() -> None:
    names = list(read("train"))
    settings = set(names[names.index("weights") : names.index("rank")]) - OWN
    assert settings <= set(read("stack")["stack_ids"])


def test_training_and_inference_prepare_a_plane_alike() -> None:
    def steps(name: str, key: str) -> list[dict]:
        ignored = {"keys", "plane", "allow_missing_keys"}
        return [{k: v for k, v in step.items() if k not in ignored} for step in read(name)[key]]

    training = steps("train", "load_transforms")
    assert steps("inference", "load_transforms")[:-1] == training
    assert steps("evaluate", "exam_transforms")[:-1] == training
    for setting in ("image_size", "crop_size", "backbone", "head", "pooling", "dropout", "shared_backbone"):
        assert read("inference")[setting] == read("train")[setting]

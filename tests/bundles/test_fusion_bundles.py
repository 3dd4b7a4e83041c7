"""Three bundles fuse brain images in one way: their configs are the same but for what stands here."""

import json
from pathlib import Path

import pytest

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
FIRST = "brain_fusion_emfusion"
MARKERS = {
    FIRST: "scripts/stage_one.py",
    "brain_fusion_haf": "scripts/ha_fusion_network.py",
    "brain_fusion_sdnet": "scripts/sdnet.py",
}
OTHERS = [name for name in MARKERS if name != FIRST]
SHARED = """train inference evaluate multi_gpu_train volumes sequences all_data lr_finder live
inference_unregistered""".split()
TUNED = {"max_epochs", "batch_size", "learning_rate", "warmup_epochs", "patch_size"}  # may be equal by chance
MODALITIES = {"ct": ("CT", "model"), "pet": ("PET", "extra/pet"), "spect": ("SPECT", "extra/spect")}
# ids that differ from brain_fusion_emfusion, or that only one of the two has
DIFFERENT = {
    "brain_fusion_haf": {
        "train": {"network_def", "loss", "stage_one", "stage_one_epochs", "run"}
        | {"intensity_weight", "gradient_weight", "ssim_weight", "source_weights"},
        "inference": {"network_def"},
        "lr_finder": {"run"},
    },
    "brain_fusion_sdnet": {
        "train": {"network_def", "loss", "stage_one", "stage_one_epochs", "run", "image_and_sources"}
        | {"intensity_weights", "gradient_weight", "decomposition_weight"},
        "inference": {"network_def"},
        "lr_finder": {"run", "finder_network"},
    },
}


def read(bundle: str, name: str) -> dict:
    """A config in which the bundle's own name and file have the names of all."""
    text = (BUNDLES / bundle / f"configs/{name}.json").read_text()
    return json.loads(text.replace(MARKERS[bundle], "MARKER").replace(bundle, "BUNDLE"))


def different(one: object, two: object) -> bool:
    """Whether two parts of a config differ, in the order of their keys too."""
    return json.dumps(one) != json.dumps(two)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("bundle", OTHERS)
def test_a_config_differs_in_the_listed_ids_alone(bundle: str, name: str) -> None:
    first, own = read(FIRST, name), read(bundle, name)
    found = {key for key in first | own if key not in first or key not in own or different(first[key], own[key])}
    assert sorted(found - TUNED) == sorted(DIFFERENT[bundle].get(name, set()))


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("bundle", OTHERS)
def test_shared_ids_stand_in_one_order(bundle: str, name: str) -> None:
    first, own = read(FIRST, name), read(bundle, name)
    assert [key for key in own if key in first] == [key for key in first if key in own]


@pytest.mark.parametrize("bundle", MARKERS)
def test_only_stage_one_and_the_decoded_sources_change_what_a_run_does(bundle: str) -> None:
    for name in ("train", "lr_finder"):
        steps = [step for step in read(FIRST, name)["run"] if "stage_one" not in step]
        assert [step for step in read(bundle, name)["run"] if "stage_one" not in step] == steps
    sources = read(bundle, "train")["image_and_sources"]
    plain = read(FIRST, "train")["image_and_sources"].removeprefix("$lambda batch, device, non_blocking=False, **_: ")
    assert plain in sources


@pytest.mark.parametrize("name", MODALITIES)
@pytest.mark.parametrize("bundle", MARKERS)
def test_the_modalities_have_one_override_each(bundle: str, name: str) -> None:
    config = read(bundle, name)
    assert (config["modality"], config["weights"]) == MODALITIES[name]
    assert config["pretrained_path"].startswith("$@bundle_root + '/models/extra/phantoms")
    known = read(bundle, "train")
    if (BUNDLES / bundle / "configs/quality.json").is_file():
        known |= read(bundle, "quality")
    assert sorted(set(config) - set(known)) == []


@pytest.mark.parametrize("bundle", OTHERS)
def test_the_networks_differ_in_their_class_alone(bundle: str) -> None:
    own = read(bundle, "train")["network_def"]
    assert {**own, "_target_": ""} == {**read(FIRST, "train")["network_def"], "_target_": ""}
    assert own["_target_"].startswith("scripts.")


@pytest.mark.parametrize("bundle", OTHERS)
def test_logs_look_alike(bundle: str) -> None:
    name = "configs/logging.conf"
    assert (BUNDLES / bundle / name).read_bytes() == (BUNDLES / FIRST / name).read_bytes()

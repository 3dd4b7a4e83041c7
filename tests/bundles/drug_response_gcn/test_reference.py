import hashlib
import json
from pathlib import Path

import pytest
from scripts.intervals import ResponseIntervals
from scripts.reference import Reference, load_reference, save_reference

REFERENCE = Reference(
    {"aspirin": "CC(=O)Oc1ccccc1C(=O)O"},
    ["TP53", "KRAS"],
    ResponseIntervals(0.9, 1.7, 2.1, 0.8, {"CC(=O)Oc1ccccc1C(=O)O": 0.75}),
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    save_reference(path, REFERENCE)
    return path


def test_what_is_saved_comes_back_equal(weights: Path) -> None:
    assert load_reference(weights) == REFERENCE
    assert save_reference(weights, REFERENCE) == weights.with_name("model.reference.json")


def test_it_is_plain_json_and_names_its_weights_by_their_sha256(weights: Path) -> None:
    content = json.loads(weights.with_name("model.reference.json").read_text())
    assert content["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert content["intervals"]["level"] == 0.9


def test_saving_replaces_an_older_reference_and_leaves_nothing_beside_it(weights: Path) -> None:
    weights.write_bytes(b"trained again")
    save_reference(weights, REFERENCE)
    assert load_reference(weights) == REFERENCE
    assert sorted(path.name for path in weights.parent.iterdir()) == ["model.pt", "model.reference.json"]


@pytest.mark.parametrize("what", ["other", "gone"])
def test_a_reference_of_other_weights_is_refused(weights: Path, what: str) -> None:
    weights.write_bytes(b"other weights") if what == "other" else weights.unlink()
    with pytest.raises(
        ValueError, match=r"model.reference.json belongs to other weights than .*model.pt; run evaluate"
    ):
        load_reference(weights)


def test_a_missing_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"load_reference: .*none.reference.json does not exist; run evaluate"):
        load_reference(tmp_path / "none.pt")


def changed(text: str, **changes: object) -> str:
    content = json.loads(text) | changes
    return json.dumps({key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="cut"),
        pytest.param(lambda text: "[]", id="list"),
        pytest.param(lambda text: changed(text, intervals={"level": 0.9}), id="fewer fields"),
        pytest.param(lambda text: changed(text, intervals=[1]), id="no fields"),
        pytest.param(lambda text: changed(text, features=None), id="no features"),
        pytest.param(lambda text: changed(text, weights_sha256=None), id="no checksum"),
    ],
)
def test_a_malformed_reference_is_one_sentence(weights: Path, spoil: object) -> None:
    path = weights.with_name("model.reference.json")
    path.write_text(spoil(path.read_text()))
    with pytest.raises(
        ValueError, match=r"load_reference: .*model.reference.json is malformed \(.*\); run evaluate.json"
    ):
        load_reference(weights)

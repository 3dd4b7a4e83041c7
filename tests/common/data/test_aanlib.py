import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.aanlib import datalist_aanlib
from common.data.datalist import load_datalist


def picture(file: Path, size: tuple[int, int] = (6, 4)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size[::-1], 7, np.uint8)).save(file)


def collection(
    folder: Path, modality: str = "CT", cases: tuple[int, ...] = (2, 20, 33, 41, 50, 51), slices: int = 4
) -> Path:
    """The collection as it is passed on: pairs by name, case * 1000 + slice."""
    for case in cases:
        for k in range(slices):
            for side in (modality, "MRI"):
                picture(folder / f"{modality}-MRI" / side / f"{case * 1000 + 11 + k}.png")
    return folder


def sections(folder: Path) -> dict[str, list[dict]]:
    return load_datalist(folder)


def test_no_case_is_in_two_sections(tmp_path: Path) -> None:
    collection(tmp_path / "src")
    for seed in range(5):
        datalist_aanlib(tmp_path / "src", tmp_path / "out", "CT", seed=seed)
        groups = [{item["group"] for item in items} for items in sections(tmp_path / "out").values()]
        assert len(groups) == 3 and all(groups)
        assert sum(map(len, groups)) == len(set.union(*groups)) == 6


def test_items_name_case_slice_and_both_images(tmp_path: Path) -> None:
    collection(tmp_path / "src", "PET")
    file = datalist_aanlib(tmp_path / "src", tmp_path / "out", "PET")
    item = next(item for items in sections(tmp_path / "out").values() for item in items if item["id"] == "PET-2011")
    section = item.pop("section")
    assert section in ("training", "validation", "test")
    assert item == {
        "id": "PET-2011",
        "image": str(tmp_path / "src/PET-MRI/PET/2011.png"),
        "mri": str(tmp_path / "src/PET-MRI/MRI/2011.png"),
        "group": "case2",
        "slice": 11,
        "label": -1,
    }
    content = json.loads(file.read_text())
    assert content["labels"] == {} and content["modality"] == {"image": "PET", "mri": "MRI"}


def test_three_cases_give_one_to_each_section(tmp_path: Path) -> None:
    collection(tmp_path / "src", "PET", cases=(25, 30, 41))
    datalist_aanlib(tmp_path / "src", tmp_path / "out", "PET")
    assert [len({item["group"] for item in items}) for items in sections(tmp_path / "out").values()] == [1, 1, 1]


def test_a_share_of_zero_leaves_the_section_out(tmp_path: Path) -> None:
    collection(tmp_path / "src", cases=(25, 30))
    datalist_aanlib(tmp_path / "src", tmp_path / "out", "CT", validation=0, test=0.5)
    assert {key: len(items) for key, items in sections(tmp_path / "out").items()} == {"training": 4, "test": 4}


def test_the_modality_follows_from_the_folder_or_must_be_chosen(tmp_path: Path) -> None:
    collection(tmp_path / "src", "CT")
    assert datalist_aanlib(tmp_path / "src/CT-MRI", tmp_path / "a").is_file()
    assert datalist_aanlib(tmp_path / "src", tmp_path / "b").is_file()
    collection(tmp_path / "src", "SPECT")
    with pytest.raises(ValueError, match="holds pairs of CT and SPECT; choose one with --modality"):
        datalist_aanlib(tmp_path / "src", tmp_path / "c")
    datalist_aanlib(tmp_path / "src", tmp_path / "c", "spect")
    assert sections(tmp_path / "c")["test"][0]["id"].startswith("SPECT-")


def orphan(folder: Path) -> None:
    (folder / "MRI/2011.png").unlink()


def larger(folder: Path) -> None:
    picture(folder / "MRI/2011.png", (8, 4))


def torn(folder: Path) -> None:
    file = folder / "CT/2011.png"
    file.write_bytes(file.read_bytes()[:-30])


def unnumbered(folder: Path) -> None:
    for side in ("CT", "MRI"):
        (folder / side / "2011.png").rename(folder / side / "2011a.png")


def twice(folder: Path) -> None:
    picture(folder / "CT/2011.jpg")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(orphan, "CT-2011: .*2011.png has no partner in .*MRI", id="no-partner"),
        pytest.param(larger, "CT-2011: image has 6 x 4 pixels and mri 8 x 4", id="size"),
        pytest.param(torn, "CT-2011: .*CT/2011.png is no readable image", id="torn"),
        pytest.param(unnumbered, "CT-2011a: the file name is no number", id="name"),
        pytest.param(twice, "CT-2011: 2 images go by this name", id="twice"),
    ],
)
def test_unusable_pairs_are_refused_by_name_or_left_out_on_request(
    tmp_path: Path, damage: object, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(collection(tmp_path / "src") / "CT-MRI")  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"1 of 24 pairs .*unusable .{message}"):
        datalist_aanlib(tmp_path / "src", tmp_path / "out", "CT")
    assert not (tmp_path / "out").exists()
    datalist_aanlib(tmp_path / "src", tmp_path / "out", "CT", skip_broken=True)
    assert "left out CT-2011" in caplog.text
    assert sum(map(len, sections(tmp_path / "out").values())) == 23


@pytest.mark.parametrize(
    ("modality", "error", "message"),
    [
        pytest.param("MRI", ValueError, "modality is 'MRI'; it must be one of CT, PET, SPECT", id="unknown"),
        pytest.param("PET", FileNotFoundError, "holds no folder PET beside a folder MRI", id="absent"),
    ],
)
def test_what_is_not_there_cannot_be_chosen(
    tmp_path: Path, modality: str, error: type[Exception], message: str
) -> None:
    collection(tmp_path / "src")
    with pytest.raises(error, match=message):
        datalist_aanlib(tmp_path / "src", tmp_path / "out", modality)


def test_too_few_cases_for_the_sections_are_refused(tmp_path: Path) -> None:
    collection(tmp_path / "src", cases=(2, 3))
    with pytest.raises(ValueError, match="3 parts need at least one each"):
        datalist_aanlib(tmp_path / "src", tmp_path / "out", "CT")


@pytest.mark.parametrize(
    ("modality", "pairs", "cases"),
    [
        pytest.param("CT", 149, 8, id="ct"),
        pytest.param("PET", 269, 3, id="pet"),
        pytest.param("SPECT", 322, 14, id="spect"),
    ],
)
def test_the_public_pairs_split_by_case(tmp_path: Path, modality: str, pairs: int, cases: int) -> None:
    source = Path(os.environ.get("BUNDLES_DATA", "")) / "aanlib"
    if not os.environ.get("BUNDLES_DATA") or not source.is_dir():
        pytest.skip("BUNDLES_DATA names no folder with aanlib")
    datalist_aanlib(source, tmp_path, modality)
    groups = [{item["group"] for item in items} for items in sections(tmp_path).values()]
    assert sum(map(len, sections(tmp_path).values())) == pairs
    assert len(groups) == 3 and sum(map(len, groups)) == len(set.union(*groups)) == cases

from pathlib import Path

import pytest
from scripts.cases import inference_cases, training_cases

TINY = {"training": 2, "validation": 2, "test": 4, "frames": (60, 60)}


def test_no_folder_means_phantoms_and_their_test_section(tmp_path: Path) -> None:
    sections = training_cases(str(tmp_path), str(tmp_path), phantoms=TINY)
    assert {name: len(cases) for name, cases in sections.items()} == {"training": 2, "validation": 2, "test": 4}
    found = inference_cases(str(tmp_path), str(tmp_path), TINY)
    assert [case["id"] for case in found] == [case["id"] for case in sections["test"]]


def test_a_datalist_is_predicted_whole(tmp_path: Path) -> None:
    sections = training_cases(str(tmp_path), str(tmp_path), phantoms=TINY)
    folder = Path(sections["test"][0]["image"]).parents[1]
    assert len(inference_cases(str(folder), str(tmp_path))) == 8


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset_dir .*nowhere does not exist"):
        inference_cases(str(tmp_path / "nowhere"), str(tmp_path))

import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from common.commands.datalist import DATALISTS
from common.data.abide import PHENOTYPE, abide_items, datalist_abide, is_abide_tree
from common.data.datalist import load_datalist, load_labels

HEAD = "X,SUB_ID,FILE_ID,SITE_ID,DX_GROUP,AGE_AT_SCAN,SEX,NOTE,func_mean_fd"
CODES = (10, 11, 2001)


def series(folder: Path, name: str, codes: tuple[int, ...] = CODES, cell: str | None = None, atlas: str = "ho") -> Path:
    rng = np.random.default_rng(len(name))
    rows = [[f"{value:.4f}" for value in rng.normal(size=len(codes))] for _ in range(6)]
    if cell is not None:
        rows[3][1] = cell
    head = "\t".join(f"#{code}" for code in codes)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}_rois_{atlas}.1D"
    file.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n")
    return file


def tree(folder: Path, per_stratum: int = 10, sites: tuple[str, ...] = ("NYU", "UM_1")) -> Path:
    """Two sites with both diagnoses, and one site with two subjects."""
    root, rows, number = folder / "ABIDE_pcp", [], 50000
    for site, diagnosis, count in [(s, d, per_stratum) for s in sites for d in (1, 2)] + [("CMU", 1, 1), ("CMU", 2, 1)]:
        for _ in range(count):
            number += 1
            name = f"{site}_{number:07d}"
            series(root / "cpac" / "filt_noglobal", name)
            rows.append(f'{number},{number},{name},{site},{diagnosis},{20 + number % 7}.5,{1 + number % 2},"a,b",0.1')
    rows.append("0,59999,no_filename,NYU,1,20,1,,-9999")
    (root / PHENOTYPE).write_text("\n".join([HEAD, *rows]) + "\n")
    return root


def edit(root: Path, old: str, new: str) -> None:
    text = (root / PHENOTYPE).read_text()
    assert old in text
    (root / PHENOTYPE).write_text(text.replace(old, new, 1))


def test_cases_labels_groups_and_covariates_arrive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree(tmp_path)
    edit(root, "50001,NYU_0050001,NYU,1,20.5,2", "50001,NYU_0050001,NYU,1,-9999,2")
    with caplog.at_level(logging.INFO):
        datalist_abide(tmp_path, tmp_path / "out")
    assert "1 of 43 rows" in caplog.text and "age is not known of 1 subjects" in caplog.text
    items = {item["id"]: item for part in load_datalist(tmp_path / "out").values() for item in part}
    assert len(items) == 42 and load_labels(tmp_path / "out") == {"0": "control", "1": "autism"}
    first, control = items["NYU_0050001"], items["NYU_0050011"]
    assert "age" not in first and first["label"] == 1 and control["label"] == 0
    assert (control["group"], control["site"], control["sex"], control["motion"]) == ("50011", "NYU", 2, 0.1)
    assert control["age"] == 20.5 + 50011 % 7 and os.path.isfile(control["image"])


def test_the_split_is_even_in_every_stratum_and_seeded(tmp_path: Path) -> None:
    root = tree(tmp_path, per_stratum=20)
    texts = [datalist_abide(root, tmp_path / "out", seed=seed).read_text() for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0].replace('"seed": 1', "") != texts[2].replace('"seed": 2', "")
    parts = load_datalist(tmp_path / "out")
    assert [len(part) for part in parts.values()] == [58, 12, 12]
    for section, share in {"training": 14, "validation": 3, "test": 3}.items():
        strata = Counter((item["site"], item["label"]) for item in parts[section] if item["site"] != "CMU")
        assert len(strata) == 4 and all(abs(count - share) <= 1 for count in strata.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda root: edit(root, "50002,NYU_0050002", "50001,NYU_0050002"), "SUB_ID 50001 .* two rows", id="subject-twice"),
        pytest.param(lambda root: edit(root, "NYU_0050002", "NYU_0050001"), "FILE_ID 'NYU_0050001' .* two rows", id="file-twice"),
        pytest.param(lambda root: edit(root, "NYU_0050001,NYU,1", "NYU_0050001,NYU,3"), "DX_GROUP of 'NYU_0050001'", id="diagnosis"),
        pytest.param(lambda root: edit(root, "DX_GROUP", "DX"), "no column 'DX_GROUP'", id="column"),
    ],
)  # fmt: skip
def test_a_bad_phenotype_table_is_refused(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    root = tree(tmp_path)
    change(root)
    with pytest.raises(ValueError, match=message):
        datalist_abide(root, tmp_path / "out", skip_broken=True)


FOLDER = Path("cpac/filt_noglobal")
BREAKAGES = [
    pytest.param(lambda root: (root / FOLDER / "NYU_0050001_rois_ho.1D").unlink(), "NYU_0050001 has no series file", id="file"),
    pytest.param(lambda root: edit(root, "NYU_0050001", "NYU_0059999"), "NYU_0050001 has no row", id="row"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", cell="nan"), "NYU_0050001 holds NaN", id="nan"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", cell="inf"), "NYU_0050001 holds infinite", id="inf"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", cell="x"), "NYU_0050001 holds text", id="text"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", cell=""), "NYU_0050001 has 17 numbers, not 6 frames x 3", id="cell"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", (10, 11)), "NYU_0050001 has 2 regions, not the 3", id="count"),
    pytest.param(lambda root: series(root / FOLDER, "NYU_0050001", (10, 11, 12)), "NYU_0050001 has 3 regions, not .*#10 #11 #12", id="codes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BREAKAGES)
def test_a_broken_subject_is_refused_by_name_or_skipped(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change,  # type: ignore[no-untyped-def]
    message: str,
) -> None:
    root = tree(tmp_path)
    change(root)
    with pytest.raises(ValueError, match=message):
        datalist_abide(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    datalist_abide(root, tmp_path / "out", skip_broken=True)
    assert "left out NYU_0050001" in caplog.text
    assert "NYU_0050001" not in {item["id"] for part in load_datalist(tmp_path / "out").values() for item in part}


def test_the_choice_of_atlas_is_asked_for_only_where_there_is_one(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for name in [path.name.removesuffix("_rois_ho.1D") for path in (root / FOLDER).iterdir()]:
        series(root / FOLDER, name, atlas="cc200")
    with pytest.raises(ValueError, match="fit 2 of cpac/filt_noglobal/cc200, cpac/filt_noglobal/ho; choose one"):
        datalist_abide(root, tmp_path / "out")
    datalist_abide(root, tmp_path / "out", atlas="cc200")
    assert load_datalist(tmp_path / "out")["test"][0]["image"].endswith("_rois_cc200.1D")
    with pytest.raises(ValueError, match="atlas=aal fit 0"):
        datalist_abide(root, tmp_path / "out", atlas="aal")


def test_too_few_subjects_and_absent_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="6 subjects are too few to give validation both diagnoses"):
        datalist_abide(tree(tmp_path / "few", per_stratum=1), tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="'.*nowhere' does not exist"):
        datalist_abide(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no <pipeline>/<strategy>"):
        datalist_abide(tmp_path / "empty", tmp_path / "out")
    assert not is_abide_tree(tmp_path / "empty") and is_abide_tree(tmp_path / "few")


def test_a_tree_to_predict_needs_no_phenotype_table(tmp_path: Path) -> None:
    root = tree(tmp_path)
    labelled = {item["id"]: item for item in abide_items(root)}
    assert labelled["NYU_0050001"]["label"] == 1 and labelled["NYU_0050001"]["section"] == "test"
    (root / PHENOTYPE).unlink()
    series(root / FOLDER, "NYU_0050001", cell="nan")
    items = {item["id"]: item for item in abide_items(tmp_path)}
    assert len(items) == 42 and {item["label"] for item in items.values()} == {-1}
    assert items["UM_1_0050021"]["site"] == "UM_1" and items["UM_1_0050021"]["group"] == "50021"
    assert items["NYU_0050001"]["error"] == "holds NaN where a number should be"
    with pytest.raises(FileNotFoundError, match="phenotype table"):
        datalist_abide(root, tmp_path / "out")


def test_the_command_prints_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DATALISTS["abide"](str(tree(tmp_path)), str(tmp_path / "out"))  # type: ignore[operator]
    printed = capsys.readouterr().out
    assert "control  autism" in printed and "dataset.json" in printed


@pytest.mark.skipif("BUNDLES_DATA" not in os.environ, reason="BUNDLES_DATA is not set: no real data")
def test_the_real_tree_gives_697_subjects(tmp_path: Path) -> None:
    datalist_abide(os.environ["BUNDLES_DATA"], tmp_path / "out")
    parts = load_datalist(tmp_path / "out")
    assert [len(part) for part in parts.values()] == [488, 105, 104]
    assert {item["site"] for item in parts["training"]} >= {"NYU", "CMU", "CALTECH"}

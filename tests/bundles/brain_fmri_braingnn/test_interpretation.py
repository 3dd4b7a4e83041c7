import json
import re
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser
from scripts.findings import find
from scripts.fold_stability import compare_folds
from scripts.interpretation import find_planted, interpret, load_weights
from scripts.network import BrainGNN, BrainGNNEnsemble
from scripts.phantom_files import make_atlas
from scripts.phantoms import planted_regions
from scripts.region_places import brain_map, read_places

BUNDLE = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn"
REGIONS = str(BUNDLE / "configs/ho_regions.csv")
PNG = ["brain_map.png", "communities.png", "edges.png", "effect.png", "regions.png"]


def cases(subjects: int = 6, channels: int = 2) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(subjects, channels, 110, 110, generator=generator)
    x = x + x.mT
    x[:, 1] = x[:, 1] * (x[:, 1] > 1.5)
    x[:, 1].diagonal(dim1=1, dim2=2).zero_()
    x[0, :, 7], x[0, :, :, 7] = 0, 0
    return [{"image": image, "label": k % 2} for k, image in enumerate(x)]


def ensemble(members: int = 2) -> BrainGNNEnsemble:
    torch.manual_seed(0)
    return BrainGNNEnsemble(members, num_regions=110, channels=(4, 4), hidden_channels=(8,)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("fold") / "fold0"
    nibabel.save(make_atlas(), root.parent / "atlas.nii.gz")
    interpret(
        *(ensemble(), cases(), REGIONS, ["control", "patient"], str(root / "interpretation"), "noise"),
        atlas=str(root.parent / "atlas.nii.gz"),
        planted=list(planted_regions()),
        num_steps=4,
    )
    return root / "interpretation"


def test_everything_is_written(folder):
    assert sorted(path.name for path in folder.glob("*.png")) == PNG
    regions, edges = pd.read_csv(folder / "regions.csv"), pd.read_csv(folder / "edges.csv")
    assert regions["code"].tolist() == read_places(REGIONS)["code"].tolist()
    assert sorted(regions["rank"]) == list(range(1, 111)) and len(edges) == 20
    assert set(edges["region_a"]) <= set(regions["name"])
    assert pd.read_csv(folder / "communities.csv").shape == (110, 3 + 8 + 2)


def test_numbers_hold_the_ground_truth_and_the_checks(folder):
    numbers = json.loads((folder / "interpretation.json").read_text())
    assert list(numbers["planted-region AUC"])[:2] == ["effect of class on the score", "mean score"]
    assert all(0 <= value <= 1 for value in numbers["planted-region AUC"].values())
    assert numbers["completeness error"] < 0.5 * numbers["edges change the margin by (mean size)"]


def test_page_needs_no_other_file(folder):
    page = (folder / "interpretation.html").read_text()
    assert page.count("data:image/png;base64,") == len(PNG) and "http" not in re.sub(r"base64,[^']+", "", page)
    assert "noise: n = 6 (3 control, 3 patient); mean of 2 networks" in page
    assert not re.search(r"<(script|link)", page) and "planted-region AUC" in page and "Adebayo" in page


def test_map_has_the_effect_of_each_region_in_its_voxels(folder):
    values = np.asarray(nibabel.load(folder / "brain_map.nii.gz").dataobj)
    labels = np.asarray(make_atlas().dataobj)
    table = pd.read_csv(folder / "regions.csv").set_index("code")["effect"]
    for code in (10, 301, 4802):
        np.testing.assert_allclose(values[labels == code], table[code], rtol=1e-4)
    assert (values[labels == 0] == 0).all()


def test_atlas_that_lacks_a_region_is_refused(tmp_path):
    atlas = make_atlas()
    labels = np.asarray(atlas.dataobj).copy()
    labels[labels == 301] = 0
    nibabel.save(nibabel.Nifti1Image(labels, atlas.affine), tmp_path / "atlas.nii.gz")
    codes = read_places(REGIONS)["code"].to_numpy()
    with pytest.raises(ValueError, match=r"lacks 1 of 110 codes of the region table, first \[301\]"):
        brain_map(np.zeros(110), codes, str(tmp_path / "atlas.nii.gz"))
    with pytest.raises(FileNotFoundError, match="atlas 'no.nii' does not exist"):
        brain_map(np.zeros(110), codes, "no.nii")


def test_network_without_edges_still_gives_a_page(tmp_path):
    net = BrainGNN(110, channels=(4, 4), hidden_channels=(), edges=False).eval()
    numbers = interpret(net, cases(4), REGIONS, ["control", "patient"], str(tmp_path), "noise")
    assert "completeness error" not in numbers and not (tmp_path / "edges.png").exists()
    assert "one network" in (tmp_path / "interpretation.html").read_text()
    json.loads((tmp_path / "interpretation.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_official_mode_has_no_integrated_gradients():
    net = BrainGNN(110, channels=(4, 4), hidden_channels=(), mode="official").eval()
    images = torch.stack([case["image"] for case in cases(4)])
    found = find(net, images, torch.tensor([0, 1, 0, 1]), read_places(REGIONS), ["control", "patient"])
    assert "gradient_times_input_patient" in found.edges and "integrated_gradients_patient" not in found.edges


def test_bad_cases_are_refused(tmp_path):
    arguments = (REGIONS, ["control", "patient"], str(tmp_path), "noise")
    with pytest.raises(ValueError, match="has 110 regions, images 90"):
        interpret(ensemble(), [{"image": torch.zeros(2, 90, 90), "label": 0}], *arguments)
    with pytest.raises(ValueError, match="class 1 has no subject"):
        interpret(ensemble(), cases()[::2], *arguments)


def test_folds_are_compared(folder):
    with pytest.raises(ValueError, match="holds 1 interpretations, two are needed"):
        compare_folds(str(folder.parent))
    other = folder.parents[1] / "fold1/interpretation"
    other.mkdir(parents=True)
    table = pd.read_csv(folder / "regions.csv")
    table["score_patient"] = -table["score_patient"]
    table.to_csv(other / "regions.csv", index=False)
    (other / "communities.csv").write_bytes((folder / "communities.csv").read_bytes())
    found = compare_folds(str(folder.parents[1]))
    assert (
        found["folds"] == 2
        and found["jaccard_effect"] == found["jaccard_control"] == 1
        and found["jaccard_patient"] == 0
    )
    assert found["communities"]["correlation"] == pytest.approx(1)
    table.assign(code=table["code"] + 1).to_csv(other / "regions.csv", index=False)
    with pytest.raises(ValueError, match="other regions or classes"):
        compare_folds(str(folder.parents[1]))


def test_planted_regions_are_found_beside_the_data(tmp_path):
    (tmp_path / "dataset.json").write_text('{"planted_regions": {"12": "x"}}')
    assert find_planted(str(tmp_path), "elsewhere") == [12]
    (tmp_path / "dataset.json").write_text("{}")
    assert find_planted(str(tmp_path), "elsewhere") == []
    assert find_planted("data", "data") == list(planted_regions())
    assert find_planted("elsewhere", "data") == []


def test_weights_are_loaded(tmp_path):
    net = ensemble()
    torch.save(net.state_dict(), tmp_path / "model.pt")
    other = BrainGNNEnsemble(2, num_regions=110, channels=(4, 4), hidden_channels=(8,))
    loaded = load_weights(other, str(tmp_path / "model.pt"))
    assert not loaded.training and torch.equal(loaded.members[1].conv1.alpha, net.members[1].conv1.alpha)
    with pytest.raises(FileNotFoundError, match="train first or set ckpt_path"):
        load_weights(net, str(tmp_path / "no.pt"))


def test_read_places_errors(tmp_path):
    table = read_places(REGIONS)
    table.drop(columns="lobe").to_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"lacks the columns \['lobe'\]"):
        read_places(str(tmp_path / "a.csv"))
    table.assign(x=np.nan).to_csv(tmp_path / "b.csv")
    with pytest.raises(ValueError, match="has a centre that is no number"):
        read_places(str(tmp_path / "b.csv"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_places(str(tmp_path / "c.csv"))


def test_config_gives_the_labelled_section_and_the_weights(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    parser = ConfigParser()
    parser.read_config([BUNDLE / f"configs/{name}.json" for name in ("train", "evaluate", "interpret")])
    parser["bundle_root"] = str(BUNDLE)
    parser["datalist"] = {"test": ["t"], "validation": ["v"], "training": ["x"]}
    assert parser.get_parsed_content("cases") == ["t"]
    assert parser.get_parsed_content("interpret_dir") == f"{BUNDLE}/output/interpretation"
    assert parser.get_parsed_content("interpretation#data") == "fMRI phantoms, test section"
    assert parser.get_parsed_content("planted") == list(planted_regions())
    assert parser["trained_network#weights"] == "@ckpt_path" and parser["run"] == ["@interpretation"]

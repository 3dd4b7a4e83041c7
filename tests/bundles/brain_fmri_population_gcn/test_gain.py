"""The default recipe on the default phantoms: neighbours carry what the own connectivity does not."""

import json

import pytest
from scripts.phantoms import PhantomSettings, make_cohort

from tests.bundles.bundle_run import ROOT, BundleRun

run = BundleRun("brain_fmri_population_gcn")
run.ids = {"num_bootstrap": 20}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    cohort = tmp_path_factory.mktemp("cohort")
    make_cohort(cohort, PhantomSettings())
    found = {}
    for name in ("default", "no_graph"):
        folder, configs = tmp_path_factory.mktemp(name), ["train"] + ([] if name == "default" else [name])
        for names in (configs, [*configs, "evaluate"]):
            done = run(names, folder, cohort)
            assert done.returncode == 0, done.stderr[-2000:]
        found[name] = json.loads((folder / "metrics.json").read_text())
    return found


def auroc(row: dict) -> float:
    return row["auroc"]["value"]


def test_the_graph_gains_over_no_graph(metrics: dict[str, dict]) -> None:
    assert auroc(metrics["default"]) > auroc(metrics["no_graph"]) + 0.03


def test_it_beats_ridge_and_phenotype_alone_is_chance(metrics: dict[str, dict]) -> None:
    baselines = metrics["default"]["baselines"]
    assert auroc(metrics["default"]) > max(auroc(baselines["ridge"]), auroc(baselines["ridge_tangent"])) + 0.03
    assert auroc(baselines["covariates"]) < 0.6


def test_it_repeats_the_committed_figures(metrics: dict[str, dict]) -> None:
    committed = json.loads((ROOT / "bundles/brain_fmri_population_gcn/docs/metrics_phantoms.json").read_text())
    assert auroc(metrics["default"]) == pytest.approx(auroc(committed), abs=0.02)

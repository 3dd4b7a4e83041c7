"""Every rule on every bundle: a new folder in ``bundles/`` is found and held to all of them.

``tests/bundles/<name>/contract.json`` says what the bundle does (``kind``), which ``figures`` its README must show, and
how to make a run small: ``phantoms`` (arguments of the ``PhantomSettings`` in ``phantom_module``) and ``overrides`` (config ids).
"""

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = sorted(path.name for path in (ROOT / "bundles").iterdir() if path.is_dir())
FILES = [
    "LICENSE",
    "configs/train.json",
    "configs/inference.json",
    "configs/evaluate.json",
    "configs/multi_gpu_train.json",
    "configs/metadata.json",
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
    "docs/metrics.json",
    "models/model.pt",
    "scripts/__init__.py",
]
# ids that every train.json has, in this order; a bundle's own ids may stand between them
ORDER = """imports bundle_root bundle_path dataset_dir output_dir model_dir cache_dir seed max_epochs val_interval batch_size
learning_rate num_workers amp resume device datalist network_def network loss optimizer lr_scheduler load_transforms
random_transforms train best_weights validate state initialize run""".split()
REQUIRED_METADATA = """schema version monai_version pytorch_version numpy_version required_packages_version task description
authors copyright network_data_format""".split()
CHECKS = "verify_net_in_out ckpt_export onnx_export check_properties load run_train_evaluate_infer".split()
PLACES = ["repository", "bundle", "foreign"]


def is_checked(check: str, place: str) -> bool:
    """The tests of each bundle run it from the repository; a run from there once more would only take time."""
    return check != "run_train_evaluate_infer" or place != "repository"


def read(bundle: str, name: str) -> dict:
    return json.loads((ROOT / "bundles" / bundle / name).read_text())


def contract(bundle: str) -> dict:
    return json.loads((Path(__file__).parent / bundle / "contract.json").read_text())


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [s for item in value.items() for part in item for s in strings(part)]
    if isinstance(value, list):
        return [s for item in value for s in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory):
    @functools.cache
    def make(bundle: str) -> Path:
        folder = tmp_path_factory.mktemp(f"{bundle}_small")
        settings = contract(bundle)["phantoms"]
        module = contract(bundle).get("phantom_module", "scripts.phantoms")
        code = (
            f"from pathlib import Path; from {module} import PhantomSettings, make_cohort;"
            f"make_cohort(Path({str(folder)!r}), PhantomSettings(**{settings!r}))"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT / "bundles" / bundle, check=True)
        return folder

    return make


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory, small_cohort):
    """Results of all checks of a bundle from one place, in a process of its own."""

    @functools.cache
    def check(bundle: str, place: str) -> dict[str, str]:
        scratch = tmp_path_factory.mktemp(f"{bundle}_{place}")
        path = ROOT / "bundles" / bundle
        cwd, root = {"repository": (ROOT, f"bundles/{bundle}"), "bundle": (path, "."), "foreign": (scratch, str(path))}[
            place
        ]
        schema = os.environ.get("BUNDLE_SCHEMA")
        job = {
            "root": root,
            "foreign": place == "foreign",
            "small": str(small_cohort(bundle)),
            "scratch": str(scratch),
            "kind": contract(bundle)["kind"],
            "overrides": contract(bundle)["overrides"],
            "schema": schema,
            "checks": [check for check in CHECKS if is_checked(check, place)] + (["verify_metadata"] if schema else []),
        }
        (scratch / "job.json").write_text(json.dumps(job))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [sys.executable, str(Path(__file__).with_name("contract_worker.py")), str(scratch / "job.json")]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return check


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize(
    ("check", "place"), [(c, p) for c in [*CHECKS, "verify_metadata"] for p in PLACES if is_checked(c, p)]
)
def test_monai_accepts_the_bundle(bundle: str, check: str, place: str, verdicts) -> None:
    if check == "verify_metadata" and not os.environ.get("BUNDLE_SCHEMA"):
        pytest.skip("BUNDLE_SCHEMA does not point at a copy of meta_schema_20240725.json")
    assert verdicts(bundle, place)[check] == ""


@pytest.mark.parametrize("bundle", BUNDLES)
def test_all_files_are_there_and_small(bundle: str) -> None:
    folder = ROOT / "bundles" / bundle
    assert [name for name in FILES if not (folder / name).is_file()] == []
    assert os.readlink(folder / "scripts/common") == "../../../common"
    weights = list((folder / "models").rglob("*.pt"))
    assert [path.name for path in weights if path.stat().st_size > 25e6] == []


@pytest.mark.parametrize("bundle", BUNDLES)
def test_metadata_has_every_required_key_and_its_changelog(bundle: str) -> None:
    metadata = read(bundle, "configs/metadata.json")
    assert [key for key in REQUIRED_METADATA if key not in metadata] == []
    assert metadata["version"] in metadata["changelog"]
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    lists = [(ROOT / f"requirements{kind}.txt").read_text() for kind in ("", "-optional")]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lists), re.M))
    versions = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    for name, version in (versions | metadata["required_packages_version"]).items():
        assert pins[name] == version, name
    assert set(metadata["network_data_format"]["inputs"]) == {"image"}
    assert set(metadata["network_data_format"]["outputs"]) == {"pred"}


@pytest.mark.parametrize("bundle", BUNDLES)
def test_metadata_reports_the_committed_evaluation(bundle: str) -> None:
    metrics = read(bundle, "docs/metrics.json")
    figures = {name: entry["value"] for name, entry in metrics.items() if name not in ("baselines", "protocol")}
    assert read(bundle, "configs/metadata.json")["eval_metrics"] == figures


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_readme_shows_the_committed_figures(bundle: str) -> None:
    text = (ROOT / "bundles" / bundle / "docs/README.md").read_text()
    metrics = read(bundle, "docs/metrics.json")
    for name, figures in {"model": metrics, **metrics["baselines"]}.items():
        missing = [key for key in contract(bundle)["figures"] if f"{figures[key]['value']:.3f}" not in text]
        assert not missing, name


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_readme_names_the_sha256_of_every_weights_file(bundle: str) -> None:
    text = (ROOT / "bundles" / bundle / "docs/README.md").read_text()
    for path in sorted((ROOT / "bundles" / bundle / "models").rglob("*.pt")):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text, path.name


@pytest.mark.parametrize("bundle", BUNDLES)
def test_training_and_inference_define_the_same_network(bundle: str) -> None:
    assert read(bundle, "configs/train.json")["network_def"] == read(bundle, "configs/inference.json")["network_def"]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_ids_stand_in_the_order_of_the_house(bundle: str) -> None:
    present = list(read(bundle, "configs/train.json"))
    assert [name for name in ORDER if name not in present] == []
    assert [name for name in present if name in ORDER] == ORDER
    inference = [name for name in read(bundle, "configs/inference.json") if name in ORDER]
    assert inference == [name for name in ORDER if name in inference]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_configs_are_portable_and_cannot_run_foreign_code(bundle: str) -> None:
    for path in sorted((ROOT / "bundles" / bundle / "configs").glob("*.json")):
        content = json.loads(path.read_text())
        texts = strings(content)
        assert not [t for t in texts if re.match(r"^([A-Z]:|~|/[a-z])", t)], f"{path.name}: absolute path"
        assert not [t for t in texts if "import scripts" in t], f"{path.name}: $import scripts"
        assert not [t for t in texts if t.startswith("%")], f"{path.name}: macro"
        assert not [t for t in texts if re.search(r"subprocess|os\.system|socket|urllib|requests\.", t)], path.name
        assert path.read_text() == json.dumps(content, indent=4, ensure_ascii=False) + "\n", f"{path.name}: format"
        for component in components(content):
            target = component["_target_"]
            assert target.startswith(("scripts.", "torch.", "ignite.", "numpy.", "monai.")) or "." not in target, target
            if target.startswith("scripts."):
                assert component.get("_requires_") == "@bundle_path", f"{path.name}: {target} needs _requires_"


def components(value: object) -> list[dict]:
    if isinstance(value, list):
        return [c for item in value for c in components(item)]
    if not isinstance(value, dict):
        return []
    return ([value] if "_target_" in value else []) + [c for item in value.values() for c in components(item)]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_root_is_found_by_a_file_of_this_bundle_only(bundle: str) -> None:
    expression = read(bundle, "configs/train.json")["bundle_root"]
    marker = re.search(r"isfile\('([^']+)'\)", expression)
    assert marker is not None
    owners = [name for name in BUNDLES if (ROOT / "bundles" / name / marker[1]).is_file()]
    assert owners == [bundle]
    assert f"'bundles/{bundle}'" in expression
    assert marker[1] in read(bundle, "configs/train.json")["bundle_path"]


def test_the_readme_lists_every_bundle() -> None:
    listed = re.findall(r"^\| \[`?(\w+)`?\]\(bundles/", (ROOT / "README.md").read_text(), re.M)
    assert sorted(listed) == BUNDLES

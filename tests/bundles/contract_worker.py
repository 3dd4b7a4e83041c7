"""Run checks of one bundle from one folder: imports MONAI once, then forks for every check.

``python contract_worker.py JOB.json``, with the folder to test from as working directory. The job holds ``root``
(how a user there names the bundle), ``kind`` (classification, exam, fusion, regression), ``foreign`` (True: hand over ``bundle_root``),
``small`` (a small datalist's folder), ``scratch``, ``overrides`` (ids that make a run small), ``schema`` (a copy of the
official schema or null) and ``checks``. It prints one line of JSON: check -> "" or the failure.
"""

import csv
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import monai.bundle
import numpy as np
import torch

JOB = json.loads(Path(sys.argv[1]).read_text())
ROOT = JOB["root"]
SCRATCH = Path(JOB["scratch"])
IDS = {"bundle_root": ROOT} if JOB["foreign"] else {}
META = f"{ROOT}/configs/metadata.json"
WEIGHTS = f"{ROOT}/models/model.pt"


def config(*names: str) -> list[str]:
    return [f"{ROOT}/configs/{name}.json" for name in names]


def network() -> torch.nn.Module:
    parser = monai.bundle.ConfigParser()
    parser.read_config(config("inference"))
    parser.update(IDS)
    net = parser.get_parsed_content("network_def")
    net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return net.eval()


def example() -> torch.Tensor:
    spec = json.loads(Path(META).read_text())["network_data_format"]["inputs"]["image"]
    return torch.rand(2, spec["num_channels"], *spec["spatial_shape"], generator=torch.Generator().manual_seed(0))


def verify_metadata() -> None:
    monai.bundle.verify_metadata(meta_file=META, filepath=JOB["schema"])


def verify_net_in_out() -> None:
    monai.bundle.verify_net_in_out(net_id="network_def", meta_file=META, config_file=config("inference")[0], **IDS)


def ckpt_export() -> None:
    target = SCRATCH / "model.ts"
    monai.bundle.ckpt_export(
        bundle_root=ROOT, config_file=config("inference")[0], meta_file=META, filepath=str(target), ckpt_file=WEIGHTS
    )
    close(torch.jit.load(target)(example()), network()(example()))


def onnx_export() -> None:
    import onnxruntime

    target = SCRATCH / "model.onnx"
    shape = list(example()[:1].shape)
    monai.bundle.onnx_export(
        net_id="network_def",
        filepath=str(target),
        ckpt_file=WEIGHTS,
        meta_file=META,
        config_file=config("inference")[0],
        input_shape=shape,
        **IDS,
    )
    session = onnxruntime.InferenceSession(str(target))
    output = session.run(None, {session.get_inputs()[0].name: example()[:1].numpy()})[0]
    close(torch.as_tensor(output), network()(example()[:1]))


def close(exported: torch.Tensor, eager: torch.Tensor) -> None:
    difference = float((exported - eager).abs().max())
    assert difference <= 1e-5, f"export differs from eager by {difference}"


def check_properties() -> None:
    for files, kind in ((["train"], "train"), (["train", "evaluate"], "train"), (["inference"], "infer")):
        workflow = monai.bundle.create_workflow(
            config_file=config(*files), workflow_type=kind, dataset_dir=JOB["small"], **IDS, **JOB["overrides"]
        )
        workflow.initialize()
        assert workflow.check_properties() == [], (files, workflow.check_properties())


def load() -> None:
    arguments = SCRATCH / "arguments.json"
    arguments.write_text(json.dumps({"bundle_root": os.path.abspath(ROOT)}))
    folder, name = os.path.split(os.path.abspath(ROOT))
    for kind in ("train", "inference"):
        net = monai.bundle.load(
            name, bundle_dir=folder, workflow_type=kind, source="monaihosting", args_file=str(arguments)
        )
        own = torch.load(WEIGHTS, weights_only=True)
        assert all(torch.equal(value, own[key]) for key, value in net.state_dict().items()), "load() gave other weights"


def run(*names: str, **ids: object) -> None:
    folder = {"output_dir": str(SCRATCH / "output"), "model_dir": str(SCRATCH / "models")}
    monai.bundle.run(
        config_file=config(*names), **{"dataset_dir": JOB["small"]} | IDS | JOB["overrides"] | folder | ids
    )


def run_train_evaluate_infer() -> None:
    cache = {"cache_dir": str(SCRATCH / "cache")}
    run("train", max_epochs=1, **cache)
    expect("output/history.csv", "output/history.png", "output/checkpoint.pt", "models/model.pt")
    assert list((SCRATCH / "output/tensorboard").iterdir())
    torch.load(SCRATCH / "models/model.pt", weights_only=True)
    run("train", "evaluate", **cache)
    check_evaluation, check_inference = KINDS[JOB["kind"]]
    check_evaluation()
    run("inference", **{"output_dir": str(SCRATCH / "inference")})
    check_inference(list(csv.DictReader(open(SCRATCH / "inference" / TABLES[JOB["kind"]]))))


def number_of_cases() -> int:
    datalist = json.loads((Path(JOB["small"]) / "dataset.json").read_text())
    return sum(len(datalist.get(name, [])) for name in ("training", "validation", "test"))


def classification_evaluated() -> None:
    files = ("metrics.json", "predictions.csv", "classification.png")
    expect(*(f"output/{name}" for name in files), "models/model.operating_point.json")


def classification_inferred(rows: list[dict[str, str]]) -> None:
    assert len(rows) == number_of_cases()
    assert not any(row["error"] for row in rows), rows
    probabilities = np.array([[float(v) for k, v in row.items() if k.startswith("prob_")] for row in rows])
    assert np.allclose(probabilities.sum(1), 1, atol=1e-4)


def exam_evaluated() -> None:
    expect(*(f"output/{name}" for name in ("metrics.json", "predictions.csv", "comparison.csv", "exams.png")))


def exam_inferred(rows: list[dict[str, str]]) -> None:
    assert len(rows) == number_of_cases()
    assert not any(row["error"] for row in rows), rows
    assert all(0 <= float(value) <= 1 for row in rows for key, value in row.items() if key.startswith("prob_"))


def fusion_evaluated() -> None:
    expect(*(f"output/{name}" for name in ("metrics.json", "metrics.csv", "comparison.csv", "fusion.png")))


def fusion_inferred(rows: list[dict[str, str]]) -> None:
    fused = [row for row in rows if row["method"] == "model"]
    assert len(fused) == number_of_cases()
    assert not any(row["error"] for row in rows), rows
    assert all(0 <= float(row["qabf"]) <= 1 for row in rows)
    for suffix in ("fused", "panel"):
        assert len(list((SCRATCH / "inference").glob(f"*_{suffix}.png"))) == number_of_cases()


def regression_evaluated() -> None:
    files = ("metrics.json", "predictions.csv", "responses.png", "report.html")
    expect(*(f"output/{name}" for name in files), "models/model.reference.json")


def regression_inferred(rows: list[dict[str, str]]) -> None:
    drugs, cells = {row["drug"] for row in rows}, {row["cell"] for row in rows}
    assert len(rows) == len(drugs) * len(cells) > 0
    assert not any(row["error"] for row in rows), rows
    assert all(float(row["low"]) <= float(row["pred"]) <= float(row["high"]) for row in rows)


KINDS = {
    "classification": (classification_evaluated, classification_inferred),
    "exam": (exam_evaluated, exam_inferred),
    "fusion": (fusion_evaluated, fusion_inferred),
    "regression": (regression_evaluated, regression_inferred),
}
TABLES = {
    "classification": "predictions.csv",
    "exam": "predictions.csv",
    "fusion": "metrics.csv",
    "regression": "predictions.csv",
}


def expect(*names: str) -> None:
    missing = [name for name in names if not (SCRATCH / name).is_file()]
    assert not missing, f"the run did not write {missing}"


def in_child(check: Callable[[], None], log: Path) -> str:
    """Fork, so that every check sees a fresh ``sys.path`` and ``sys.modules``."""
    child = os.fork()
    if child == 0:
        status = 1
        with open(log, "w") as handle:
            os.dup2(handle.fileno(), 1)
            os.dup2(handle.fileno(), 2)
            try:
                check()
                status = 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return "" if status == 0 else log.read_text()[-3000:]


if __name__ == "__main__":
    result = {name: in_child(globals()[name], SCRATCH / f"{name}.log") for name in JOB["checks"]}
    print(json.dumps(result))

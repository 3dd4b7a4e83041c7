import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SOURCE = Path(__file__).parents[3] / "benchmarks/braingnn.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("braingnn_benchmark", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_batch_has_the_density_asked_for(benchmark: ModuleType) -> None:
    image = benchmark.make_batch(8, 40, 0.1)
    assert torch.equal(image, image.transpose(2, 3))
    assert float((image[:, 1] > 0).double().sum() / (8 * 40 * 39)) == pytest.approx(0.1, abs=0.02)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_tables_have_a_row_for_each_version_and_size(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "peak_mib", lambda *case: 1.0)  # a process each
    lines, found = benchmark.compare(4, 12, 0.3, 1)
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == list(benchmark.VERSIONS.values())
    assert set(found) == {*benchmark.GOALS, "memory"} and min(found.values()) > 0
    assert len(benchmark.survey((8, 12), (0.2, 1.0), 1, nodes=24)) == 4


def test_peak_memory_is_that_of_a_process_of_its_own(benchmark: ModuleType) -> None:
    assert benchmark.peak_mib("paper", 40, 100, 0.1) > 1

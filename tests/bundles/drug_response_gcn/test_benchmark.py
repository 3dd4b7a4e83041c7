import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.importorskip("rdkit")
SOURCE = Path(__file__).parents[3] / "benchmarks/drug_response.py"
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
SMILES = "drug,smiles\nimatinib,CC1=C(C=CC=C1)NC(=O)C\nmethane,C\nsalt,CCN.Cl\n"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = list(sys.path)
    sys.path.insert(0, str(SOURCE.parent))  # of timing.py
    spec = importlib.util.spec_from_file_location("drug_response_benchmark", SOURCE)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # processes find their work by its name
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "drugs.csv").write_text(SMILES)
    return str(tmp_path / "drugs.csv")


def test_drugs_are_read_without_salts_and_padded_to_the_largest(benchmark: ModuleType, table: str) -> None:
    drugs = benchmark.read_drugs(table)
    assert drugs.shape == (3, 11, benchmark.ATOM_FEATURES + 11)
    assert (drugs[..., : benchmark.ATOM_FEATURES] != 0).any(2).sum(1).tolist() == [11, 1, 3]
    assert len(benchmark.read_drugs(None)) == benchmark.PHANTOMS


def test_a_table_without_smiles_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "drugs.csv").write_text("drug,structure\nmethane,C\n")
    with pytest.raises(ValueError, match=r"lacks \['smiles'\], it needs the columns drug and smiles"):
        benchmark.read_drugs(str(tmp_path / "drugs.csv"))


def test_pyg_has_the_atoms_and_bonds_of_the_drugs(benchmark: ModuleType, table: str) -> None:
    graphs = benchmark.pyg_graphs(benchmark.read_drugs(table))
    assert [(graph.num_nodes, graph.num_edges) for graph in graphs] == [(11, 22), (1, 0), (3, 4)]


def test_all_versions_give_the_same_output_and_gradients(benchmark: ModuleType, table: str) -> None:
    encoders = benchmark.make_encoders(benchmark.read_drugs(table), 9)
    found = {}
    for name, (module, encode) in encoders.items():
        benchmark.make_step(module, encode)()
        found[name] = encode().detach(), next(module.parameters()).grad.clone()
    for output, gradient in found.values():
        assert output.shape == (9, benchmark.OUT)
        assert torch.allclose(output, found[benchmark.OURS][0], atol=1e-5)
        assert torch.allclose(gradient, found[benchmark.OURS][1], atol=1e-6)


def test_the_table_has_a_row_for_each_size_and_a_line_for_each_goal(
    benchmark: ModuleType, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "peak_mib", lambda *case: 1.0)  # a process each
    monkeypatch.setattr(benchmark, "GOALS", {8: 0})
    lines = benchmark.survey(benchmark.read_drugs(table), [4, 8], 1)
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| 4", "| 8"]
    assert lines[-1].startswith("- 8 pairs: ") and lines[-1].endswith("goal 0, met.")
    assert all(line.count("|") == 7 for line in lines[:4])


def test_peak_memory_is_that_of_a_process_of_its_own(benchmark: ModuleType) -> None:
    assert benchmark.peak_mib(benchmark.PER_PAIR, benchmark.read_drugs(None), 300) > 10

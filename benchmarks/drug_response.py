"""Cost of the drug encoder in a training step: each drug once, packed, beside a PyG batch of every pair's molecule.

Needs rdkit; peaks need Linux. Run from the repository root:
``python benchmarks/drug_response.py [--smiles drugs.csv] [--pairs 256 1024 4096] [--output FILE.md]``.
"""

import argparse
import ctypes
import multiprocessing
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch_geometric.nn as pyg
from timing import cpu_ms
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundles/drug_response_gcn")]
from scripts.common.data.molecules import parent_molecule, read_molecule  # noqa: E402
from scripts.graph_tower import GraphTower  # noqa: E402
from scripts.molecule_graph import ATOM_FEATURES, BOND_CODES, molecule_graph  # noqa: E402
from scripts.packed_library import pack_library  # noqa: E402
from scripts.phantom_molecules import phantom_molecules  # noqa: E402

HIDDEN, LAYERS, OUT = 64, 3, 128
PHANTOMS = 228  # as many as GDSC2 has drugs
OURS, PER_PAIR, SHARED = VERSIONS = ("each drug once, packed", "PyG, each pair", "PyG, each drug once")
GOALS = {1024: 6, 4096: 25}  # PyG, each pair / each drug once, packed


class PyGTower(nn.Module):
    """The tower on a PyG batch: the same parameters, PyG's convolution and pooling."""

    def __init__(self, tower: GraphTower) -> None:
        super().__init__()
        self.tower = tower
        self.convs = nn.ModuleList(pyg.GINEConv(conv.network) for conv in tower.convs)

    def forward(self, batch: Batch) -> Tensor:
        """Molecules of the batch -> (B, O)."""
        h, states = self.tower.embed(batch.x), []
        for own, conv, norm in zip(self.tower.convs, self.convs, self.tower.norms, strict=True):
            h = h + norm(conv(h, batch.edge_index, own.bond[batch.code - 1])).relu()
            states += [pyg.global_mean_pool(h, batch.batch), pyg.global_max_pool(h, batch.batch)]
        return self.tower.head(torch.cat(states, 1))


def read_drugs(path: str | None) -> Tensor:
    """Rows of the drugs, salts off, padded to the largest: (D, N, F + N)."""
    if path is None:
        drugs = [(f"phantom {number}", drug.smiles) for number, drug in enumerate(phantom_molecules(PHANTOMS, 0))]
    else:
        table = pd.read_csv(path)
        if missing := {"drug", "smiles"} - set(table.columns):
            raise ValueError(f"drug_response: {path} lacks {sorted(missing)}, it needs the columns drug and smiles.")
        drugs = list(zip(table["drug"], table["smiles"], strict=True))
    molecules = [(parent_molecule(read_molecule(smiles, name)), name) for name, smiles in drugs]
    largest = max(molecule.GetNumAtoms() for molecule, _ in molecules)
    return torch.stack([torch.cat(molecule_graph(*entry, largest), 1) for entry in molecules])


def pyg_graphs(drugs: Tensor) -> list[Data]:
    """The molecules as PyG holds them."""
    graphs = []
    for rows in drugs:
        x, codes = rows[:, :ATOM_FEATURES], rows[:, ATOM_FEATURES:]
        target, source = codes.nonzero(as_tuple=True)
        index = torch.stack([source, target])  # atoms stand before the padding
        graphs.append(Data(x[(x != 0).any(1)], index, code=codes[target, source].long()))
    return graphs


def make_encoders(drugs: Tensor, pairs: int) -> dict[str, tuple[nn.Module, Callable[[], Tensor]]]:
    """Tower and encoding (P, O) of the drugs of ``pairs`` random pairs by each version, all from equal weights.

    What can be made once a training stands ready: the packed library, and the list of PyG graphs. Joining the graphs of
    the pairs is part of a step, as it is in a data loader.
    """
    torch.manual_seed(0)
    tower = GraphTower("gine", ATOM_FEATURES, BOND_CODES, HIDDEN, LAYERS, OUT, dropout=0.0)
    drug = torch.randint(len(drugs), (pairs,))
    twin, graphs, vector = PyGTower(tower), pyg_graphs(drugs), torch.zeros(len(drugs), 0)
    packed = pack_library(drugs)
    return {
        OURS: (tower, lambda: tower.forward_packed(*packed, len(drugs), vector)[drug]),
        PER_PAIR: (twin, lambda: twin(Batch.from_data_list([graphs[number] for number in drug.tolist()]))),
        SHARED: (twin, lambda: twin(Batch.from_data_list(graphs))[drug]),
    }


def make_step(module: nn.Module, encode: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward and backward pass of an encoder."""

    def step() -> None:
        module.zero_grad()
        encode().square().mean().backward()

    return step


def measure(drugs: Tensor, pairs: int, repeats: int) -> dict[str, float]:
    """CPU ms of a step of each version, after a look that all give the same output."""
    encoders = make_encoders(drugs, pairs)
    outputs = [encode().detach() for _, encode in encoders.values()]
    assert all((out - outputs[0]).abs().max() <= 1e-4 * outputs[0].abs().max() for out in outputs)
    return cpu_ms({name: make_step(*encoder) for name, encoder in encoders.items()}, repeats)


def _peak(version: str, drugs: Tensor, pairs: int) -> float:
    """Body of a process of its own."""
    make_step(*make_encoders(drugs[:2], 2)[version])()  # libraries load parts of themselves at the first step
    step = make_step(*make_encoders(drugs, pairs)[version])
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed, but not handed back, would hide what follows
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is in use now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peak_mib(version: str, drugs: Tensor, pairs: int) -> float:
    """Peak resident memory of three steps in a process of their own, beyond what was in use before."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_peak, (version, drugs, pairs))


def row(pairs: int, ms: dict[str, float], mib: dict[str, float]) -> str:
    """Line of the table."""
    cells = [f"{ms[name]:.1f} / {mib[name]:.0f}" for name in VERSIONS]
    return (
        f"| {pairs:,} | " + " | ".join(cells) + "".join(f" | {ms[name] / ms[OURS]:.1f}" for name in VERSIONS[1:]) + " |"
    )


def survey(drugs: Tensor, sizes: list[int], repeats: int) -> list[str]:
    """Table, and a sentence on each goal."""
    head = " | ".join(f"{name}, ms / MiB" for name in VERSIONS)
    lines = [f"| pairs | {head} | {PER_PAIR} / ours | {SHARED} / ours |", "|---:|---|---|---|---:|---:|"]
    goals = []
    for pairs in sizes:
        mib = {name: peak_mib(name, drugs, pairs) for name in VERSIONS}
        ms = measure(drugs, pairs, repeats)
        lines.append(row(pairs, ms, mib))
        print(lines[-1], flush=True)
        if pairs in GOALS:
            ratio = ms[PER_PAIR] / ms[OURS]
            met = "met" if ratio >= GOALS[pairs] else "missed"
            goals.append(
                f"- {pairs:,} pairs: {ratio:.1f} times faster than a PyG batch of every pair; goal {GOALS[pairs]}, {met}."
            )
    return [*lines, "", *goals]


def main(options: argparse.Namespace) -> None:
    """Print the tables, and write them where asked."""
    drugs = read_drugs(options.smiles)
    atoms = int((drugs[..., :ATOM_FEATURES] != 0).any(2).sum())
    bonds = int((drugs[..., ATOM_FEATURES:] != 0).sum())
    source = "phantom molecules" if options.smiles is None else "drugs"
    text = (
        f"forward and backward pass of a GINE tower, {LAYERS} layers of {HIDDEN}, on {len(drugs)} {source} ({atoms:,}"
        f" atoms, {bonds:,} directed bonds), float32, one thread, torch {torch.__version__}. CPU time: median of"
        f" {options.repeats} in turns; memory: peak beyond what was in use before. Every pair names a random drug;"
        " joining the PyG graphs is part of the step."
    )
    report = ["# Speed of the drug encoder", "", f"`python benchmarks/drug_response.py`: {text}", ""]
    report += survey(drugs, options.pairs, options.repeats)
    print("\n".join(report))
    if options.output:
        Path(options.output).write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smiles", help="csv with the columns drug and smiles; phantom molecules without it")
    parser.add_argument("--pairs", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", help="file for the tables")
    main(parser.parse_args())

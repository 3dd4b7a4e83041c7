"""CPU time of correlation and partial correlation: batched torch beside nilearn's ConnectivityMeasure.

Run from the repository root: ``python benchmarks/connectivity.py [--subjects 64] [--repeats 5] [--markdown FILE]``.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from nilearn.connectome import ConnectivityMeasure
from timing import cpu_ms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.transforms import Connectivity, correlation, partial_correlation

SHAPES = ((196, 110), (78, 110), (196, 200), (300, 200))


def cohort(subjects: int, frames: int, regions: int) -> torch.Tensor:
    """Series (B, T, N) of regions that share eight networks."""
    rng = np.random.default_rng(0)
    networks = rng.normal(size=(subjects, frames, 8)) @ rng.normal(size=(8, regions))
    return torch.from_numpy(networks + rng.normal(size=(subjects, frames, regions))).float()


def nilearn(kind: str, arrays: list[np.ndarray]) -> np.ndarray:
    """One kind of all subjects, with the default Ledoit-Wolf estimator."""
    return ConnectivityMeasure(kind=kind).fit_transform(arrays)


def row(subjects: int, frames: int, regions: int, repeats: int) -> list[str]:
    """One line of the table for one shape; the results must agree first."""
    series = cohort(subjects, frames, regions)
    arrays = [*series.numpy().astype(np.float64)]
    pairs = {"correlation": correlation, "partial correlation": partial_correlation}
    worst = max(float(np.abs(own(series).numpy() - nilearn(kind, arrays)).max()) for kind, own in pairs.items())
    if worst > 1e-5:
        raise ValueError(f"connectivity benchmark: results differ by {worst:.1e} at {frames} x {regions}.")
    works: dict[str, Callable[[], Any]] = {f"nilearn {kind}": partial(nilearn, kind, arrays) for kind in pairs}
    works |= {f"torch {kind}": partial(own, series) for kind, own in pairs.items()}
    works |= {"torch both": partial(Connectivity().batch, series)}
    ms = {name: value / subjects for name, value in cpu_ms(works, repeats).items()}
    cells = [f"{frames} x {regions}"]
    for kind in pairs:
        theirs, ours = ms[f"nilearn {kind}"], ms[f"torch {kind}"]
        cells += [f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.1f}"]
    ratio = sum(ms[f"nilearn {kind}"] for kind in pairs) / ms["torch both"]
    return [*cells, f"{ms['torch both']:.2f}", f"{ratio:.1f}", f"{worst:.0e}"]


def table(subjects: int, repeats: int) -> str:
    """The whole table as markdown."""
    head = ["frames x regions"]
    for kind in ("correlation", "partial"):
        head += [f"nilearn {kind}", f"torch {kind}", "ratio"]
    head += ["`Connectivity`, both", "ratio", "largest difference"]
    rows = [head, ["---"] * len(head), *(row(subjects, *shape, repeats) for shape in SHAPES)]
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    note = (
        f"CPU ms per subject, {subjects} subjects, one thread, interleaved, median of {repeats}; torch "
        f"{torch.__version__}. A run stops where results differ by more than 1e-5."
    )
    return "\n".join([*lines, "", note])


def main(subjects: int, repeats: int, markdown: Path | None) -> None:
    """Print the table, and write it where asked."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    text = table(subjects, repeats)
    print(text)
    if markdown is not None:
        title = "# Connectivity: batched torch beside nilearn\n\nMade by `python benchmarks/connectivity.py --markdown FILE`.\n\n"
        markdown.write_text(title + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--markdown", type=Path, default=None)
    main(**vars(parser.parse_args()))

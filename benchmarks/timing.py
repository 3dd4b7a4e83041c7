"""CPU time of alternatives, measured side by side."""

import time
from collections.abc import Callable

import numpy as np

__all__ = ["cpu_ms"]


def cpu_ms(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU time of each call, interleaved, after one call each that warms up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: 1000 * float(np.median(values[1:])) for name, values in times.items()}

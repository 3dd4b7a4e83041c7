"""Time of alternatives, measured side by side."""

import time
from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["cpu_ms", "wall_ms"]

Works = Mapping[str, Callable[[], object]]


def cpu_ms(works: Works, repeats: int) -> dict[str, float]:
    """Median CPU time of each call, of all threads together, interleaved, after one call each that warms up."""
    return _median_ms(works, repeats, time.process_time)


def wall_ms(works: Works, repeats: int) -> dict[str, float]:
    """Median time on the clock of each call, interleaved, after one call each that warms up."""
    return _median_ms(works, repeats, time.perf_counter)


def _median_ms(works: Works, repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = clock()
            work()
            times[name].append(clock() - start)
    return {name: 1000 * float(np.median(values[1:])) for name, values in times.items()}

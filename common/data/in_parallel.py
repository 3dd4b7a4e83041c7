"""Work on many cases in several processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["in_parallel"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None = None) -> Iterator[Result]:
    """Results of ``work`` in the order of the jobs.

    Args:
        work: function of a module, so that another process finds it.
        jobs: its arguments.
        workers: processes; None is one per available core. One process, and a worker of a data loader, which may not
            start processes, does the work itself.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or cores, len(jobs))
    if count <= 1 or multiprocessing.current_process().daemon:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context().Pool(count) as pool:
        yield from pool.imap(work, jobs)

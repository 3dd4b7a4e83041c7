"""Many processes give what one gives, in the same order."""

import os

import pytest

from common.data import in_parallel


def square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


@pytest.mark.parametrize("workers", [1, 2, None])
def test_results_come_in_the_order_of_the_jobs(workers: int | None) -> None:
    assert [result for result, _ in in_parallel(square, range(20), workers)] == [k**2 for k in range(20)]


def test_one_worker_stays_in_this_process_and_two_do_not() -> None:
    assert {pid for _, pid in in_parallel(square, range(3), 1)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in in_parallel(square, range(3), 2)}


def test_no_jobs_give_no_results() -> None:
    assert list(in_parallel(square, [])) == []

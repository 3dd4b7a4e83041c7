"""Settings of the whole suite."""

import os

import pytest

# Tests start processes beside each other; with all cores each, two of them slow one another tenfold.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def same_random_numbers_every_time() -> None:
    import torch  # after the variable above

    torch.manual_seed(0)

"""Settings of the whole suite."""

import os

# Tests start processes beside each other; with all cores each, two of them slow one another tenfold.
os.environ["OMP_NUM_THREADS"] = "1"

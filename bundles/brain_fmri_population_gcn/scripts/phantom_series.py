r"""Region series of a phantom: networks, a global signal, the site's pattern, noise, and planted edges.

.. math::
    \Sigma = W C W^T + g^2 a a^T + P P^T + \mathrm{diag}(n^2) + b \, \Delta

with eight network signals (loadings W, coupling C, both a little different in every subject), the global signal g a,
the pattern P and noise n of the site, and the change of the planted edges, :math:`\Delta`, times the severity. Its
diagonal is 0: a planted edge changes no other edge and no variance. Axes: time first, (T, N).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from .phantom_subjects import SITES, PhantomSettings, Subject, planted_edges, region_table

__all__ = ["covariance", "simulate_series"]

Array = NDArray[np.float64]
NETWORKS = 8
SITE_TRAITS = (  # length of the scan between shortest and longest, noise, loading of the global signal
    (0.4, 1.00, 0.20),
    (1.0, 1.10, 0.60),
    (0.0, 1.20, 0.35),
    (0.8, 1.05, 0.80),
    (0.2, 1.30, 0.45),
    (0.6, 1.15, 0.10),
)
SITE_PATTERNS = 2  # signals of the site's own
LOADING_SPREAD = 0.15  # log scale, between subjects
COUPLING_FREEDOM = 40  # degrees of freedom of a subject's coupling: more, and subjects are more alike
SMOOTHNESS = 0.3  # correlation of one frame with the next
WARM_UP = 20


def simulate_series(subject: Subject, settings: PhantomSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the series (T, N) of a subject, 0 in missing regions."""
    low, high = settings.frames
    frames = round(low + SITE_TRAITS[subject.site][0] * (high - low))
    root = np.linalg.cholesky(covariance(subject, settings, rng))
    white = rng.standard_normal((frames + WARM_UP, len(root))) * np.sqrt(1 - SMOOTHNESS**2)
    smooth = signal.lfilter([1], [1, -SMOOTHNESS], white, axis=0)[WARM_UP:]
    series = smooth @ root.T
    series[:, subject.missing] = 0
    return series.astype(np.float32)


def covariance(subject: Subject, settings: PhantomSettings, rng: np.random.Generator) -> Array:
    """Covariance (N, N) of a subject's regions, positive definite."""
    networks, whole, patterns = _anatomy()
    spread = np.exp(LOADING_SPREAD * rng.standard_normal(networks.shape))
    _, noise, global_signal = SITE_TRAITS[subject.site]
    loadings = np.column_stack(
        [
            networks * spread @ _coupling_root(rng),
            whole * global_signal * rng.uniform(0.7, 1.3),
            patterns[subject.site] * settings.site_effect,
        ]
    )
    level = noise * (1 + 0.5 * subject.motion)
    planted = settings.effect * subject.severity * _planted(settings)
    return loadings @ loadings.T + level**2 * np.eye(len(loadings)) + planted


@cache
def _anatomy() -> tuple[Array, Array, Array]:
    """What every cohort shares: loadings on networks (N, K) and global signal (N,), patterns of the sites (S, N, R)."""
    rng = np.random.default_rng(110)
    names = [name.split(" ", 1)[1] for name in region_table().names]
    pair = np.unique(names, return_inverse=True)[1]  # homologues are in one network
    network = rng.permutation(pair.max() + 1)[pair] % NETWORKS
    loadings = 0.15 * rng.standard_normal((pair.size, NETWORKS))
    loadings[np.arange(pair.size), network] += rng.uniform(0.6, 1.0, pair.size)
    patterns = rng.standard_normal((len(SITES), pair.size, SITE_PATTERNS)) / np.sqrt(SITE_PATTERNS)
    return loadings, rng.uniform(0.7, 1.3, pair.size), patterns


def _coupling_root(rng: np.random.Generator) -> Array:
    """Root (K, K) of a subject's correlation of network signals, a Wishart draw round weak coupling."""
    draws = rng.standard_normal((COUPLING_FREEDOM, NETWORKS)) + 0.4 * rng.standard_normal((COUPLING_FREEDOM, 1))
    return np.linalg.cholesky(np.corrcoef(draws, rowvar=False))


def _planted(settings: PhantomSettings) -> Array:
    """Sign of the change of each edge, (N, N), symmetric with zero diagonal."""
    codes = region_table().codes
    change = np.zeros((len(codes), len(codes)))
    for (first, second), sign in planted_edges(settings).items():
        i, j = codes.index(first), codes.index(second)
        change[i, j] = change[j, i] = sign
    return change

"""Region series of a phantom: networks, homologous pairs, noise, global signal, head motion, planted weakness.

Series of region i in community c, everything band-limited to .01-.1 Hz but the noise:
``x_i = u_i f_c + v_i g_c + p q_pair(i) + a_i s + noise_i + motion_i``, u and v differing from region to region and a
little from subject to subject; in patients u of the planted regions is smaller. Axes: time first, (T, N).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.spatial.distance import cdist

from .phantom_networks import NETWORKS, centroids_mm, communities, homologues

__all__ = ["Scan", "Site", "Subject", "simulate_scan", "simulate_streamlines"]

Array = NDArray[np.float64]
BAND_HZ = (0.01, 0.1)
PAIR_LOADING = 0.55
LOADING_SPREAD = 0.15  # log scale, between subjects
SMOOTHNESS_MM = 25.0  # of the motion artefact: near regions share it
COUPLING = {  # correlation of network signals; pairs not named here have .05
    ("visual", "somatomotor"): 0.3,
    ("visual", "dorsal attention"): 0.4,
    ("somatomotor", "dorsal attention"): 0.3,
    ("somatomotor", "salience"): 0.3,
    ("salience", "frontoparietal"): 0.3,
    ("salience", "subcortical"): 0.3,
    ("dorsal attention", "frontoparietal"): 0.25,
    ("dorsal attention", "default"): -0.2,
    ("salience", "default"): -0.15,
    ("frontoparietal", "default"): 0.25,
    ("default", "limbic"): 0.35,
    ("limbic", "subcortical"): 0.3,
}


@dataclass(frozen=True)
class Site:
    """One scanner.

    Args:
        name: of the site.
        tr_seconds: time between frames.
        frames: length of its scans.
        noise: standard deviation of the regional noise, network signals are near 1.
        global_signal: loading of the signal that all regions share.
    """

    name: str
    tr_seconds: float
    frames: int
    noise: float
    global_signal: float


@dataclass(frozen=True)
class Subject:
    """One person.

    Args:
        label: 0 control, 1 patient.
        site: where the scan was made.
        age: years.
        sex: 1 male, 2 female, as ABIDE codes it.
        motion: mean framewise displacement in mm.
        weakening: (N,) share of its coupling to the own network that a region has lost.
        hyperconnection: (E, 2) pairs of regions, and the loading of the signal that only they share.
        missing: regions without signal.
    """

    label: int
    site: Site
    age: float
    sex: int
    motion: float
    weakening: Array
    hyperconnection: tuple[NDArray[np.int64], float]
    missing: NDArray[np.int64]


@dataclass(frozen=True)
class Scan:
    """Series (T, N) in arbitrary units, missing regions 0, and framewise displacement (T,) in mm."""

    series: NDArray[np.float32]
    displacement_mm: Array


def simulate_scan(subject: Subject, rng: np.random.Generator) -> Scan:
    """Draw the scan of a subject; loadings of the atlas are the same for everybody."""
    frames, site = subject.site.frames, subject.site
    main, second = _loadings()
    spread = np.exp(LOADING_SPREAD * rng.standard_normal((2, main.size)))
    main = main * spread[0] * (1 - subject.weakening) * (0.9 + 0.006 * min(subject.age, 35.0))  # networks mature
    member, pair = np.array(communities()), homologues()

    networks = _band_limited(rng, site, len(NETWORKS)) @ np.linalg.cholesky(_subject_coupling(rng)).T
    series = networks[:, member] * main
    series += _band_limited(rng, site, len(NETWORKS))[:, member] * (second * spread[1])
    series += PAIR_LOADING * _band_limited(rng, site, pair.max() + 1)[:, pair]
    series += site.global_signal * rng.uniform(0.5, 1.5) * _band_limited(rng, site, 1)
    edges, strength = subject.hyperconnection
    for edge, shared in zip(edges, _band_limited(rng, site, len(edges)).T, strict=True):
        series[:, edge] += strength * shared[:, None]
    series += site.noise * _autoregressive(rng, frames, main.size)
    displacement_mm = _displacement(rng, frames, subject.motion)
    series += _motion_artefact(rng, displacement_mm, main.size)
    series[:, subject.missing] = 0
    return Scan(series.astype(np.float32), displacement_mm)


def simulate_streamlines(weakening: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw streamline counts (N, N) of diffusion MRI, symmetric, zero diagonal: near and same network means many.

    Args:
        weakening: (N,) share of the connections to the own network that a region has lost.
        rng: source of chance.
    """
    distance = cdist(centroids_mm(), centroids_mm())
    same = np.equal.outer(communities(), communities())
    pair = np.equal.outer(homologues(), homologues())
    expected = 60 * np.exp(-distance / 35) * np.where(same, 1.0, 0.25) + 25 * pair
    kept = 1 - weakening
    expected = np.where(same, expected * np.outer(kept, kept), expected)
    upper = np.triu(rng.poisson(expected * rng.gamma(4, 1 / 4, expected.shape)), 1)
    return (upper + upper.T).astype(np.float32)


@cache
def _loadings() -> tuple[Array, Array]:
    """Loadings (N,) on the first and on the second signal of the own network."""
    rng = np.random.default_rng(110)
    count = len(communities())
    return rng.uniform(0.75, 1.05, count), rng.uniform(-0.5, 0.5, count)


@cache
def _coupling() -> Array:
    names = list(NETWORKS)
    matrix = np.full((len(names), len(names)), 0.05)
    for (first, second), value in COUPLING.items():
        i, j = names.index(first), names.index(second)
        matrix[i, j] = matrix[j, i] = value
    np.fill_diagonal(matrix, 1)
    return matrix


def _subject_coupling(rng: np.random.Generator, freedom: int = 40) -> Array:
    """Correlation matrix of the network signals of one subject, a Wishart draw round the common one."""
    draws = rng.standard_normal((freedom, len(NETWORKS))) @ np.linalg.cholesky(_coupling()).T
    return np.corrcoef(draws, rowvar=False).astype(np.float64)


def _band_limited(rng: np.random.Generator, site: Site, count: int) -> Array:
    """Signals (T, count) of unit variance, .01-.1 Hz."""
    frequency = np.fft.rfftfreq(site.frames, site.tr_seconds)
    inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    spectrum = rng.standard_normal((2, frequency.size, count)) * inside[:, None]
    signals = np.fft.irfft(spectrum[0] + 1j * spectrum[1], site.frames, axis=0)
    return signals / signals.std(axis=0)


def _autoregressive(rng: np.random.Generator, frames: int, count: int, coefficient: float = 0.4) -> Array:
    """Noise (T, count) of unit variance, AR(1)."""
    white = rng.standard_normal((frames + 20, count)) * np.sqrt(1 - coefficient**2)
    return signal.lfilter([1], [1, -coefficient], white, axis=0)[20:]


def _displacement(rng: np.random.Generator, frames: int, mean_mm: float) -> Array:
    """Framewise displacement (T,): quiet stretches and jerks, with the given mean."""
    trace = rng.gamma(2.0, 1.0, frames) + (rng.random(frames) < 0.05) * rng.gamma(2.0, 6.0, frames)
    return mean_mm * trace / trace.mean()


def _motion_artefact(rng: np.random.Generator, displacement_mm: Array, count: int) -> Array:
    """Artefact (T, N) of moving: a part common to all regions and a part that near regions share."""
    local = rng.standard_normal((displacement_mm.size, count)) @ _smooth_field().T
    common = rng.standard_normal((displacement_mm.size, 1))
    return displacement_mm[:, None] * (1.2 * local + 0.8 * common)


@cache
def _smooth_field() -> Array:
    kernel = np.exp(-cdist(centroids_mm(), centroids_mm()) / SMOOTHNESS_MM)
    return np.linalg.cholesky(kernel)

import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from common.metrics.fusion_edges import edge_artifacts, edge_preservation
from tests.common.metrics.fusion_images import arrays, fusion, textured

DOWN = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
ACROSS = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def sigmoid(gain: float, slope: float, middle: float, value: float) -> float:
    return gain / (1 + math.exp(-slope * (value - middle)))


def naive_qabf(fused: np.ndarray, sources: list[np.ndarray]) -> float:
    """Twin with a decision per pixel on true convolutions."""

    def edges(image: np.ndarray) -> list[tuple[float, float]]:
        x, y = (convolve2d(image, kernel, "same").ravel() for kernel in (ACROSS, DOWN))
        return [(math.hypot(a, b), math.pi / 2 if a == 0 else math.atan(b / a)) for a, b in zip(x, y, strict=True)]

    edges_f, total, weights = edges(fused), 0.0, 0.0
    for source in sources:
        for (strength, angle), (strength_f, angle_f) in zip(edges(source), edges_f, strict=True):
            if strength > strength_f:
                relative = strength_f / strength
            else:
                relative = strength_f if strength == strength_f else strength / strength_f
            agreement = 1 - abs(angle - angle_f) / (math.pi / 2)
            total += strength * sigmoid(0.9994, 15, 0.5, relative) * sigmoid(0.9879, 22, 0.8, agreement)
            weights += strength
    return total / weights


def naive_nabf(fused: np.ndarray, sources: list[np.ndarray]) -> float:
    def edges(image: np.ndarray) -> list[tuple[float, float]]:
        padded = np.pad(image, 1, mode="reflect")
        x, y = (convolve2d(padded, kernel[::-1, ::-1], "valid").ravel() / 8 for kernel in (ACROSS, -DOWN))
        angles = [
            math.atan(a / b) if b else math.copysign(math.pi / 2, a) if a else 0.0 for a, b in zip(x, y, strict=True)
        ]
        return list(zip(np.hypot(x, y), angles, strict=True))

    of_sources, total, weights = [edges(source) for source in sources], 0.0, 0.0
    for k, (strength_f, angle_f) in enumerate(edges(fused)):
        for strength, angle in (each[k] for each in of_sources):
            relative = min(strength, strength_f) / max(strength, strength_f) if strength * strength_f else 0.0
            agreement = abs(abs(angle - angle_f) - math.pi / 2) * 2 / math.pi
            quality = math.sqrt(sigmoid(0.9999, 19, 0.5, relative) * sigmoid(0.9995, 22, 0.5, agreement))
            weight = strength**1.5 if strength >= 2 else 0.001
            weights += weight
            if all(strength_f > each[k][0] for each in of_sources):
                total += (1 - quality) * weight
    return total / weights


@pytest.mark.parametrize("num_sources", [2, 3])
@pytest.mark.parametrize(("metric", "twin"), [(edge_preservation, naive_qabf), (edge_artifacts, naive_nabf)])
def test_equals_naive_twin(metric, twin, num_sources: int) -> None:
    fused, sources = fusion(2, num_sources, 26, 33)
    expected = [twin(*arrays(fused, sources, k)) for k in range(2)]
    np.testing.assert_allclose(metric(fused, sources), expected, rtol=1e-9)


def test_equal_images_keep_edges_up_to_the_constants_of_the_model() -> None:
    fused = textured(1, 1, 40, 40)
    limit = 0.9994 * 0.9879 / (1 + math.exp(-22 * 0.2))
    assert float(edge_preservation(fused, fused.expand(-1, 2, -1, -1))) == pytest.approx(limit, abs=1e-4)
    assert float(edge_artifacts(fused, fused.expand(-1, 2, -1, -1))) == 0


def test_edges_that_no_source_has_are_artifacts_weighed_by_the_edges_of_the_sources() -> None:
    textures = textured(1, 1, 40, 40).expand(-1, 2, -1, -1)
    flat = torch.full_like(textures, 90)
    flat[..., 1] = 95  # some weight
    for sources, least, most in ((textures, 0.01, 1.0), (flat, 0.0, 0.002)):
        fused = sources[:, :1].clone()
        fused[..., 15:30, 12:28:2] = 255 - fused[..., 15:30, 12:28:2]
        assert least < float(edge_artifacts(fused, sources)) < most
        assert float(edge_artifacts(torch.full_like(fused, 7), sources)) == 0


def test_black_sources_have_no_edge_to_keep() -> None:
    sources = torch.zeros(1, 2, 16, 16)
    assert edge_preservation(textured(1, 1, 16, 16), sources).isnan().all()
    assert edge_artifacts(textured(1, 1, 16, 16), sources).isfinite().all()

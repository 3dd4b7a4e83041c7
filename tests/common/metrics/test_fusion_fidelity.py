import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from common.metrics import fusion_fidelity as fidelity
from tests.common.metrics.fusion_images import arrays, fusion

FUSED, SOURCES = fusion(2, 2, 20, 31)
CASES = [arrays(FUSED, SOURCES, k) for k in range(2)]


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_correlation_coefficient_equals_numpy() -> None:
    expected = [np.mean([correlation(source, fused) for source in sources]) for fused, sources in CASES]
    np.testing.assert_allclose(fidelity.correlation_coefficient(FUSED, SOURCES), expected)


def test_differences_correlate_with_the_other_source() -> None:
    expected = [correlation(fused - b, a) + correlation(fused - a, b) for fused, (a, b) in CASES]
    np.testing.assert_allclose(fidelity.sum_of_correlations_of_differences(FUSED, SOURCES), expected)


def test_difference_of_three_sources_is_to_the_mean_of_the_other_two() -> None:
    fused, sources = fusion(1, 3, 16, 16)
    f, s = arrays(fused, sources)
    expected = sum(correlation(f - (s[(k + 1) % 3] + s[(k + 2) % 3]) / 2, s[k]) for k in range(3))
    assert float(fidelity.sum_of_correlations_of_differences(fused, sources)) == pytest.approx(expected)


def test_psnr_takes_the_mean_squared_error_over_sources() -> None:
    errors = [np.mean([mean_squared_error(source, fused) for source in sources]) for fused, sources in CASES]
    expected = 10 * np.log10(255**2 / np.array(errors))
    np.testing.assert_allclose(fidelity.peak_signal_to_noise_ratio(FUSED, SOURCES), expected)


def test_psnr_of_equal_sources_equals_scikit_image() -> None:
    twice = SOURCES[:, :1].expand(-1, 2, -1, -1)
    expected = [peak_signal_noise_ratio(sources[0], fused, data_range=255) for fused, sources in CASES]
    np.testing.assert_allclose(fidelity.peak_signal_to_noise_ratio(FUSED, twice), expected)


def test_rmse_is_the_mean_of_the_roots() -> None:
    expected = [np.mean([mean_squared_error(s, fused) ** 0.5 for s in sources]) for fused, sources in CASES]
    np.testing.assert_allclose(fidelity.root_mean_square_error(FUSED, SOURCES), expected)


def test_vifb_divides_the_norm_by_the_pixels() -> None:
    norms = [np.mean([np.linalg.norm(s - fused) / fused.size for s in sources]) for fused, sources in CASES]
    np.testing.assert_allclose(fidelity.root_mean_square_error(FUSED, SOURCES, variant="vifb"), norms)
    found = fidelity.peak_signal_to_noise_ratio(FUSED, SOURCES, variant="vifb")
    np.testing.assert_allclose(found, 20 * np.log10(255 / np.sqrt(norms)))


@pytest.mark.parametrize("name", ["correlation_coefficient", "sum_of_correlations_of_differences"])
def test_constant_source_has_no_correlation(name: str) -> None:
    sources = torch.cat([SOURCES[:, :1], torch.full_like(FUSED, 30.1)], dim=1)
    assert getattr(fidelity, name)(FUSED, sources).isnan().all()


@pytest.mark.parametrize("name", ["peak_signal_to_noise_ratio", "root_mean_square_error"])
def test_unknown_variant_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="variant is 'unit'"):
        getattr(fidelity, name)(FUSED, SOURCES, variant="unit")

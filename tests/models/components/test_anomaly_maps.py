"""Anomaly maps against scikit-image's definitions, closed forms and the traps they avoid."""

import numpy as np
import pytest
import torch

from mlproject.models.components import anomaly_maps
from mlproject.models.components.anomaly_maps import MapSettings

SETTINGS = MapSettings(
    kind="squared_error", ignore_offset=False, normalise=False, smoothing=0, pooling="mean"
)


def images(seed=0, n=2, c=1, size=48):
    return torch.rand((n, c, size, size), generator=torch.Generator().manual_seed(seed))


def with_settings(**changes):
    return SETTINGS.model_copy(update=changes)


def reference_ssim(x, y):
    """SSIM written out with scipy's Gaussian filter (Wang et al. 2004), as scikit-image does it."""
    from scipy.ndimage import gaussian_filter

    def blur(a):
        return gaussian_filter(a, 1.5, truncate=3.4, mode="mirror")

    mx, my = blur(x), blur(y)
    vx, vy, cxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return ((2 * mx * my + 1e-4) * (2 * cxy + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))


def test_ssim_equals_the_reference_on_random_images():
    x, y = images(0).double(), images(1).double()
    ours = anomaly_maps.ssim_difference(x, y)
    for i in range(len(x)):
        np.testing.assert_allclose(ours[i], 1 - reference_ssim(x[i, 0].numpy(), y[i, 0].numpy()), atol=1e-9)


@pytest.mark.parametrize("kind", anomaly_maps.KINDS)
def test_no_difference_scores_zero_and_a_defect_scores_highest_where_it_is(kind):
    x = images(c=3)
    maps = anomaly_maps.difference(x, x.clone(), with_settings(kind=kind))
    assert float(maps.abs().max()) < 1e-5
    y = x.clone()
    y[:, :, 10:18, 20:28] = 0.5
    maps = anomaly_maps.difference(x, y, with_settings(kind=kind, smoothing=2))
    row, column = divmod(int(maps[0].argmax()), maps.shape[2])
    assert 8 <= row <= 20
    assert 18 <= column <= 30


def test_squared_error_is_the_mean_over_channels():
    x, y = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    y[:, 0] = 0.6
    assert float(anomaly_maps.squared_error(x, y).mean()) == pytest.approx(0.12)


def test_a_brighter_lamp_is_no_defect_when_the_offset_is_ignored():
    x = images() * 0.5
    brighter = x + 0.3
    assert float(anomaly_maps.difference(brighter, x, with_settings(ignore_offset=True)).max()) < 1e-10
    assert float(anomaly_maps.difference(brighter, x, SETTINGS).min()) == pytest.approx(0.09, rel=1e-3)


def test_blur_keeps_the_mean_of_a_constant_and_spreads_a_point():
    flat = torch.full((1, 1, 20, 20), 0.3)
    assert torch.allclose(anomaly_maps.gaussian_blur(flat, 2), flat)
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1
    blurred = anomaly_maps.gaussian_blur(point, 2)
    assert float(blurred.sum()) == pytest.approx(1, rel=1e-5)
    assert float(blurred[0, 0, 20, 20]) == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)


def test_normalised_map_finds_a_small_error_where_good_images_have_none():
    """An edge that is always badly reconstructed must not drown a defect elsewhere."""
    good = torch.rand((30, 32, 32), generator=torch.Generator().manual_seed(0)) * 0.01
    good[:, 16] += torch.rand((30, 32), generator=torch.Generator().manual_seed(1))
    mean, spread = anomaly_maps.pixel_statistics(good)
    defective = good[0].clone()
    defective[4, 4] += 0.5
    raw_peak = int(defective.argmax()) // 32
    normalised_peak = divmod(int(anomaly_maps.normalise(defective, mean, spread).argmax()), 32)
    assert raw_peak == 16
    assert normalised_peak == (4, 4)


def test_pooling():
    maps = torch.tensor([[[0.0, 4.0], [0.0, 0.0]]])
    assert anomaly_maps.pool(maps, "max").tolist() == [4.0]
    assert anomaly_maps.pool(maps, "mean").tolist() == [1.0]
    assert anomaly_maps.pool(maps, "mean").dtype == torch.float64

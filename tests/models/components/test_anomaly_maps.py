"""Anomaly maps against scikit-image's definitions, closed forms and the traps they avoid."""

import numpy as np
import pytest
import torch

from mlproject.models.components import anomaly_maps
from mlproject.models.components.anomaly_maps import MapSettings
from mlproject.models.components.gaussian_blur import gaussian_blur

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
    assert torch.allclose(gaussian_blur(flat, 2), flat)
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1
    blurred = gaussian_blur(point, 2)
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


def reference_gradient(image):
    """Prewitt's gradient magnitude, written out pixel by pixel, edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    h, w = image.shape
    dx = sum(padded[i : i + h, :w] - padded[i : i + h, 2 : w + 2] for i in range(3)) / 3
    dy = sum(padded[:h, j : j + w] - padded[2 : h + 2, j : j + w] for j in range(3)) / 3
    return np.sqrt(dx**2 + dy**2 + 1e-12)


def test_gradient_similarity_equals_the_reference_at_one_scale_and_at_two():
    x, y = images(0, n=1, size=8).double(), images(1, n=1, size=8).double()

    def differ(a, b):
        ga, gb = reference_gradient(a), reference_gradient(b)
        c = anomaly_maps.GRADIENT_STABILISER
        return 1 - (2 * ga * gb + c) / (ga**2 + gb**2 + c)

    def half(a):
        return a.reshape(4, 2, 4, 2).mean(axis=(1, 3))

    def enlarged(a):  # bilinear, between the centres of pixels
        at = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
        low = np.minimum(np.floor(at).astype(int), 2)
        weight = at - low
        rows = a[low] * (1 - weight)[:, None] + a[low + 1] * weight[:, None]
        return rows[:, low] * (1 - weight) + rows[:, low + 1] * weight

    a, b = x[0, 0].numpy(), y[0, 0].numpy()
    fine, coarse = differ(a, b), enlarged(differ(half(a), half(b)))
    found = [anomaly_maps.gradient_difference(x, y, scales)[0].numpy() for scales in (1, 2)]
    np.testing.assert_allclose(found[0], fine, atol=1e-7)
    np.testing.assert_allclose(found[1], (fine + coarse) / 2, atol=1e-7)


def test_three_sizes_are_compared_of_images_that_are_not_square():
    x, y = images(0)[..., :40], images(1)[..., :40]
    found = anomaly_maps.gradient_difference(x, y)
    assert found.shape == (2, 48, 40)
    assert torch.equal(found, anomaly_maps.gradient_difference(x, y, 3))
    assert torch.equal(
        anomaly_maps.gradient_difference(x[:, :, :4, :4], y[:, :, :4, :4]).isfinite(), torch.ones(2, 4, 4) > 0
    )


@pytest.mark.parametrize("sigma", [0.2, 0.4, 0.5, 1.0, 2.0])
def test_blur_equals_scipys_within_three_sigmas(sigma):
    from scipy.ndimage import gaussian_filter

    image = images(size=32)[:1].double()
    radius = max(1, round(3 * sigma))
    found = gaussian_blur(image, sigma)[0, 0].numpy()
    np.testing.assert_allclose(
        found, gaussian_filter(image[0, 0].numpy(), sigma, radius=radius, mode="mirror"), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(3, 40), (40, 3), (6, 6), (7, 7)])
def test_edges_of_images_smaller_than_the_kernel_are_repeated(shape):
    from scipy.ndimage import gaussian_filter

    image = images()[:1, :, : shape[0], : shape[1]].double()
    found = gaussian_blur(image, 2.0)[0, 0].numpy()
    mode = "mirror" if min(shape) > 6 else "nearest"
    np.testing.assert_allclose(
        found, gaussian_filter(image[0, 0].numpy(), 2.0, radius=6, mode=mode), atol=1e-12
    )


def test_pixel_statistics_are_smoothed_mean_and_spread_with_half_the_typical_spread_added():
    from scipy.ndimage import gaussian_filter

    maps = images(n=5, size=32)[:, 0].double()

    def smooth(a):
        return gaussian_filter(a.numpy(), 2.0, radius=6, mode="mirror")

    spread = smooth(maps.std(dim=0, unbiased=False))
    found_mean, found_spread = anomaly_maps.pixel_statistics(maps)
    np.testing.assert_allclose(found_mean, smooth(maps.mean(dim=0)), atol=1e-12)
    np.testing.assert_allclose(found_spread, spread + spread.mean() / 2 + 1e-8, rtol=1e-10)
    still = anomaly_maps.pixel_statistics(torch.ones(3, 16, 16, dtype=torch.float64))[1]
    np.testing.assert_allclose(still, 1e-8, rtol=1e-6)


def test_normalising_subtracts_the_mean_and_divides_by_the_spread():
    maps, mean, spread = torch.tensor([[5.0]]), torch.tensor([[1.0]]), torch.tensor([[2.0]])
    assert anomaly_maps.normalise(maps, mean, spread).item() == 2


def test_each_image_has_an_offset_of_its_own():
    x = images(n=2, c=3)
    shifted = x + torch.tensor([0.1, -0.2])[:, None, None, None]
    found = anomaly_maps.difference(shifted, x, with_settings(ignore_offset=True))
    np.testing.assert_allclose(found, 0, atol=1e-12)

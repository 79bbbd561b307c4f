"""What is measured of generated images: copies and collapse are caught, honest images are not."""

import numpy as np
import pytest
import torch

from mlproject.core.errors import TooFewImages
from mlproject.evaluation import generation_faults, generation_quality, image_distances
from mlproject.evaluation.generation_quality import Reference


def parts(count, seed):
    """Return images of a disc and a bar: places, sizes, colours and light drawn separately for each."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    images = np.empty((count, 64, 64, 3))
    for image in images:
        (cx, cy), radius, slope = random.normal(32, 4, 2), random.normal(15, 2), random.normal(0, 0.4)
        image[:] = random.normal((60, 70, 90), 8)
        image[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = random.normal((190, 150, 60), 10)
        image[np.abs(y - cy - slope * (x - cx)) < 3] = random.normal(230, 8)
    return (images + random.normal(0, 4, images.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True, scope="module")
def fewer_pairs():
    """Let fewer pairs of images be compared: MS-SSIM takes most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_distances, "PAIRS", 50)
        yield


@pytest.fixture(scope="module")
def train():
    return parts(64, seed=0)


@pytest.fixture(scope="module")
def reference(train):
    return Reference.of(train)


def jittered(images, seed):
    """Return images moved by a few pixels, turned lighter or darker, with noise: resampled, not copied."""
    random = np.random.default_rng(seed)
    moved = [np.roll(image, random.integers(-4, 5, 2), (0, 1)) * random.normal(1, 0.1) for image in images]
    return (moved + random.normal(0, 6, images.shape)).clip(0, 255).astype(np.uint8)


def test_new_images_of_the_same_kind_have_no_fault(reference):
    quality = generation_quality.measure(parts(64, seed=1), reference)
    assert generation_faults.faults(quality) == {}
    for fault in ("collapsed", "memorised", "unlike"):
        assert quality[fault] is False
        assert quality[f"{fault}_because"] is None
    memory, variety, distance = quality["memorisation"], quality["diversity"], quality["frechet"]
    assert memory["median_generated_to_train"] == pytest.approx(memory["median_train_to_train"], rel=0.15)
    assert memory["share_below_first_percentile"] <= 0.1
    assert variety["ms_ssim_generated"] == pytest.approx(variety["ms_ssim_train"], abs=0.05)
    assert distance["generated"] < 2 * distance["real_halves"]


def test_jittered_training_images_are_no_copies(train, reference):
    assert not generation_quality.measure(jittered(train, 0), reference)["memorised"]


def test_a_generator_that_copies_is_caught(train, reference):
    random = np.random.default_rng(0)
    copies = train[random.permutation(len(train))]
    noisy = (copies + random.normal(0, 3, copies.shape)).clip(0, 255).astype(np.uint8)
    for made in (copies, noisy):
        quality = generation_quality.measure(made, reference)
        assert quality["memorised"]
        assert "100% of the images are copies" in quality["memorised_because"]
        assert not quality["collapsed"]


def test_a_few_copies_among_new_images_are_caught(train, reference):
    made = np.concatenate([parts(58, seed=1), train[:6]])
    quality = generation_quality.measure(made, reference)
    assert quality["memorised"]
    assert quality["memorisation"]["share_of_copies"] == pytest.approx(6 / 64, abs=0.02)


def test_a_generator_of_one_image_is_collapsed(train, reference):
    quality = generation_quality.measure(np.repeat(parts(1, seed=1), 64, axis=0), reference)
    assert quality["collapsed"]
    assert "MS-SSIM is 1.000" in quality["collapsed_because"]
    assert quality["diversity"]["share_of_repeats"] == 1


def test_a_generator_of_a_few_images_is_collapsed_though_those_differ(reference):
    quality = generation_quality.measure(np.repeat(parts(4, seed=1), 16, axis=0), reference)
    assert quality["collapsed"]
    assert quality["collapsed_because"] == "100% of the images repeat another one"


def test_smooth_images_are_no_copies(train, reference):
    """The middle of all training images is near to each of them, and copies none."""
    mean = train.mean(axis=0)
    made = (mean + 0.3 * (parts(64, seed=1) - mean)).astype(np.uint8)
    assert not generation_quality.measure(made, reference)["memorised"]


def test_noise_is_far_from_the_real(reference):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
    distance = generation_quality.measure(noise, reference)["frechet"]
    assert distance["generated"] > 5 * distance["real_halves"]


def test_a_generator_that_has_learnt_nothing_is_caught():
    """Where training images are much alike, as photos of one kind of part are, noise is far from them."""
    random = np.random.default_rng(0)
    train = (parts(1, seed=0) + random.normal(0, 25, (64, 1, 1, 3))).clip(0, 255).astype(np.uint8)
    reference = Reference.of(train)
    noise = (127 + random.normal(0, 20, (64, 64, 64, 3))).clip(0, 255).astype(np.uint8)
    quality = generation_quality.measure(noise, reference)
    assert not quality["memorised"]
    assert quality["unlike"]
    (said,) = (why for what, why in generation_faults.faults(quality).items() if "unlike" in what)
    assert said == quality["unlike_because"]
    assert "times as far as training images are from each other" in said


def test_training_images_that_are_almost_one_image_are_no_measure_of_what_looks_alike():
    random = np.random.default_rng(0)
    train, made = (parts(1, seed=0) + random.normal(0, spread, (64, 1, 1, 3)) for spread in (1, 6))
    train, made = (images.clip(0, 255).astype(np.uint8) for images in (train, made))
    quality = generation_quality.measure(made, Reference.of(train))
    memory = quality["memorisation"]
    assert memory["median_generated_to_train"] > 3 * memory["median_train_to_train"]
    assert not quality["unlike"]


def test_the_verdict_of_an_older_release_lacks_a_fault():
    older = {"collapsed": True, "collapsed_because": "all the same", "memorised": False}
    assert generation_faults.faults(older) == {"collapsed": "all the same"}


def test_equal_training_images_count_once(train):
    twice = Reference.of(np.concatenate([train, train]))
    assert len(twice.images) == len(train)
    assert twice.first_percentile > 0
    assert generation_quality.measure(train, twice)["memorised"]


def test_too_few_different_images_are_said(train):
    with pytest.raises(TooFewImages, match="3 different images"):
        Reference.of(np.repeat(train[:3], 10, axis=0))


def test_frechet_distance_of_known_gaussians():
    """In one dimension it is (m1 - m2)^2 + (s1 - s2)^2."""
    z = np.random.default_rng(0).normal(size=(100_000, 1))
    assert image_distances.frechet_distance(3 * z + 1, 5 * z - 1) == pytest.approx(4 + 4, rel=0.02)
    assert image_distances.frechet_distance(z, z) == pytest.approx(0, abs=1e-9)


def test_ms_ssim_is_1_for_equal_images_and_falls_with_noise(train):
    x = image_distances.tensor(train[:4])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    values = [image_distances.ms_ssim(x, (x + s * noise).clamp(0, 1)) for s in (0, 0.05, 0.2)]
    assert torch.allclose(values[0], torch.ones(4, dtype=torch.float64))
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()


def test_neighbours_are_found_and_none_is_its_own(train):
    found = image_distances.neighbours(train[5:8], train)
    assert found.rows.tolist() == [5, 6, 7]
    assert (found.nearest == 0).all()
    own = image_distances.neighbours(train, train, same=True)
    assert (own.rows != np.arange(len(train))).all()
    assert (own.second >= own.nearest).all()
    assert (own.nearest > 0).all()

"""Two parts count evenly on images that chose nothing: there each has mean 0 and spread 1."""

import numpy as np
import pytest
from support import small_models
from support.pipeline_project import draw

from mlproject import models
from mlproject.training.run_options import RunOptions

SHORT = {"epochs": 5, "patience": 5}
SMALL = {"kd_cae": {"image_size": 32, "latent_channels": 8}, "anogan": {}}


def images(count):
    """Return (count, s, s, 3) good images; other counts are other images."""
    rng = np.random.default_rng(count)
    drawn = [draw(rng, defective=False)[0] for _ in range(count)]
    return np.stack(drawn)[..., None].repeat(3, axis=-1)


def test_few_validation_images_do_not_set_the_level_of_regions_that_new_good_images_exceed():
    """.1 % of a good image's pixels are meant to; of the validation images' own scale it was 6 %."""
    validation, calibration, unseen = images(4), images(10), images(200)
    detector = models.create("pca", small_models.detector_settings("pca"))
    detector.fit(images(30), validation, RunOptions(seed=0))
    measured = detector.measure(calibration)

    def share_above():
        return (detector.measure(unseen).maps > detector.heat_scale.usual).mean()

    detector.calibrate(validation)
    assert share_above() > 0.03
    detector.calibrate(validation, measured.parts, measured.maps)
    assert share_above() < 0.01


@pytest.mark.parametrize("name", SMALL)
def test_on_unseen_good_images_no_part_outweighs_the_other(name):
    """Scaled on validation images, which set the map's statistics, the error had mean .7, spread 1.5."""
    train, validation, calibration, unseen = (images(n) for n in (60, 20, 80, 200))
    detector = models.create(name, small_models.detector_settings(name) | SHORT | SMALL[name])
    detector.fit(train, validation, RunOptions(seed=0))
    detector.calibrate(validation, detector.measure(calibration).parts)
    for part, values in detector.measure(unseen).parts.items():
        away = (values - detector.combination.centres[part]) / detector.combination.scales[part]
        # standard errors with 80 and 200 images: .13 of the mean, .1 of the spread, more where tails are long
        assert abs(away.mean()) < 0.4, part
        assert 0.7 < away.std() < 1.4, part

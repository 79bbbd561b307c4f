"""AnoGAN: two phases are one training, what cannot be learnt is said, either part finds large defects."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mlproject import models
from mlproject.core import params
from mlproject.core.errors import TooFewImages, UserError
from mlproject.data.tensors import network_images
from mlproject.training import checkpoints
from mlproject.training.run_options import RunOptions

SMALL = {"image_size": 32, "filters": 4, "epochs": 2, "patience": 2}
KEY = "0123456789abcdef"


def create(**changes):
    return models.create("anogan", params.value("models.anogan") | SMALL | changes)


def bytes_of(detector):
    return b"".join(array.tobytes() for _, array in sorted(detector.state().items()))


@pytest.fixture(scope="module")
def trained(small_images):
    """Long enough to make something like a bracket."""
    detector = create(filters=8, epochs=30, patience=30)
    detector.untrained = detector.reconstruct(small_images.validation)
    detector.fit(small_images.train, small_images.validation, RunOptions(seed=0))
    detector.calibrate(small_images.validation)
    return detector


def test_the_gans_epochs_come_first_and_none_of_them_is_the_best(small_images):
    seen = []
    detector = create()
    history = detector.fit(
        small_images.train, small_images.validation, RunOptions(seed=0, on_epoch=seen.append)
    )
    assert [row["epoch"] for row in history] == [epoch.number for epoch in seen] == [1, 2, 3, 4]
    assert {epoch.limit for epoch in seen} == {detector.epoch_limit} == {4}
    assert [math.isinf(row["validation_loss"]) for row in history] == [True, True, False, False]
    best = min(history, key=lambda row: row["validation_loss"])
    assert best["epoch"] == seen[-1].best_epoch > 2
    assert "make images" in seen[0].in_words()
    assert "validation" in seen[-1].in_words()


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_stopped_in_either_phase_and_run_again_it_ends_with_the_same_weights(
    stop_after, small_images, tmp_path
):
    images, checkpoint = (small_images.train[:16], small_images.validation), tmp_path / f"{KEY}.checkpoint"
    straight, stopped, resumed, seen, starts = create(), create(), create(), [], []

    def stop(epoch):
        if epoch.number == stop_after:
            raise KeyboardInterrupt

    def start():
        starts.append(1)

    history = straight.fit(*images, RunOptions(seed=0))
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(*images, RunOptions(seed=0, checkpoint=checkpoint, on_start=start, on_epoch=stop))
    checkpoints.keep_only(KEY, tmp_path)
    again = resumed.fit(
        *images,
        RunOptions(seed=0, checkpoint=checkpoint, on_start=start, on_epoch=lambda e: seen.append(e.number)),
    )
    assert seen == list(range(stop_after + 1, 5))
    assert starts == [1], "the untrained network is shown once"
    assert again == history
    assert bytes_of(resumed) == bytes_of(straight)
    checkpoints.keep_only("", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_it_remakes_is_near_the_image(trained, small_images):
    wanted = network_images(small_images.validation, 32, "rgb").permute(0, 2, 3, 1).numpy().astype(float)
    error, before = (
        np.square(made - wanted).mean()
        for made in (trained.reconstruct(small_images.validation), trained.untrained)
    )
    assert error < before / 2


def test_a_large_red_square_is_found_by_either_part(trained, small_images):
    good = small_images.test[small_images.labels == 0]
    marked = good.copy()
    marked[:, 20:34, 26:40] = (250, 40, 40)
    scored = trained.score(np.concatenate([good, marked]))
    for scores in (scored.scores, *scored.parts.values()):
        assert roc_auc_score(np.repeat([0, 1], len(good)), scores) >= 0.9
    hottest = scored.maps[len(good) :].mean(axis=0)
    row, column = np.unravel_index(hottest.argmax(), hottest.shape)
    assert 10 <= row < 17
    assert 13 <= column < 20


def test_the_encoder_weighs_pixels_and_features_in_units_of_their_spread(trained, small_images):
    """Remaking every image as the mean would cost about 1 in either; the weight counts features only."""
    images = torch.from_numpy(small_images.validation[:, ::2, ::2]).permute(0, 3, 1, 2) / 127.5 - 1
    encoder, settings = trained.encoder.eval(), trained.settings

    def loss(weight):
        trained.settings = settings.model_copy(update={"feature_weight": weight})
        with torch.no_grad():
            return float(trained.encoder_loss(encoder, images))

    try:
        none, once, twice = loss(0), loss(1), loss(2)
    finally:
        trained.settings = settings
    assert 0 < none < once
    assert twice - once == pytest.approx(once - none, rel=1e-4)


def test_what_cannot_be_learnt_from_is_said_with_its_own_settings(small_images):
    images, validation = small_images.train, small_images.validation
    with pytest.raises(TooFewImages, match=r"7 images .* batch of 8.*models\.anogan\.batch_size"):
        create().fit(images[:7], validation, RunOptions(seed=0))
    with pytest.raises(UserError, match=r"64 px are smaller than models\.anogan\.image_size, 128"):
        create(image_size=128).fit(images, validation, RunOptions(seed=0))
    with pytest.raises(UserError, match=r"one colour, \(7, 8, 9\)"):
        create().fit(np.full_like(images, 0) + np.array([7, 8, 9], np.uint8), validation, RunOptions(seed=0))
    with pytest.raises(UserError, match=r"diverged in epoch 1.*models\.anogan\.learning_rate"):
        create(learning_rate=1e30).fit(images, validation, RunOptions(seed=0))


@pytest.mark.parametrize(("key", "value"), [("image_size", 48), ("colour", "grey"), ("feature_weight", -1)])
def test_settings_that_it_cannot_have_are_refused(key, value):
    with pytest.raises(UserError, match=key):
        create(**{key: value})


def test_grey_images_are_learnt_from_as_grey(small_images):
    train, validation = small_images.train[:16, ::2, ::2], small_images.validation[:, ::2, ::2]

    def learnt(colour, *images):
        detector = create(colour=colour)
        detector.fit(*images, RunOptions(seed=0))
        return bytes_of(detector)

    greyed = [network_images(part, 32, "grey3").permute(0, 2, 3, 1).numpy() for part in (train, validation)]
    assert learnt("grey3", train, validation) == learnt("rgb", *greyed) != learnt("rgb", train, validation)

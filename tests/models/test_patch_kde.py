"""patch_kde: small defects are seen where they are, whatever the lamp, and in parts of any position."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from support.parts import photo, positions
from support.small_models import GIVEN

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.models import patch_kde
from mlproject.models.components import density_fit, lamps, patch_detector
from mlproject.models.components.descriptor_grid import as_first
from mlproject.models.components.patch_detector import bounded
from mlproject.models.components.pooled_density import PooledDensity
from mlproject.models.patch_kde import CONTEXT, FINE, TEXTURE, PatchKDE
from mlproject.training.run_options import RunOptions

SETTINGS = GIVEN["models"]["patch_kde"] | {"image_size": 64, "part_size": 64}


def trained(train, validation, **changed) -> PatchKDE:
    detector = models.create("patch_kde", SETTINGS | changed)
    detector.fit(train, validation, RunOptions(seed=0))
    detector.calibrate(validation)
    return detector


@pytest.fixture(scope="module")
def fitted(small_images):
    return trained(small_images.train, small_images.validation)


def test_it_finds_the_samples_largest_defects(fitted, small_images):
    """.90 at 64 px from 48 good images; PCA's floor is .7."""
    assert roc_auc_score(small_images.labels, fitted.score(small_images.test).scores) > 0.85


@pytest.mark.parametrize("lamp", [0.9, 1.1])
def test_another_lamp_hardly_changes_the_auroc(fitted, small_images, lamp):
    """At most 4 of 300 pairs of a good and a defective image change places; how many depends on rounding."""
    relit = np.clip(small_images.test * lamp, 0, 255).round().astype(np.uint8)
    before, after = (
        roc_auc_score(small_images.labels, fitted.score(x).scores) for x in (small_images.test, relit)
    )
    assert abs(before - after) < 4.5 / 300


def discs(count, seed, defective=False, slope=0.0):
    """(n, 64, 64, 3) uint8 photos of a dark disc on a bright, even background, some with a faint spot."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    photos = np.full((count, 64, 64), 200.0)
    photos[:, (x - 32) ** 2 + (y - 32) ** 2 < 20**2] = 90
    for image in photos[: count * defective]:
        row, column = random.integers(24, 38, 2)
        image[row : row + 4, column : column + 4] += 12
    photos = photos * random.uniform(0.99, 1.01, (count, 1, 1)) * (1 + slope * np.linspace(-1, 1, 64))
    photos = photos + random.normal(0, 1, photos.shape)
    return np.repeat(photos.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=3)


@pytest.mark.parametrize("slope", [-0.1, 0.1])
def test_a_lamp_that_slopes_changes_no_rank(slope):
    """Where good images are all alike, a lamp's slope once drowned every defect."""
    detector = trained(discs(30, 0), discs(10, 1))
    labels = np.repeat([0, 1], 15)
    aurocs = []
    for lamp in (0.0, slope):
        images = np.concatenate([discs(15, 2, slope=lamp), discs(15, 3, defective=True, slope=lamp)])
        aurocs.append(roc_auc_score(labels, detector.score(images).scores))
    assert aurocs[0] > 0.95
    assert aurocs[1] > aurocs[0] - 0.01


def test_the_map_is_highest_at_the_spot(fitted, small_images):
    good = small_images.validation[:4]
    spoilt = good.copy()
    spoilt[:, 40:44, 20:24] = (230, 20, 20)
    maps = fitted.score(spoilt).maps
    rows, columns = np.unravel_index(maps.reshape(4, -1).argmax(axis=1), (64, 64))
    assert (abs(rows - 42) <= 6).all()
    assert (abs(columns - 22) <= 6).all()


def test_a_place_odd_to_both_grids_is_higher_on_the_map_than_one_far_odder_to_the_coarse_grid_alone():
    fine, coarse = torch.tensor([[3.0, 0.3, 0.0, 1.0, -1.0]]), torch.tensor([[3.0, 100.0, 0.0, 1.0, -1.0]])
    both, alone, neither, usual, below = (bounded(fine) + bounded(coarse)).div(2)[0].tolist()
    assert both > alone
    assert (neither, usual, below) == pytest.approx((0, 1, -1))


def test_images_that_were_left_out_score_about_as_new_good_ones(fitted, small_images):
    new = fitted.score(small_images.validation).scores
    assert fitted.left_out_scores.shape == (len(small_images.train),)
    assert 0.6 < fitted.left_out_scores.mean() / new.mean() < 1.4


def table(places, mark):
    """(n, 128, 128, 3) uint8 photos of a bar in these places, with sensor noise; with or without its mark."""
    random = np.random.default_rng(len(places))
    photos = np.stack([photo(*place, mark=mark).permute(1, 2, 0).numpy() for place in places])
    return (np.clip(photos + random.normal(0, 0.01, photos.shape), 0, 1) * 255).astype(np.uint8)


def test_a_part_in_any_position_is_aligned_and_its_defect_lies_in_the_photo_where_it_is(tmp_path):
    detector = trained(table(positions(20), True), table(positions(6, seed=3), True))
    assert detector.alignment is not None
    places = positions(6, seed=8)
    good, defective = (detector.score(table(places, mark)) for mark in (True, False))
    assert good.scores.max() < defective.scores.min()
    truth = np.abs(table(places, True).astype(int) - table(places, False)).sum(axis=3) > 60
    for anomaly, place in zip(defective.maps, truth.reshape(6, 64, 2, 64, 2).any(axis=(2, 4)), strict=True):
        row, column = np.unravel_index(anomaly.argmax(), anomaly.shape)
        assert place[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5].any()
    detector.save(tmp_path / "model")
    again = models.load(tmp_path / "model").score(table(places, False))
    assert again.maps.tobytes() == defective.maps.tobytes()
    with pytest.raises(UserError, match="cannot be exported to ONNX where it aligns parts"):
        detector.traced(torch.from_numpy(table(places, False)))


def test_an_aligned_part_gets_as_many_pixels_as_asked_for_but_not_more_than_enlarged_twice():
    train, validation = table(positions(12), True), table(positions(4, seed=3), True)
    sizes = []
    for part_size in (64, 128, 1024):
        alignment = trained(train, validation, part_size=part_size, context=False).alignment
        sizes.append((alignment.rows * alignment.columns) ** 0.5)
    assert sizes[0] == pytest.approx(64, rel=0.15)
    assert sizes[1] == pytest.approx(128, rel=0.15) or sizes[1] == sizes[2]
    scale = sizes[2] / (2 * 128 * (alignment.half_length * alignment.half_width) ** 0.5)
    assert scale == pytest.approx(2, rel=0.1)


def test_parts_in_a_fixed_position_are_left_as_they_are(fitted):
    assert fitted.alignment is None


def grain(count, seed, defective=False):
    """(n, 64, 64, 3) uint8 photos of upright grain that lies elsewhere in each, some with a faint spot."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(0, 1, (count, 64, 64)), (0, 12, 3), mode="wrap")
    photos = 120 + 30 * field / field.std()
    for image in photos[: count * defective]:
        row, column = random.integers(16, 44, 2)
        image[row : row + 6, column : column + 6] += 18
    photos = photos + random.normal(0, 1, photos.shape)
    return np.repeat(photos.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=3)


def test_a_texture_without_order_is_compared_with_all_places_and_its_defects_are_seen_better(tmp_path):
    test = np.concatenate([grain(24, 2), grain(24, 3, defective=True)])
    found = {}
    for window in ("near", "all", "auto"):
        found[window] = trained(grain(12, 0), grain(6, 1), window=window, context=False)
    near, everywhere, chosen = (detector.score(test) for detector in found.values())
    assert chosen.maps.tobytes() == everywhere.maps.tobytes()
    labels = np.repeat([0, 1], 24)
    aurocs = [roc_auc_score(labels, scored.scores) for scored in (near, everywhere)]
    assert aurocs[1] > aurocs[0] + 0.05  # .81 and .70
    found["auto"].save(tmp_path / "model")
    assert models.load(tmp_path / "model").score(test).scores.tobytes() == chosen.scores.tobytes()


def test_a_part_is_compared_with_what_is_near(fitted):
    assert not any(isinstance(density, PooledDensity) for density in fitted.densities)
    assert fitted.grids == (FINE, CONTEXT)


def test_a_texture_has_a_coarse_grid_of_its_own_also_when_it_was_saved(tmp_path):
    detector = trained(grain(12, 0), grain(6, 1), window="auto")
    assert detector.grids == (FINE, TEXTURE)
    detector.save(tmp_path / "model")
    again, test = models.load(tmp_path / "model"), grain(4, 2)
    assert again.measure(test).maps.tobytes() == detector.measure(test).maps.tobytes()
    detector.fit(discs(12, 0), discs(6, 1), RunOptions(seed=0))
    assert detector.grids == (FINE, CONTEXT)


def test_a_saved_model_keeps_its_grids_when_those_of_new_models_change(
    fitted, small_images, tmp_path, monkeypatch
):
    fitted.save(tmp_path / "model")
    monkeypatch.setattr(patch_kde, "CONTEXT", replace(CONTEXT, pooling=4.0))
    test = small_images.test[:8]
    again = models.load(tmp_path / "model")
    assert again.measure(test).maps.tobytes() == fitted.measure(test).maps.tobytes()


def test_a_texture_that_was_saved_without_its_grids_has_those_of_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(patch_kde, "TEXTURE", as_first(CONTEXT))
    monkeypatch.setattr(patch_kde, "FINE", as_first(FINE))
    detector = trained(grain(12, 0), grain(6, 1), window="all")
    detector.save(tmp_path / "model")
    weights = tmp_path / "model/weights.safetensors"
    arrays = load_file(weights)
    save_file(
        {
            name: array
            for name, array in arrays.items()
            if not name.startswith(("grid_", "scales_", "texture_", "faint_"))
        },
        weights,
    )
    description = tmp_path / "model/model.json"
    saved = json.loads(description.read_text())
    del saved["settings"]["window"]  # nor was there a window, before that
    description.write_text(json.dumps(saved))
    monkeypatch.undo()
    again, test = models.load(tmp_path / "model"), grain(4, 2)
    assert again.measure(test).maps.tobytes() == detector.measure(test).maps.tobytes()


def test_grids_that_were_saved_without_their_scales_have_those_of_then(tmp_path, monkeypatch, small_images):
    monkeypatch.setattr(patch_kde, "FINE", as_first(FINE))
    monkeypatch.setattr(patch_kde, "CONTEXT", as_first(CONTEXT))
    monkeypatch.setattr(lamps.Usual.__init__, "__defaults__", (False,))  # nor did they know an offset
    detector = trained(small_images.train[:12], small_images.validation)
    detector.save(tmp_path / "model")
    weights = tmp_path / "model/weights.safetensors"
    later = ("scales_", "texture_", "faint_", "usual_offset")
    kept = {name: array for name, array in load_file(weights).items() if not name.startswith(later)}
    save_file(kept, weights)
    monkeypatch.undo()
    again, test = models.load(tmp_path / "model"), small_images.test[:8]
    assert again.grids == detector.grids
    assert again.measure(test).maps.tobytes() == detector.measure(test).maps.tobytes()


def test_too_few_images_are_refused(small_images):
    with pytest.raises(UserError, match="3 training images"):
        trained(small_images.train[:2], small_images.validation)


def test_parts_that_must_be_aligned_and_are_not_there_are_refused():
    with pytest.raises(UserError, match=r"align: template needs photos of one part .* Allowed: auto, none"):
        trained(grain(12, 0), grain(6, 1), align="template")


def test_the_bank_is_small_on_disk(fitted, small_images):
    """At 256 px sixteen times as many cells: 64 MB for 200 images."""
    bytes_an_image = sum(array.nbytes for array in fitted.state().values()) / len(small_images.train)
    assert bytes_an_image * 16 * 200 < 64e6 * 1.6  # the part that does not grow with the images weighs here


def close(before, after, share=0.01):
    """Say whether scores differ by less than a share of their mean: rounding to 8 bits, done twice."""
    return np.abs(after - before).max() < share * np.abs(before).mean()


def test_images_added_and_taken_out_again_leave_the_scores(fitted, small_images):
    n = len(small_images.train)
    more = fitted.extended(small_images.validation, np.ones(n, bool))
    assert len(more.left_out_scores) == n + len(small_images.validation)
    again = more.extended(small_images.train[:0], np.arange(len(more.left_out_scores)) < n)
    assert close(fitted.left_out_scores, again.left_out_scores)
    before, after = (detector.measure(small_images.test) for detector in (fitted, again))
    assert close(before.parts["position_density"], after.parts["position_density"])
    assert np.abs(after.maps - before.maps).max() < 0.05


@pytest.fixture(scope="module")
def texture():
    """Of 2,048 vectors 2,000 are kernels, of 12 images' 3,072 as many."""
    detector = trained(grain(12, 0)[:8], grain(6, 1), window="all", context=False)
    assert isinstance(detector.densities[0], PooledDensity)
    return detector


def test_images_added_to_a_texture_and_taken_out_again_leave_every_score_as_it_was(texture, tmp_path):
    test = grain(12, 2)
    more = texture.extended(grain(6, 1), np.ones(8, bool))
    assert len(more.left_out_scores) == 14
    assert more.measure(test).maps.tobytes() != texture.measure(test).maps.tobytes()
    more.save(tmp_path / "model")
    again = models.load(tmp_path / "model").extended(test[:0], np.arange(14) < 8)
    assert again.measure(test).maps.tobytes() == texture.measure(test).maps.tobytes()
    assert again.left_out_scores.tobytes() == texture.left_out_scores.tobytes()


def test_an_extended_texture_scores_about_as_one_fitted_to_all_images_by_the_same_whitening(
    texture, monkeypatch
):
    """Rounding decides which of nearly equal vectors become kernels, and so some per cent of a score."""
    extended = texture.extended(grain(12, 0)[8:], np.ones(8, bool))
    monkeypatch.setattr(density_fit, "whitening", lambda *_: texture.densities[0].projection)
    monkeypatch.setattr(PatchKDE, "_luminance", lambda *_: texture.usual.luminance[None])
    whole = trained(grain(12, 0), grain(6, 1), window="all", context=False)
    test = np.concatenate([grain(24, 2), grain(24, 3, defective=True)])
    before, after, parent = (d.measure(test).parts["position_density"] for d in (whole, extended, texture))
    assert close(before, after, 0.2)
    assert not close(before, parent, 0.4)
    labels = np.repeat([0, 1], 24)
    assert roc_auc_score(labels, after) == pytest.approx(roc_auc_score(labels, before), abs=0.02)
    assert extended.left_out_scores.mean() == pytest.approx(whole.left_out_scores.mean(), rel=0.02)


def test_of_many_images_of_a_texture_the_kernels_are_stored_alone_and_score_the_same(texture, monkeypatch):
    """As earlier releases stored them of few images too."""
    monkeypatch.setattr(density_fit, "MOST_STORED", 7)
    detector = trained(grain(12, 0)[:8], grain(6, 1), window="all", context=False)
    assert detector.state()["density_0.kernels"].shape[-1] == 2000
    assert detector.measure(grain(4, 2)).maps.tobytes() == texture.measure(grain(4, 2)).maps.tobytes()
    with pytest.raises(UserError, match="more than 7 are too many, and earlier releases stored fewer"):
        detector.extended(grain(1, 3), np.ones(8, bool))


@pytest.mark.parametrize(("kernels", "share"), [(100, 0.01), (20, 0.15)])
def test_an_extended_model_scores_as_one_fitted_to_all_images_by_the_same_whitening(
    kernels, share, small_images, monkeypatch
):
    """With 20 each place chooses among the looks of 48 images, and rounding decides between equals."""
    monkeypatch.setattr(density_fit, "KERNELS", kernels)
    some, train = trained(small_images.train[:32], small_images.validation), small_images.train
    extended = some.extended(train[32:], np.ones(32, bool))
    projections = iter([density.projection for density in some.densities])
    monkeypatch.setattr(density_fit, "whitening", lambda *_: next(projections))
    usual = torch.zeros(1) if some.usual is None else some.usual.luminance
    monkeypatch.setattr(PatchKDE, "_luminance", lambda *_: usual[None])
    whole = trained(train, small_images.validation)
    before, after, parent = (
        d.measure(small_images.test).parts["position_density"] for d in (whole, extended, some)
    )
    assert close(before, after, share)
    assert not close(before, parent, 2 * share)
    assert extended.left_out_scores.mean() == pytest.approx(whole.left_out_scores.mean(), rel=0.001)


def test_what_was_odd_is_usual_once_it_is_added_and_odd_again_once_it_is_taken_out(fitted, small_images):
    spoilt = small_images.validation[:6].copy()
    spoilt[:, 40:44, 20:24] = (230, 20, 20)
    n = len(small_images.train)
    more = fitted.extended(spoilt[:5], np.ones(n, bool))
    less = more.extended(spoilt[:0], np.arange(n + 5) < n)
    before, known, after = (detector.measure(spoilt[5:]).parts for detector in (fitted, more, less))
    (name,) = before
    assert known[name] < 0.5 * before[name]
    assert after[name] == pytest.approx(before[name], rel=0.01)


def test_an_extended_model_is_saved_whole(fitted, small_images, tmp_path):
    extended = fitted.extended(small_images.validation[:2], np.arange(len(small_images.train)) != 3)
    extended.calibrate(small_images.validation[2:])
    extended.save(tmp_path / "model")
    again = models.load(tmp_path / "model")
    scores = [detector.score(small_images.test).scores for detector in (extended, again)]
    assert scores[0].tobytes() == scores[1].tobytes()
    further = again.extended(small_images.validation[2:3], np.ones(len(small_images.train) + 1, bool))
    assert len(further.left_out_scores) == len(small_images.train) + 2


def test_three_images_must_stay(fitted, small_images):
    with pytest.raises(UserError, match="3 training images at least, 2 would be left"):
        fitted.extended(small_images.train[:0], np.arange(len(small_images.train)) < 2)


def test_of_many_images_the_looks_that_count_are_stored_alone_and_score_the_same(small_images, monkeypatch):
    monkeypatch.setattr(density_fit, "KERNELS", 20)
    all_stored = trained(small_images.train, small_images.validation)
    monkeypatch.setattr(density_fit, "MOST_STORED", 47)
    few_stored = trained(small_images.train, small_images.validation)
    assert few_stored.state()["density_0.kernels"].shape[-1] == 20
    scores = [
        d.measure(small_images.test).parts["position_density"].tobytes() for d in (all_stored, few_stored)
    ]
    assert scores[0] == scores[1]
    with pytest.raises(UserError, match="more than 47 are too many"):
        few_stored.extended(small_images.train[:1], np.ones(len(small_images.train), bool))


def test_a_model_that_is_one_whole_cannot_be_extended(small_images):
    pca = models.create("pca", GIVEN["models"]["pca"])
    with pytest.raises(UserError, match="pca cannot be extended"):
        pca.extended(small_images.train[:1], np.ones(1, bool))


def test_of_many_training_images_some_are_described_and_these_score_the_others(small_images, monkeypatch):
    train, validation, test = small_images.train, small_images.validation, small_images.test
    monkeypatch.setattr(density_fit, "MOST_STORED", 10)
    monkeypatch.setattr(patch_detector, "MOST_DESCRIBED", 20)
    detector = trained(train, validation)
    others = np.isclose(detector.left_out_scores, detector.measure(train).parts["position_density"], 1e-6)
    assert (others.sum(), len(others)) == (28, 48)
    few = trained(train[~others], validation)
    assert detector.left_out_scores[~others].tobytes() == few.left_out_scores.tobytes()
    assert detector.measure(test).maps.tobytes() == few.measure(test).maps.tobytes()
    with pytest.raises(UserError, match="all its 48 training images: more than 10 are too many"):
        detector.extended(train[:1], np.ones(48, bool))

"""The supervised CNN: what it needs, what it refuses, what it learns from."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from support.pipeline_project import draw
from torch import nn

from mlproject import models
from mlproject.core import params
from mlproject.core.errors import TooFewImages, UserError
from mlproject.models.cnn import CNN, for_weights_and_epoch
from mlproject.models.components.detector import Labelled
from mlproject.training.run_options import RunOptions

TINY = params.load_file()["models"]["cnn"] | {
    "image_size": 32, "filters": [4, 4], "hidden": 8, "epochs": 2, "patience": 2,
}  # fmt: skip


def images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def trained(**changes):
    detector = models.create("cnn", TINY | changes)
    detector.fit(
        images(8),
        images(4, 1),
        RunOptions(seed=0),
        labelled=Labelled(images(6, 2), np.array([0, 0, 0, 1, 1, 1])),
    )
    detector.calibrate(images(4, 1))
    return detector


def test_learns_defects_from_labels():
    """Floor well above chance on bars across discs, tested on images it was not shown; seed 0: 1.00."""
    rng = np.random.default_rng(0)

    def photos(n, defective):
        return np.stack([np.repeat(draw(rng, defective)[0][:, :, None], 3, axis=2) for _ in range(n)])

    pool, test = (np.concatenate([photos(n, False), photos(n, True)]) for n in (12, 25))
    labels = np.repeat([0, 1], 12)
    settings = TINY | {"image_size": 64, "filters": [8, 16, 16], "hidden": 16, "epochs": 30, "patience": 30}
    detector = models.create("cnn", settings)
    detector.fit(photos(30, False), photos(8, False), RunOptions(seed=0), labelled=Labelled(pool, labels))
    detector.calibrate(photos(8, False))
    scores = detector.score(test).scores
    assert np.isfinite(scores).all()
    assert roc_auc_score(np.repeat([0, 1], 25), scores) >= 0.9


@pytest.mark.parametrize("labelled", [None, Labelled(images(3), np.zeros(3, int))])
def test_without_a_labelled_defect_there_is_nothing_to_learn(labelled):
    with pytest.raises(TooFewImages, match="no defective image"):
        models.create("cnn", TINY).fit(images(8), images(4), RunOptions(seed=0), labelled=labelled)


@pytest.mark.parametrize(("weighting", "expected"), [(True, 11 / 3), (False, 1)])
def test_a_defective_image_weighs_as_many_times_as_there_are_more_good_ones(monkeypatch, weighting, expected):
    """Eight good training images and three good labelled ones, against three defective ones."""
    weights = []
    loss = CNN.loss

    def watched(model, network, *drawn, weight):
        weights.append(weight.item())
        return loss(model, network, *drawn, weight=weight)

    monkeypatch.setattr(CNN, "loss", watched)
    trained(class_weighting=weighting)
    assert weights
    assert set(weights) == {weights[0]}
    assert weights[0] == pytest.approx(expected)


def test_the_weight_is_that_of_the_defective_images():
    cnn, weight = trained(), torch.tensor(3.0)
    undecided = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1)).eval()
    nn.init.zeros_(undecided[1].weight)
    nn.init.zeros_(undecided[1].bias)
    batch = torch.rand(1, 3, 32, 32)
    good, defective = (
        cnn.loss(undecided, batch, torch.tensor([label]), weight=weight).item() for label in (0.0, 1.0)
    )
    assert good == pytest.approx(np.log(2))
    assert defective == pytest.approx(3 * np.log(2))


def test_images_too_small_for_the_network_are_refused():
    with pytest.raises(UserError, match="image_size 93 is too small for 5 unpadded convolutions"):
        models.create("cnn", TINY | {"image_size": 93, "filters": [4] * 5}, "params.yaml: models.cnn")
    models.create("cnn", TINY | {"image_size": 94, "filters": [4] * 5})


def test_a_fifth_of_the_labels_chooses_the_epoch_where_there_are_enough():
    labels = np.array([0] * 10 + [1] * 4)
    learn, choose = for_weights_and_epoch(labels)
    assert choose.tolist() == [4, 9, 10, 11, 12, 13]  # two of ten good; four defects are too few to spare one
    assert sorted(learn.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]


def test_an_image_and_its_copies_are_learnt_from_or_choose_the_epoch_together():
    labels = np.array([0] * 9 + [1] * 12)
    originals = np.array([*"abcdabcde", *"ABCDEFGEEHIJ"])
    learn, choose = for_weights_and_epoch(labels, originals)
    assert choose.tolist() == [8, 13, 16, 17, 20]  # the fifth different image of each class, and the tenth
    assert set(originals[learn]) & set(originals[choose]) == set()
    assert sorted([*learn, *choose]) == list(range(21))


def test_where_no_image_is_a_copy_the_labels_are_divided_as_without_that_knowledge():
    labels = np.random.default_rng(0).integers(0, 2, 60)
    originals = np.array([f"test/good/{number:03d}.png" for number in range(60)])
    for known, unknown in zip(
        for_weights_and_epoch(labels, originals), for_weights_and_epoch(labels), strict=True
    ):
        assert known.tolist() == unknown.tolist()


def test_training_images_of_one_colour_are_survived():
    detector = models.create("cnn", TINY)
    grey = np.full((8, 32, 32, 3), 128, np.uint8)
    detector.fit(grey, grey[:2], RunOptions(seed=0), labelled=Labelled(images(2), np.array([0, 1])))
    detector.calibrate(grey[:2])
    assert np.isfinite(detector.score(images(4)).scores).all()


@pytest.mark.parametrize(("setting", "other"), [("class_weighting", False), ("augment", True)])
def test_each_setting_changes_what_is_learnt(setting, other):
    first, second = trained(), trained(**{setting: other})
    assert not np.array_equal(first.score(images(4)).scores, second.score(images(4)).scores)


def test_the_map_has_the_networks_size_and_no_reconstruction_is_claimed():
    scored = trained().score(images(5))
    assert scored.maps.shape == (5, 32, 32)
    assert (scored.maps >= 0).all()
    assert scored.reconstructions is None


def test_the_map_is_grad_cam():
    """The gradient that is written out is autograd's, of an odd side too, whose last row no pooling sees."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    detector = trained(image_size=37)
    pixels = torch.rand((3, 3, 37, 37), generator=torch.Generator().manual_seed(0))
    log_odds, maps = detector._predict(pixels)
    features = detector.features(pixels).detach().requires_grad_()
    by_head = detector.head(features)[:, 0]
    (gradient,) = torch.autograd.grad(by_head.sum(), features)
    places = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).relu()
    expected = F.interpolate(places, (37, 37), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(log_odds, by_head)
    torch.testing.assert_close(maps, expected)
    assert maps.max() > 0

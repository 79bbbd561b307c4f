"""The paper's parameter counts, and the contract that every detector keeps, over all that are listed."""

import copy
import json
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score
from support.small_models import defaults
from support.small_models import detector_settings as small

from benchmarks import other_processors
from mlproject import models
from mlproject.commands.preset import presets
from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.data import tensors
from mlproject.models.components import detector as base
from mlproject.models.components import noise
from mlproject.registry import gate
from mlproject.training.run_options import RunOptions

PAPER = presets()["paper"]["models"]
DEFAULTS = params.load_file()["models"]
# beside what params.yaml has; fewer epochs than the floor below asks for
SKIPS = {"ni_cae, skips": {"skips": True, "epochs": 10}}
# what a GAN gets from 48 images says little of it (.62 here); test_anogan.py has what it does learn
FLOORS = {"anogan": 0.55}


def fit(detector, small_images, train=None, seed=0):
    """Train it; a supervised one is shown every other test image, as the labelled pool would."""
    pool = slice(None, None, 2)
    labelled = base.Labelled(small_images.test[pool], small_images.labels[pool])
    detector.fit(
        small_images.train if train is None else train,
        small_images.validation,
        RunOptions(seed),
        labelled if detector.supervised else None,
    )
    detector.calibrate(small_images.validation)
    return detector


@pytest.fixture(scope="module", params=[*models.names(), *SKIPS])
def fitted(request, small_images):
    """Every detector, trained for real on small sample images."""
    name = request.param.partition(",")[0]
    return fit(models.create(name, small(name) | SKIPS.get(request.param, {})), small_images)


@pytest.mark.parametrize(("name", "count"), [("kd_cae", 333_955), ("ni_cae", 191_481), ("cnn", 622_753)])
def test_parameter_counts_are_the_papers(name, count):
    assert models.create(name, PAPER[name]).parameter_count() == count


def test_skip_connections_need_no_parameter_more():
    assert models.create("ni_cae", PAPER["ni_cae"] | {"skips": True}).parameter_count() == 191_481


@pytest.mark.parametrize("injected", [None, DEFAULTS["ni_cae"]["noise"] | {"target": "noisy"}])
def test_skip_connections_without_noise_to_remove_are_refused(injected):
    with pytest.raises(UserError, match=r"learns to copy its input.* Set skips: false, or a noise"):
        models.create("ni_cae", DEFAULTS["ni_cae"] | {"skips": True, "noise": injected})


def test_paper_code_sizes():
    """KD-CAE: 8 × 8 × 128 at 128 px; NI-CAE: 8 × 8 positions of 512 at 256 px."""
    assert models.create("kd_cae", PAPER["kd_cae"]).encoder(torch.zeros(1, 3, 128, 128)).shape == (
        1,
        128,
        8,
        8,
    )
    assert models.create("ni_cae", PAPER["ni_cae"]).encoder(torch.zeros(1, 1, 256, 256)).shape == (
        1,
        512,
        8,
        8,
    )


@pytest.mark.parametrize("name", models.names())
def test_every_model_has_an_entry_in_params(name):
    models.create(name, DEFAULTS[name])


def test_scores_are_finite_float64_and_not_constant(fitted, small_images):
    scored = fitted.score(small_images.test)
    n = len(small_images.test)
    assert scored.scores.shape == (n,)
    assert scored.scores.dtype == np.float64
    assert np.isfinite(scored.scores).all()
    assert np.unique(scored.scores).size > n // 2
    assert set(scored.parts) == set(fitted.part_names)
    assert scored.maps.ndim == 3
    assert len(scored.maps) == n
    assert np.isfinite(scored.maps).all()


def test_learns_defects_from_good_images_alone(fitted, small_images):
    """Floor well above chance on brackets of 64 px with large defects: KD-CAE .82, NI-CAE .80, PCA .99."""
    if fitted.supervised:
        pytest.skip("learns from labels, too few of these images: tests/models/test_cnn.py has its floor")
    name = type(fitted).__module__.rsplit(".", 1)[-1]
    if name == "vae":
        pytest.skip("as long a training as kd_cae's: tests/models/test_vae.py has the floor of a short one")
    if getattr(fitted.settings, "skips", False):
        pytest.skip("trained too briefly: test_skip_connections_do_not_copy_the_noise has what it must learn")
    auroc = roc_auc_score(small_images.labels, fitted.score(small_images.test).scores)
    assert auroc >= FLOORS.get(name, 0.7)


@pytest.mark.parametrize("fitted", SKIPS, indirect=True)
def test_skip_connections_do_not_copy_the_noise(fitted, small_images):
    """A copy of its input would be as far from the clean image as the input is."""
    clean = tensors.network_images(small_images.validation, 64, "grey").float() / 255
    noisy = noise.structured(clean, 0.2, torch.Generator().manual_seed(0)).clamp(0, 1)
    with torch.inference_mode():
        made = fitted.encode_decode(noisy)[1]
    assert (made - clean).square().mean() < 0.75 * (noisy - clean).square().mean()


def test_load_of_save_scores_identically(fitted, small_images, tmp_path):
    fitted.save(tmp_path / "model")
    before, after = (
        fitted.score(small_images.test[:9]),
        models.load(tmp_path / "model").score(small_images.test[:9]),
    )
    assert before.scores.tobytes() == after.scores.tobytes()
    assert models.load(tmp_path / "model").heat_scale == fitted.heat_scale
    assert before.maps.tobytes() == after.maps.tobytes()
    assert (before.reconstructions is None) == (after.reconstructions is None)
    if before.reconstructions is not None:
        assert np.array_equal(before.reconstructions, after.reconstructions)


@pytest.fixture(scope="module")
def older_processor():
    if platform.machine() != "x86_64":
        pytest.skip("only an x86 processor can be told to use an older one's instructions")
    with other_processors.process("SSE") as process:
        yield process


def test_on_another_kind_of_processor_it_passes_the_gates_same_scores(
    fitted, small_images, tmp_path, older_processor
):
    fitted.save(tmp_path / "model")
    here = fitted.score(small_images.test).scores
    there = older_processor.submit(other_processors.scores, tmp_path / "model", small_images.test).result()
    if fitted.name == "patch_kde":
        assert (here != there).any()  # the instructions are others
    check = gate.same_scores(here, there, params.load("promote", params.Promote))
    assert check.passed, check.said


def test_saved_folder_holds_no_pickle(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]
    json.loads((tmp_path / "model" / "model.json").read_text())


def test_a_score_does_not_depend_on_its_batch(fitted, small_images):
    images = small_images.test
    together = fitted.score(images[::-1])
    for count in (1, 3, 32):
        apart = [fitted.score(images[start : start + count]) for start in range(0, len(images), count)]
        scores = np.concatenate([scored.scores for scored in apart])
        assert scores.tobytes() == together.scores[::-1].tobytes()
        assert np.array_equal(np.concatenate([scored.maps for scored in apart]), together.maps[::-1])


def test_a_score_does_not_depend_on_the_number_of_threads(fitted, small_images):
    """The CPUs of the machine that scores are not those of the one that set the threshold."""
    before = torch.get_num_threads()
    scores = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            scores.append(fitted.score(small_images.test[:7]).scores.tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert scores == [scores[0]] * 3


def test_same_seed_same_bytes_other_seed_other_weights(small_images, tmp_path):
    def saved(name, seed):
        settings = small(name)
        settings |= {"epochs": 2} if "epochs" in settings else {}
        settings |= {} if models.detector_class(name).supervised else {"image_size": 32}
        detector = fit(models.create(name, settings), small_images, small_images.train[:20], seed)
        detector.save(tmp_path / "model")
        return (tmp_path / "model" / "weights.safetensors").read_bytes(), detector.parameter_count()

    for name in models.names():
        weights, learnt = saved(name, 0)
        assert weights == saved(name, 0)[0]
        if learnt:  # by gradient descent, from weights drawn at random
            assert weights != saved(name, 1)[0]


def test_noise_changes_what_is_learnt(small_images):
    def weights(noise):
        detector = models.create("ni_cae", small("ni_cae") | {"epochs": 1, "noise": noise})
        detector.fit(small_images.train[:20], small_images.validation, RunOptions(seed=0))
        return np.concatenate([array.ravel() for array in detector.state().values()])

    gaussian = {"kind": "gaussian", "variance": 0.01, "share": 1.0, "target": "clean"}
    assert not np.array_equal(weights(None), weights(gaussian))
    assert not np.array_equal(weights(gaussian), weights(gaussian | {"target": "noisy"}))


@pytest.mark.parametrize("redraw", [False, True])
def test_the_papers_noise_is_one_sample_for_the_whole_training(redraw, small_images):
    """Eq. 7 corrupts a tenth of the images once; drawn again, the network sees other inputs in each epoch."""
    shown = []

    class Watched(models.detector_class("ni_cae")):
        def draw(self, batch, generator, training):
            images, target = super().draw(batch, generator, training)
            if training:
                shown[-1].update(hash(one.numpy().tobytes()) for one in images)
            return images, target

    gaussian = {"kind": "gaussian", "variance": 0.01, "share": 0.5, "redraw": redraw, "target": "clean"}
    settings = small("ni_cae") | {"epochs": 3, "noise": gaussian, "jitter": 0}
    detector = Watched(Watched.Parameters(**settings))
    run = RunOptions(seed=0, on_start=lambda: shown.append(set()), on_epoch=lambda epoch: shown.append(set()))
    detector.fit(small_images.train[:20], small_images.validation, run)
    first, second, third, _ = shown
    assert len(first) == 20
    assert (first == second == third) is not redraw


def test_validation_images_are_shown_as_they_are():
    detector = models.create("kd_cae", small("kd_cae") | {"jitter": 0.2})
    images, generator = torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(0)
    assert all(torch.equal(shown, images) for shown in detector.draw(images, generator, training=False))
    assert not torch.equal(detector.draw(images, generator, training=True)[0], images)


def test_a_misspelt_setting_names_the_nearest():
    settings = copy.deepcopy(DEFAULTS["kd_cae"])
    settings["bandwith"] = settings.pop("bandwidth")
    with pytest.raises(UserError, match="Did you mean bandwidth"):
        models.create("kd_cae", settings, "params.yaml: models.kd_cae")


@pytest.mark.parametrize("size", [32, 64, 100, 144])
@pytest.mark.parametrize("name", models.names())
def test_an_image_size_makes_a_network_or_is_refused_by_name(name, size, small_images):
    """What the settings allow can be trained and scores images; what cannot be is said before."""
    settings = defaults(name) | {"image_size": size} | {k: 1 for k in ("epochs",) if k in DEFAULTS[name]}
    try:
        detector = models.create(name, settings, f"params.yaml: models.{name}")
    except UserError as error:
        assert "image_size" in str(error)
        return
    detector = fit(detector, small_images, small_images.train[:20])
    assert len(detector.score(small_images.test[:2]).scores) == 2


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("name", models.names())
def test_good_images_of_one_colour_teach_that_colour_or_are_refused(name, grey):
    """No nonsense: whatever is of another colour lies above the threshold, nothing else does."""
    good = np.full((20, 96, 96, 3), grey, np.uint8)
    defective = good[:4].copy()
    defective[:, 30:60, 30:60] = (grey + 90) % 256
    labelled = base.Labelled(np.concatenate([good[:4], defective]), np.repeat([0, 1], 4))
    detector = models.create(
        name, small(name) | {k: 3 for k in ("epochs", "patience") if k in DEFAULTS[name]}
    )
    try:
        detector.fit(good, good[:5], RunOptions(seed=0), labelled=labelled if detector.supervised else None)
    except UserError as error:
        assert "of one colour" in str(error)
        return
    detector.calibrate(good[:5])
    scores = detector.score(labelled.images).scores
    assert np.isfinite(scores).all()
    threshold = detector.score(good[5:9]).scores.max()
    assert (scores > threshold).tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("kd_cae", {"image_size": 100}, "image_size 100 .* multiple of 16, such as 96 or 112"),
        ("ni_cae", {"image_size": 100}, "image_size 100 .* multiple of 8, such as 96 or 104"),
        ("ni_cae", {"image_size": 32, "filters": [4] * 6}, "image_size 32 .* multiple of 64, such as 64$"),
    ],
)
def test_an_image_size_that_the_poolings_do_not_divide_says_which_do(name, changed, words):
    with pytest.raises(UserError, match=words):
        models.create(name, DEFAULTS[name] | changed)


@pytest.mark.parametrize("name", ["cnn", "ni_cae"])
@pytest.mark.parametrize("filters", [[-1], [0, 4], [], [4] * 7])
def test_filters_that_make_no_network_are_refused(name, filters):
    with pytest.raises(UserError, match=rf"models.{name}.filters"):
        models.create(name, DEFAULTS[name] | {"filters": filters}, f"params.yaml: models.{name}")


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean kd_cae"):
        models.create("kd_cea", {})


def test_a_model_that_release_0_1_saved_still_scores(tmp_path):
    """KD-CAE had no density_weight, and no model a heat scale. Its weights are named as today's."""
    saved = Path(__file__).with_name("kd_cae_0_1.json")  # its model.json, as that release wrote it
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    today = models.create("kd_cae", json.loads(saved.read_text())["settings"] | {"density_weight": 1.0})
    today.fit(images[:4], images[4:], RunOptions(seed=0))
    today.save(tmp_path / "model")
    shutil.copy(saved, tmp_path / "model/model.json")

    old = models.load(tmp_path / "model")
    assert (old.settings.density_weight, old.heat_scale) == (1.0, None)
    assert (old.score(images).scores == old.combination.apply(today.measure(images).parts)).all()


def test_a_ni_cae_of_before_skip_connections_has_none(tmp_path, small_images):
    settings = small("ni_cae") | {"image_size": 32, "epochs": 1}
    today = fit(models.create("ni_cae", settings), small_images, small_images.train[:20])
    today.save(tmp_path / "model")
    description = tmp_path / "model/model.json"
    saved = json.loads(description.read_text())
    del saved["settings"]["skips"]
    description.write_text(json.dumps(saved))
    scores = models.load(tmp_path / "model").score(small_images.test[:9]).scores
    assert scores.tobytes() == today.score(small_images.test[:9]).scores.tobytes()


def test_a_setting_is_filled_in_only_where_a_release_had_none():
    """params.yaml itself must say everything."""
    for name in models.names():
        added = models.detector_class(name).added_settings
        assert {key: type(value) for key, value in added.items()} == {
            key: type(DEFAULTS[name][key]) for key in added
        }
        for key in added:
            with pytest.raises(UserError, match=f"{key} is missing"):
                models.create(name, {k: v for k, v in DEFAULTS[name].items() if k != key})


@pytest.fixture
def saved(tmp_path) -> Path:
    """The folder of a saved detector."""
    images = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    detector = models.create("pca", DEFAULTS["pca"] | {"image_size": 32, "components": 2})
    detector.restore({"map_mean": np.zeros((32, 32)), "map_spread": np.ones((32, 32)),
                      "mean": images[0].ravel(), "components": images[1:3].reshape(2, -1)})  # fmt: skip
    detector.save(tmp_path / "model")
    return tmp_path / "model"


def test_loading_a_folder_that_is_no_model_says_so(tmp_path):
    with pytest.raises(UserError, match=r"model\.json: not found"):
        models.load(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_named(saved, kept):
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"weights\.safetensors: is no readable weights file"):
        models.load(saved)


def test_weights_that_lack_an_array_are_named(saved):
    arrays = load_file(saved / "weights.safetensors")
    del arrays["components"]
    save_file(arrays, saved / "weights.safetensors")
    with pytest.raises(
        UserError, match=r"weights\.safetensors: does not fit model\.json \(no array 'components'\)"
    ):
        models.load(saved)


@pytest.mark.parametrize("key", ["model", "settings", "combination"])
def test_a_description_that_lacks_a_key_is_named(saved, key):
    description = json.loads((saved / "model.json").read_text())
    del description[key]
    (saved / "model.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=rf"model\.json: is incomplete: it has no {key}"):
        models.load(saved)

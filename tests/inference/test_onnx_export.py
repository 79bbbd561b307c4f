"""An exported file scores as the detector does: every listed model, every kind of map, real sample images."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.small_models import defaults

from mlproject import models
from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.data import tensors
from mlproject.inference import onnx_export
from mlproject.inference.onnx_steps import OnnxSteps
from mlproject.models.components import anomaly_maps
from mlproject.models.components import detector as base
from mlproject.models.components.anomaly_maps import MapSettings
from mlproject.models.components.kernel_density import GaussianKernelDensity
from mlproject.training.run_options import RunOptions

pytest_plugins = ["support.tracked_project"]

DEFAULTS = params.load_file()["models"]
SIDE = 64
SMALL = {"image_size": 32, "epochs": 2, "patience": 2, "components": 8}
SMALL |= {"context": False}  # patch_kde's second grid takes half a minute more, by the same steps
RELATIVE = 1e-4
# every other map has the values of params.yaml
MAPS = {
    "vae": {
        "kind": "gradient",
        "ignore_offset": False,
        "normalise": False,
        "smoothing": 0.7,
        "pooling": "mean",
    }
}
WINDOW = {"pretrained_patch_kde": "all"}  # where patch_kde compares with what is near
LINEAGE = {"name": "sample-bracket", "version": "3"}


def detector(name, small_images, skips=False, **map_settings) -> base.Detector:
    chosen = SMALL | {"image_size": 96} if models.detector_class(name).supervised else SMALL
    settings = {key: chosen.get(key, value) for key, value in defaults(name).items()}
    if name in WINDOW:
        settings["window"] = WINDOW[name]
    if skips:
        settings["skips"] = True
    if map_settings:
        settings["map"] = DEFAULTS[name]["map"] | map_settings
    made = models.create(name, settings)
    labelled = base.Labelled(small_images.test[::2], small_images.labels[::2]) if made.supervised else None
    made.fit(small_images.train[:24], small_images.validation, RunOptions(seed=0), labelled=labelled)
    made.calibrate(small_images.validation)
    return made


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write(path: Path, made: base.Detector, examples: np.ndarray) -> float:
    threshold = float(made.score(examples).scores[0])  # one of the scores: equal is good
    onnx_export.write(path, made, threshold, SIDE, examples, LINEAGE)
    return threshold


def outputs(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@pytest.mark.parametrize("name", models.names())
def test_every_model_scores_the_same_in_onnx_runtime(name, small_images, tmp_path):
    detector(name, small_images, **MAPS.get(name, {})).save(tmp_path / "saved")
    made, path = models.load(tmp_path / "saved"), tmp_path / "model.onnx"
    if type(made).traced is base.Detector.traced:
        with pytest.raises(UserError, match=f"{name} cannot be exported"):
            write(path, made, small_images.test)
        return
    threshold = write(path, made, small_images.test[:4])
    scored = made.score(small_images.test)
    found = outputs(path, small_images.test)
    np.testing.assert_allclose(found["score"], scored.scores, rtol=RELATIVE, atol=RELATIVE * abs(threshold))
    assert found["score"].dtype == np.float64
    np.testing.assert_allclose(found["anomaly_map"], scored.maps, atol=RELATIVE * np.abs(scored.maps).max())
    assert (found["threshold"] == threshold).all()
    assert (found["defective"] == (found["score"] > threshold)).all()
    alone = [outputs(path, small_images.test[i : i + 1])["score"][0] for i in range(3)]
    np.testing.assert_allclose(alone, found["score"][:3], rtol=1e-5)


def test_skip_connections_are_exported(small_images, tmp_path):
    made, path = detector("ni_cae", small_images, skips=True), tmp_path / "model.onnx"
    threshold = write(path, made, small_images.test[:4])
    scores = made.score(small_images.test).scores
    found = outputs(path, small_images.test)["score"]
    np.testing.assert_allclose(found, scores, rtol=RELATIVE, atol=RELATIVE * abs(threshold))


def test_every_value_of_a_maps_settings_is_exported_above():
    given = [DEFAULTS[name]["map"] | MAPS.get(name, {}) for name in models.names() if "map" in DEFAULTS[name]]
    for key, values in {
        "kind": set(anomaly_maps.KINDS),
        "pooling": {"max", "mean"},
        "ignore_offset": {True, False},
        "normalise": {True, False},
    }.items():
        assert {settings[key] for settings in given} == values


@pytest.mark.parametrize("smoothing", [0, 1.5, 20])  # 20: wider than the image, whose edge is then repeated
@pytest.mark.parametrize("kind", anomaly_maps.KINDS)
def test_the_steps_put_in_place_of_others_are_equal(kind, smoothing):
    settings = MapSettings(kind=kind, ignore_offset=True, normalise=False, smoothing=smoothing, pooling="max")
    images, others = torch.rand((2, 2, 3, 37, 37), generator=torch.Generator().manual_seed(0)).double()
    expected = anomaly_maps.difference(images, others, settings)
    with OnnxSteps():
        found = anomaly_maps.difference(images, others, settings)
    assert (found - expected).abs().max() <= 1e-12


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.linalg.solve(x[:, :3, :3] + 2 * torch.eye(3), x[:, :3, 3:4]),
        lambda x: x.flatten(1).median(dim=1).values,
        lambda x: F.interpolate(x[:, None], (8, 8), mode="area"),
        lambda x: F.interpolate(x[:, None], (9, 9), mode="bilinear", antialias=True, align_corners=False),
        lambda x: 1 / (x * 0 + 1e-8),
    ],
)
def test_the_steps_of_any_precision_are_equal(function):
    numbers = torch.rand((5, 32, 32), generator=torch.Generator().manual_seed(0))
    with OnnxSteps():
        found = function(numbers)
    torch.testing.assert_close(found, function(numbers), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [32, 41, 64])
@pytest.mark.parametrize("colour", ["rgb", "grey", "grey3"])
def test_the_networks_pixels_are_the_same_to_the_last_level(colour, size, small_images):
    images = torch.from_numpy(small_images.test)
    with OnnxSteps():
        found = tensors.fit_network(images, size, colour)
    assert torch.equal(found, tensors.fit_network(images, size, colour))


def test_halves_are_rounded_upwards():
    """Columns of 1 and 2 become 1.5, which float32 sums of grey may reach from either side."""
    images = torch.ones((1, 64, 64, 3), dtype=torch.uint8)
    images[:, :, 1::2] = 2
    assert tensors.fit_network(images, 32, "grey")[..., 1:-1].unique().tolist() == [2]


def test_the_density_is_the_same():
    random = np.random.default_rng(0)
    points = random.normal(5, 1, (40, 300)).astype(np.float32)
    density = GaussianKernelDensity(points, 0.2)
    queries = np.concatenate(
        [points[:3], points[:5] + 1e-3, random.normal(5, 2, (9, 300)).astype(np.float32)]
    )
    found = density.traced(torch.from_numpy(queries)).numpy()
    np.testing.assert_allclose(found, density.log_density(queries), rtol=1e-6)


def test_a_file_that_differs_is_not_left_and_the_old_one_stays(small_images, tmp_path, monkeypatch):
    made = detector("pca", small_images)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the old one")
    honest = made.traced

    def another(images):
        parts, maps = honest(images)
        return {name: values * 1.001 for name, values in parts.items()}, maps

    monkeypatch.setattr(made, "traced", another)
    with pytest.raises(UserError, match=r"differ from the detector's .* Nothing was written"):
        write(path, made, small_images.test[:2])
    assert path.read_bytes() == b"the old one"
    assert names(tmp_path) == ["model.onnx"]


def test_a_model_that_cannot_be_traced_says_so(small_images, tmp_path, monkeypatch):
    made = detector("pca", small_images)
    honest = made.traced

    def by_value(images):
        """Decide by a number that only exists once an image does, which no graph can hold."""
        return honest(images) if images.sum().item() > 0 else honest(images + 1)

    monkeypatch.setattr(made, "traced", by_value)
    with pytest.raises(UserError, match="pca cannot be exported to ONNX"):
        write(tmp_path / "model.onnx", made, small_images.test[:2])
    assert names(tmp_path) == []


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(UserError, match=r"needs onnxruntime: pip install '\.\[onnx\]'"):
        onnx_export.require_packages()


@pytest.fixture
def mlproject(tmp_path, monkeypatch, mlproject):
    monkeypatch.chdir(tmp_path)
    return mlproject


def test_the_command_needs_only_the_address_of_the_record(first, mlproject, tmp_path):
    code, out, err = mlproject("export", f"{first.name}/{first.version}", "model.onnx")
    assert code == 0, err
    assert "as the detector does" in out
    assert names(tmp_path) == ["model.onnx"]
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert (about["name"], about["version"], about["category"]) == ("sample-bottle", "1", "bottle")
    assert (float(about["threshold"]), about["image_size"]) == (1.5, "48")
    assert about["run_id"]


@pytest.mark.parametrize(
    ("model", "file", "said"),
    [
        ("bottel/1", "model.onnx", "Did you mean"),
        ("bottle/1", "model.pt", "must end in .onnx"),
        ("bottle@champion", "model.onnx", "has no champion"),
    ],
)
def test_a_wrong_name_or_ending_leaves_nothing(first, mlproject, tmp_path, model, file, said):
    code, out, err = mlproject("export", model, file)
    assert (code, out) == (2, "")
    assert said in err
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "said"), [("folder.onnx", "is a folder"), ("file/model.onnx", "file may not be written to")]
)
def test_a_place_that_cannot_be_written_to_is_said_first(mlproject, tmp_path, file, said):
    """Before the record is asked: none is there."""
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("")
    code, _, err = mlproject("export", "bottle/1", file)
    assert code == 2
    assert said in err


def test_a_record_that_is_not_there_is_not_made(mlproject, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere.db")
    code, _, err = mlproject("export", "bottle/1", "model.onnx")
    assert code == 2
    assert "nowhere.db: no such file" in err
    assert names(tmp_path) == []

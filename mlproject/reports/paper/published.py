"""The paper's own numbers: Wilmet et al. 2021, arXiv 2107.09204, Tables 1 to 3.

The paper does not give the F1 of calling everything defective; it is computed here from the paper's shares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = "https://arxiv.org/abs/2107.09204"


@dataclass(frozen=True)
class PaperCategory:
    """One column of each of the paper's tables.

    Attributes:
        cnn_auc, cnn_f1: Table 1, rows ROC AUC and F1.
        error_threshold, log_density_threshold: Table 2; defective if the error is above, or the
            log-density below. Set by hand after looking at the distributions.
        n_train, n_test: Table 2, number of images.
        anomaly_share: Table 2, share of the test images that are defective, two decimals.
        kd_cae_f1: Table 2.
        ni_cae_f1_without_noise, ni_cae_f1_with_noise: Table 3.
    """

    name: str
    cnn_auc: float
    cnn_f1: float
    error_threshold: float
    log_density_threshold: float
    n_train: int
    n_test: int
    anomaly_share: float
    kd_cae_f1: float
    ni_cae_f1_without_noise: float
    ni_cae_f1_with_noise: float

    @property
    def all_defective_f1(self) -> float:
        """F1 of calling every image of the paper's test set defective (our arithmetic from the share)."""
        return 2 * self.anomaly_share / (1 + self.anomaly_share)

    @property
    def n_defective(self) -> int:
        """Defective test images: share × size, rounded (our arithmetic)."""
        return round(self.anomaly_share * self.n_test)

    @property
    def n_good(self) -> int:
        """Good test images, by the same arithmetic."""
        return self.n_test - self.n_defective

    @property
    def f1_values(self) -> tuple[float, ...]:
        """Every F1 that the paper gives: of Table 1, Table 2, Table 3 without and with noise."""
        return self.cnn_f1, self.kd_cae_f1, self.ni_cae_f1_without_noise, self.ni_cae_f1_with_noise


RESULTS: Mapping[str, PaperCategory] = {
    row.name: row
    for row in (
        #              Table 1   | Table 2: thresholds, sizes, share, F1   | Table 3
        PaperCategory("toothbrush", 0.65, 0.25, 0.005, 5630, 60, 42, 0.71, 0.85, 0.7347, 0.5282),
        PaperCategory("bottle", 0.31, 0.09, 0.004, 5600, 167, 86, 0.77, 0.87, 0.3703, 0.2412),
        PaperCategory("screw", 0.29, 0.07, 0.004, 5625, 256, 160, 0.75, 0.11, 0.1221, 0.083),
        PaperCategory("leather", 0.02, 0.07, 0.003, 5651, 254, 124, 0.74, 0.72, 0.4203, 0.3394),
        PaperCategory("transistor", 0.70, 0.04, 0.0055, 5350, 171, 100, 0.40, 0.59, 0.8083, 0.7876),
    )
}

# The settings of each model, as far as the paper or its authors' code states them.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "kd_cae": {
        "image_size": 128, "colour": "grey3", "latent_channels": 128, "bandwidth": 0.2, "noise": None,
        "map.kind": "squared_error", "map.ignore_offset": False, "map.normalise": False,
        "map.smoothing": 0, "map.pooling": "mean",
        "jitter": 0, "optimiser": "adadelta", "batch_size": 10, "epochs": 600, "patience": 30,
    },
    "ni_cae": {
        "image_size": 256, "colour": "grey", "filters": [128, 64, 16, 8, 4], "latent_channels": 512,
        "skips": False,
        "noise.kind": "gaussian", "noise.variance": 0.001, "noise.share": 0.1, "noise.redraw": False,
        "noise.target": "clean",
        "map.kind": "ssim", "map.ignore_offset": False, "map.normalise": False,
        "map.smoothing": 0, "map.pooling": "mean",
        "jitter": 0, "optimiser": "adam", "learning_rate": 0.001, "batch_size": 20, "patience": 5,
    },
    "cnn": {
        "image_size": 200, "colour": "rgb", "filters": [16, 32, 64, 64, 64], "hidden": 512,
        "jitter": 0, "augment": False, "optimiser": "rmsprop", "learning_rate": 0.001,
    },
}  # fmt: skip
# Differences that no setting removes: what `mlproject preset paper` still does otherwise.
ALWAYS: Mapping[str, Sequence[str]] = {
    "kd_cae": (
        "The kernel density is exact; scikit-learn's, which the paper used, is not at this size.",
        "The learning rate of Adadelta is 1; the paper gives none.",
    ),
    "ni_cae": (),
    "cnn": (
        "It is trained on defective images too; the paper's was trained on good images alone.",
        "Its classes are weighted equally if class_weighting is true; the paper mentions no weights.",
    ),
}
# Table 2's thresholds apply only where all of these are the paper's: otherwise they limit another quantity.
LITERAL = set(SETTINGS["kd_cae"]) - {"noise", "jitter", "optimiser", "batch_size", "epochs", "patience"}


def unlike(model: str, settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return setting → (here, in the paper) of every setting that differs from the paper's.

    Args:
        model: a name in `SETTINGS`; nothing differs for any other model.
        settings: of the model, nested as in params.yaml.
    """
    wanted = SETTINGS.get(model, {})
    found = {name: _at(settings, name) for name in wanted}
    return {name: (found[name], value) for name, value in wanted.items() if found[name] != value}


def literal_thresholds(category: str, model: str, settings: Mapping[str, Any]) -> dict[str, float] | None:
    """Return Table 2's thresholds as part → limit (higher = more anomalous), None where they do not apply.

    They apply to KD-CAE on a category of Table 2, if the settings in `LITERAL` are the paper's.
    """
    if model != "kd_cae" or category not in RESULTS or LITERAL & unlike(model, settings).keys():
        return None
    row = RESULTS[category]
    return {
        "reconstruction_error": row.error_threshold,
        "negative_log_density": -row.log_density_threshold,
    }


def _at(settings: Mapping[str, Any], name: str) -> Any:
    """Return the value at a dotted name, tuples as lists; None where a section is switched off."""
    node: Any = settings
    for part in name.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return list(node) if isinstance(node, tuple) else node

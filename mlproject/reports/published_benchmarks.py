"""Published results on MVTec AD, to stand beside a benchmark's own. None of them was measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MEAN = "mean"  # over MVTec AD's 15 categories, in place of a category's name
NONE = "none"


@dataclass(frozen=True)
class Published:
    """One method's results as its authors, or the source named, report them.

    Attributes:
        weights: pretrained weights or other images that it uses; `NONE` for none.
        image: category, or `MEAN` → image AUROC, in [0, 1].
        pixel: alike → pixel AUROC.
        aupro: alike → area under the per-region-overlap curve up to a false-positive rate of 0.3.
        source: where the numbers are, with the address.
    """

    name: str
    weights: str
    source: str
    image: Mapping[str, float] = field(default_factory=dict)
    pixel: Mapping[str, float] = field(default_factory=dict)
    aupro: Mapping[str, float] = field(default_factory=dict)

    @property
    def categories(self) -> set[str]:
        """The categories of which there is any number."""
        return {name for values in (self.image, self.pixel, self.aupro) for name in values} - {MEAN}


def _of(mean: float, bottle: float | None = None, transistor: float | None = None) -> dict[str, float]:
    found = {MEAN: mean, "bottle": bottle, "transistor": transistor}
    return {name: value for name, value in found.items() if value is not None}


_BERGMANN = (
    "pixel AUROC: Bergmann et al., [CVPR 2019]("
    "https://openaccess.thecvf.com/content_CVPR_2019/html/Bergmann_MVTec_AD_--_A_Comprehensive_Real-World_"
    "Dataset_for_Unsupervised_Anomaly_CVPR_2019_paper.html); AUPRO: Bergmann et al., CVPR 2020, "
    "[arXiv 1911.02357](https://arxiv.org/abs/1911.02357)"
)
METHODS: Sequence[Published] = (
    Published(
        "convolutional AE (L2)", NONE, _BERGMANN,
        pixel=_of(0.82, 0.86, 0.86), aupro=_of(0.790, 0.910, 0.728),
    ),
    Published(
        "convolutional AE (SSIM)", NONE, _BERGMANN,
        pixel=_of(0.87, 0.93, 0.90), aupro=_of(0.694, 0.834, 0.725),
    ),
    Published(
        "RIAD", NONE,
        "Zavrtanik et al., [Pattern Recognition 2021](https://doi.org/10.1016/j.patcog.2020.107706), as "
        "DRAEM's Tables 1 and 2 repeat them",
        image=_of(0.917, 0.999, 0.909), pixel=_of(0.942, 0.984, 0.877),
    ),
    Published(
        "CutPaste (3-way)", NONE,
        "Li et al., CVPR 2021, [arXiv 2104.04015](https://arxiv.org/abs/2104.04015)",
        image=_of(0.952, 0.983, 0.955), pixel=_of(0.960, 0.976, 0.930),
    ),
    Published(
        "NSA", NONE,
        "Schlüter et al., ECCV 2022, [arXiv 2109.15222](https://arxiv.org/abs/2109.15222)",
        image=_of(0.972, 0.977, 0.951), pixel=_of(0.963, 0.983, 0.880),
    ),
    Published(
        "DRAEM", "no weights; images of textures (DTD)",
        "Zavrtanik et al., ICCV 2021, [arXiv 2108.07610](https://arxiv.org/abs/2108.07610), Tables 1 and 2",
        image=_of(0.980, 0.992, 0.931), pixel=_of(0.973, 0.991, 0.909),
    ),
    Published(
        "PaDiM", "ImageNet",
        "Defard et al., ICPR workshops 2021, [arXiv 2011.08785](https://arxiv.org/abs/2011.08785); pixel "
        "level: WR50-Rd550, image level: EfficientNet-B5",
        image=_of(0.979), pixel=_of(0.975, 0.983, 0.975), aupro=_of(0.921, 0.948, 0.845),
    ),
    Published(
        "PatchCore (1 %)", "ImageNet",
        "Roth et al., CVPR 2022, [arXiv 2106.08265](https://arxiv.org/abs/2106.08265), Tables S1 and S2",
        image=_of(0.990, 1.000, 0.999), pixel=_of(0.980, 0.985, 0.949),
    ),
    Published(
        "EfficientAD-M", "ImageNet (teacher, and images while training)",
        "Batzner et al., WACV 2024, [arXiv 2303.14535](https://arxiv.org/abs/2303.14535)",
        image=_of(0.991), aupro=_of(0.935),
    ),
    Published(
        "Dinomaly (ViT-B, one model for all categories)", "DINOv2",
        "Guo et al., CVPR 2025, [arXiv 2405.14325](https://arxiv.org/abs/2405.14325)",
        image=_of(0.996), pixel=_of(0.984), aupro=_of(0.948),
    ),
)  # fmt: skip

"""Report section with the paper's Figs. 1 to 6, made from the models trained here."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from mlproject.evaluation import generation_faults
from mlproject.reports.paper.evidence import Evidence
from mlproject.reports.paper.markdown import escape, picture

FOLDER = PurePosixPath("paper_figures")  # below reports/
NAMES = {"kd_cae": "KD-CAE", "ni_cae": "NI-CAE", "dcgan": "DCGAN"}
LAYOUTS = {1: "kd_cae", 2: "ni_cae"}
PICTURES = (
    # figure, title, of which model or generator, its file
    (3, "Originals beside their reconstructions", "kd_cae", "reconstructions"),
    (4, "Distributions of scores and errors: train, validation, test", "kd_cae", "error_distribution"),
    (5, "Image, reconstruction, mask and difference (the paper: of SSIM)", "ni_cae", "verdicts"),
    (6, "Generated images", "dcgan", "grid"),
)  # fmt: skip
NOTHING = "Not drawn: no category here has it. `{what}` in params.yaml must name `{name}`."


def layouts(evidence: Evidence) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (path below reports/, title, training) of each layout to draw: a model's in its first category.

    Where categories have different networks (tuned settings), each network is drawn.
    """
    for model in LAYOUTS.values():
        seen: list[Any] = []
        for category in evidence.categories:
            training = evidence.trainings.get((category, model))
            if training and training["layers"] and training["layers"] not in seen:
                seen.append(training["layers"])
                path = FOLDER / f"layout_{model}_{len(seen)}.png"
                yield str(path), f"{NAMES[model]} as trained for {category}", training


def blocks(evidence: Evidence) -> list[str]:
    """Return the section's blocks."""
    found = ["## Figures"]
    drawn = list(layouts(evidence))
    for figure, model in LAYOUTS.items():
        found.append(f"### Figure {figure}. Layout of {NAMES[model]}")
        own = [(path, title) for path, title, training in drawn if training["model"] == model]
        found += [picture(f"{title}, drawn from its modules", path) for path, title in own]
        if not own:
            found.append(NOTHING.format(what="detectors", name=model))
    for figure, title, name, file in PICTURES:
        found.append(f"### Figure {figure}. {title}")
        used = name in (
            *evidence.detectors,
            *evidence.generators,
        )  # else left by an earlier run
        pictures = [
            (category, evidence.picture(category, name, f"figures/{file}"))
            for category in (evidence.categories if used else ())
        ]
        shown = [picture(f"{NAMES[name]}, {category}", path) for category, path in pictures if path]
        what = "generators_used" if name == "dcgan" else "detectors"
        found += shown or [NOTHING.format(what=what, name=name)]
        if name == "dcgan":
            found += [block for category, path in pictures if path for block in _quality(evidence, category)]
    return found


def _quality(evidence: Evidence, category: str) -> list[str]:
    """Return the measured quality of a generator's images, and its likeliest copies."""
    quality = evidence.qualities[category, "dcgan"]
    distance, memory, variety = (quality[what] for what in ("frechet", "memorisation", "diversity"))
    faults = [f"**{what}**: {escape(because)}" for what, because in generation_faults.faults(quality).items()]
    said = (
        f"{escape(category)}: Fréchet distance to training images {distance['generated']:.3g} (between "
        f"halves of those {distance['real_halves']:.3g}; features: {escape(distance['features'])}). "
        f"Nearest training image at {memory['median_generated_to_train']:.4f} in the median (training images "
        f"to each other {memory['median_train_to_train']:.4f}), {memory['share_of_copies']:.0%} copies. "
        f"Mean pairwise MS-SSIM {variety['ms_ssim_generated']:.3f} (training images "
        f"{variety['ms_ssim_train']:.3f}), {variety['share_of_repeats']:.0%} repeats. "
        + (f"{'; '.join(faults)}." if faults else generation_faults.NO_FAULT)
    )
    path = evidence.picture(category, "dcgan", "figures/nearest")
    return [
        said,
        *([picture(f"Likeliest copies above the nearest training images: {category}", path)] if path else []),
    ]

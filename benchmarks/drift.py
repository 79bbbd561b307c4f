"""How soon `mlproject watch` reports drift, and how often it does so without any.

    python benchmarks/drift.py [--seed 0] [--categories bracket weave]

First lines that do not drift, without images: scores, brightness and sharpness are drawn from the same
distributions as at calibration, and nothing is compared by place. Then the built-in sample: patch_kde and PCA
are trained with the defaults of params.yaml, and score new good photos as they are and after a change of the
camera. A line is a sequence drawn from these, with replacement; its change begins at any place within a
window. Prints both tables and writes them into docs/production.md. Takes half an hour on one core.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlproject import models
from mlproject.core import files, params
from mlproject.data import split
from mlproject.data.sample import build
from mlproject.evaluation import drift, frame_map, thresholds
from mlproject.evaluation.drift import Photos
from mlproject.models.components.detector import Detector
from mlproject.studies.components import perturbations
from mlproject.training.run_options import RunOptions

PAGE = Path("docs/production.md")
BEGIN, END = "<!-- drift: written by benchmarks/drift.py -->\n", "<!-- drift: end -->"
MODELS = ("patch_kde", "pca")
RUN_LENGTH = 10_000
FIRST = drift.OWN_WINDOWS * drift.WINDOW
NEW = 200  # new good photos of a category
LINES = 40
MOST = 2000  # photos in which a drift may be found
STEADY_LINES, STEADY_PHOTOS = 10, 10_000
GAMMA = 2.2
STEPS = 8  # in which a slow change comes, MOST photos in all
Change = Callable[[np.ndarray], np.ndarray]


def lamp(lost: float) -> Change:
    """Return the change of an image when a lamp has lost a share of its light."""
    factor = (1 - lost) ** (1 / GAMMA)  # of the pixel's value
    return lambda image: perturbations.brightness(image, factor)


def dust(share: float) -> Change:
    """Return the change of an image when twelve soft specks of dust lie on the lens, always the same ones.

    Args:
        share: of their full depth, at which each takes 5 to 15 % of the light.
    """
    rng, side = np.random.default_rng(0), 256
    y, x = np.mgrid[:side, :side]
    shade = np.ones((side, side))
    for _ in range(12):
        at_y, at_x = rng.uniform(0, side, 2)
        width, depth = rng.uniform(0.03, 0.08) * side, share * rng.uniform(0.05, 0.15)
        shade *= 1 - depth * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * width**2))
    return lambda image: np.rint(image * shade[..., None]).astype(np.uint8)


def scratch(image: np.ndarray) -> np.ndarray:
    """Return an image seen through a scratched lens: a bright line of 90 pixels, always the same one."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    along, across = (x - 60) * 0.8 + (y - 40) * 0.6, (x - 60) * 0.6 - (y - 40) * 0.8
    light = 1 + 0.03 * np.exp(-(across**2) / (2 * 1.5**2)) * ((along > 0) & (along < 90))
    return np.rint(image * light[..., None]).clip(0, 255).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    "lamp −10 %": lamp(0.1),
    "lamp −20 %": lamp(0.2),
    "lamp moved": lambda image: perturbations.shading(image, 0.1),
    "blur, 1 pixel": lambda image: perturbations.blur(image, 1.0),
    "camera moved": lambda image: perturbations.shift(image, 0, 2),
    "scratch": scratch,
}
SLOW: dict[str, list[Change]] = {
    "lamp −20 %, slowly": [lamp(0.2 * step / STEPS) for step in range(1, STEPS + 1)],
    "dust, slowly": [dust(step / STEPS) for step in range(1, STEPS + 1)],
}
LEVELS = {f"{name} {step}": changes[step] for name, changes in SLOW.items() for step in range(STEPS)}


@dataclass(frozen=True)
class Line:
    """A trained detector on one category, and new photos as it sees them.

    Attributes:
        calibration: scores of good images that it was not trained on.
        pools: name of a change → the new photos after it.
    """

    calibration: np.ndarray
    threshold: float
    pools: dict[str, Photos]


def good_images(category: str, subset: str, count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return paths within the category and (n, 256, 256, 3) uint8 of good images of the sample."""
    chosen = [p for p in build.pictures(category, seed) if (p.subset, p.defect) == (subset, "good")][:count]
    names = [p.path.relative_to(category).as_posix() for p in chosen]
    return names, np.stack([build.render(p)[0] for p in chosen])


def photos(detector: Detector, images: np.ndarray) -> Photos:
    """Return what a watch keeps of images."""
    about = np.array([drift.photo_statistics(image) for image in images])
    maps = np.stack([frame_map.frame_map(image) for image in images])
    return Photos(detector.score(images).scores, about[:, 0], about[:, 1], maps)


def trained_lines(category: str, seed: int) -> dict[str, Line]:
    """Return model → line of a category."""
    names, train = good_images(category, "train", build.TRAIN_GOOD, 0)
    _, test = good_images(category, "test", build.TEST_GOOD, 0)
    share = build.TRAIN_GOOD
    new = np.concatenate(
        [
            good_images(category, "train", min(share, NEW - at), 1000 + seed + at)[1]
            for at in range(0, NEW, share)
        ]
    )
    tree = params.load_file()
    roles = split.split(names, tree["split"]["validation_share"], tree["seed"])
    found = {}
    for name in MODELS:
        detector = models.create(name, tree["models"][name])
        detector.fit(train[roles.train], train[roles.validation], RunOptions(seed=tree["seed"]))
        good = thresholds.good_images(detector, roles, [names[row] for row in roles.train], train.__getitem__)
        detector.calibrate(train[roles.validation], good.parts)
        rate = tree["threshold"]["false_alarm_rate"]
        threshold = thresholds.calibrate(detector.threshold_scores(good.parts), rate, strict=False).value
        calibration = detector.score(np.concatenate([train[roles.calibration], test])).scores
        pools = {
            change: photos(detector, np.stack([apply(image) for image in new]))
            for change, apply in (CHANGES | LEVELS).items()
        }
        found[name] = Line(calibration, threshold, pools)
        print(f"{category} {name}: trained, {NEW} photos scored {len(pools)} times", flush=True)
    return found


def drawn(pool: Photos, rng: np.random.Generator, count: int) -> Photos:
    """Return photos drawn from a pool, with replacement."""
    return pool.at(rng.integers(0, len(pool.scores), count))


def joined(parts: list[Photos]) -> Photos:
    """Return photos one after another."""
    names = ("scores", "brightness", "sharpness", "maps")
    return Photos(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def alarms(calibration: np.ndarray, threshold: float, line: Photos, first_only: bool = False) -> list[int]:
    """Return after how many photos of a line each alarm is raised."""
    found = []
    own = line.at(slice(FIRST))
    for end in range(drift.WINDOW, len(line.scores) + 1, drift.WINDOW):
        window = line.at(slice(end - drift.WINDOW, end))
        finding = drift.compare(calibration, own if end > FIRST else None, window, threshold)
        if finding.p_value <= drift.alarm_level(RUN_LENGTH):
            found.append(end)
            if first_only and end > FIRST:
                break
    return found


def delays(line: Line, change: str, rng: np.random.Generator) -> np.ndarray:
    """Return (LINES,) photos from the begin of a change to its alarm; infinite where there is none."""
    found = np.full(LINES, np.inf)
    for number in range(LINES):
        begin = FIRST + drift.WINDOW + int(rng.integers(drift.WINDOW))
        if change in SLOW:
            after = [drawn(line.pools[f"{change} {step}"], rng, MOST // STEPS) for step in range(STEPS)]
        else:
            after = [drawn(line.pools[change], rng, MOST)]
        told = alarms(
            line.calibration, line.threshold, joined([drawn(line.pools["none"], rng, begin), *after]), True
        )
        later = [end for end in told if end > begin]
        if later:
            found[number] = later[0] - begin
    return found


def false_alarms(line: Line, rng: np.random.Generator) -> float:
    """Return the alarms in RUN_LENGTH photos of lines that do not change."""
    counts = [
        len(alarms(line.calibration, line.threshold, drawn(line.pools["none"], rng, STEADY_PHOTOS)))
        for _ in range(STEADY_LINES)
    ]
    return float(np.mean(counts)) * RUN_LENGTH / STEADY_PHOTOS


def simulated(n: int, rng: np.random.Generator, lines: int = 60, length: int = 20_000) -> str:
    """Return a row: false alarms of lines that are as at calibration, with n calibration images."""
    counts, firsts = [], []
    for _ in range(lines):
        calibration = rng.lognormal(size=n)
        threshold = float(np.exp(1.645))  # called defective: 5 %
        no_maps = np.broadcast_to(np.nan, (length, frame_map.VALUES))
        line = Photos(rng.lognormal(size=length), rng.normal(size=length), rng.normal(size=length), no_maps)
        told = alarms(calibration, threshold, line)
        counts.append(len(told))
        firsts.append(told[0] if told else length)
    rate, before = np.mean(counts) * RUN_LENGTH / length, np.mean(firsts)
    quiet = np.mean(np.array(firsts) > RUN_LENGTH)
    return f"| {n} | {rate:.2f} | {before:,.0f} | {quiet:.0%} |"


def rows(category: str, model: str, line: Line, rng: np.random.Generator) -> list[str]:
    """Return the sample's table rows of one line."""

    def called_defective(change: str) -> str:
        return f"{thresholds.decide(line.pools[change].scores, line.threshold).mean():.0%}"

    found = []
    for change in (*CHANGES, *SLOW):
        cells = [category, model, change]
        if change == "none":
            cells += ["", "", called_defective(change), "", f"{false_alarms(line, rng):.2f}"]
        else:
            waited = delays(line, change, rng)
            median, late = np.quantile(waited, [0.5, 0.9], method="higher")
            cells += [f"{value:.0f}" if np.isfinite(value) else f"above {MOST}" for value in (median, late)]
            step = int(min(median, MOST) - 1) * STEPS // MOST
            then, end = (f"{change} {step}", f"{change} {STEPS - 1}") if change in SLOW else (change, change)
            cells += [called_defective(then), called_defective(end), ""]
        found.append(f"| {' | '.join(cells)} |")
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Print the tables and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--categories", nargs="+", default=["bracket", "weave"], help="of the sample (default: both)"
    )
    given = parser.parse_args()
    seed = given.seed
    rng = np.random.default_rng(seed)
    text = (
        f"| good images at calibration | false alarms in {RUN_LENGTH:,} photos | "
        "photos before the first one, mean | "
        f"lines without one in {RUN_LENGTH:,} photos |\n| --- | --- | --- | --- |\n"
    )
    for n in (20, 50, 200):
        row = simulated(n, rng)
        print(row, flush=True)
        text += f"{row}\n"
    text += (
        "\n| category | model | change | delay, median | delay, 90 % "
        "| good photos called defective, at the alarm | at the end "
        f"| false alarms in {RUN_LENGTH:,} photos |\n{'| --- ' * 8}|\n"
    )
    for category in given.categories:
        for model, line in trained_lines(category, seed).items():
            text += "".join(f"{row}\n" for row in rows(category, model, line, rng))
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{PAGE}: the marks {BEGIN.strip()} and {END} are missing")
    files.write_text(PAGE, f"{before}{BEGIN}{text}{END}{after}")


if __name__ == "__main__":
    main()

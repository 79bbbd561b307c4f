"""Stage prepare: decode one category's images once; data/prepared/<category>/ comes out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from mlproject.core import artifacts, params, script
from mlproject.data import copies
from mlproject.data.layout import find_category
from mlproject.data.prepare import prepare_category


def main(category: str) -> None:
    """Write data/prepared/<category>/: images.npy, masks.npy, manifest.csv, prepared.json."""
    size = params.load("prepare", params.Prepare).image_size
    raw = find_category(artifacts.RAW, category)
    with _display(f"prepare {category}") as on_image:
        found = prepare_category(raw, artifacts.PREPARED / category, size, on_image=on_image)
    for line in copies.summary(found):
        print(f"prepare {category}: {line}")


@contextmanager
def _display(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows images done of all: a bar on a terminal, a line every tenth elsewhere."""
    if Console().is_terminal:
        with Progress() as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    started = time.perf_counter()

    def show(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            print(
                f"{title}: {done}/{total} images, {done / (time.perf_counter() - started):.0f} images/s",
                flush=True,
            )

    yield show


if __name__ == "__main__":
    script.run(main)

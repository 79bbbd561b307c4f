"""A training that is cut off, as by a kill between two epochs."""

from collections.abc import Callable

import pytest

from mlproject.training.progress import EpochDisplay


class Cut(Exception):
    """A training that is cut off."""


def cut_off_after_second_epoch(run: Callable[[], object]) -> None:
    """Call what trains, and cut it off when it has shown its second epoch."""
    show = EpochDisplay.show

    def cut(display, epoch):
        show(display, epoch)
        if epoch.number == 2:
            raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochDisplay, "show", cut)
        with pytest.raises(Cut):
            run()

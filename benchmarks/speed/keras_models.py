"""The paper's networks in Keras on TensorFlow, as the authors wrote them. Needs the packages of .peers."""

import time
from typing import Any

import numpy as np

from benchmarks.speed.epochs import EpochByEpoch
from benchmarks.speed.worker import Measured


def training(model: str, n: int, small: bool, scratch: str) -> Measured:
    """Training images a second of Keras's own `fit`, validation included."""
    import keras

    from benchmarks.speed import training as ours

    chosen = ours.settings(model, small)
    keras.utils.set_random_seed(0)
    network = kd_cae(chosen) if model == "kd_cae" else ni_cae(chosen)
    optimisers = {
        "adadelta": lambda rate: keras.optimizers.Adadelta(rate, rho=0.95),
        "adam": keras.optimizers.Adam,
    }
    network.compile(optimisers[chosen["optimiser"]](chosen["learning_rate"]), "mse")
    train, validation = (_floats(part, chosen["colour"]) for part in ours.images(model, n, small))
    losses: list[float] = []

    class Epochs(keras.callbacks.Callback):
        def __init__(self, on_epoch: Any) -> None:
            super().__init__()
            self.on_epoch = on_epoch

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # after validation
            losses.append(logs["val_loss"])
            self.on_epoch(time.perf_counter() - self.started)

    endless = EpochByEpoch(
        lambda on_epoch: network.fit(
            train, train, batch_size=chosen["batch_size"], epochs=10**6, verbose=0,
            validation_data=(validation, validation), callbacks=[Epochs(on_epoch)],
        )
    )  # fmt: skip
    return Measured(lambda: n / float(endless.epoch()), lambda: f"validation loss {losses[-1]:.4f}")


def _floats(images: np.ndarray, colour: Any) -> np.ndarray:
    """Return (n, s, s, c) float32 in [0, 1] with the channels that a network takes."""
    from mlproject.data import tensors

    made = tensors.network_images(images, images.shape[1], colour).permute(0, 2, 3, 1)
    found: np.ndarray = np.ascontiguousarray(made.float().div(255).numpy())
    return found


def _sequential(side: int, channels: int, *made: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((side, side, channels)), *made])


def kd_cae(settings: dict[str, Any]) -> Any:
    """Return the paper's KD-CAE (3.5.1)."""
    from keras.layers import Conv2D, MaxPooling2D, UpSampling2D

    def conv(width: int) -> Any:
        return Conv2D(width, 3, padding="same", activation="relu")

    return _sequential(
        settings["image_size"], 3,
        conv(32), MaxPooling2D(4), conv(64), MaxPooling2D(2),
        conv(settings["latent_channels"]), MaxPooling2D(2),
        conv(128), UpSampling2D(2), conv(64), UpSampling2D(2), conv(32), UpSampling2D(4),
        Conv2D(3, 3, padding="same", activation="sigmoid"),
    )  # fmt: skip


def ni_cae(settings: dict[str, Any]) -> Any:
    """Return the paper's NI-CAE (3.5.2): a dense layer at each position of the code."""
    from keras.layers import Conv2D, Dense, MaxPooling2D, UpSampling2D

    made: list[Any] = []
    for width in settings["filters"]:
        made += [Conv2D(width, 3, padding="same", activation="relu"), MaxPooling2D(2)]
    made.append(Dense(settings["latent_channels"], activation="relu"))
    for width in reversed(settings["filters"]):
        made += [Conv2D(width, 3, padding="same", activation="relu"), UpSampling2D(2)]
    return _sequential(settings["image_size"], 1, *made, Conv2D(1, 1, activation="sigmoid"))

"""anomalib's PaDiM and PatchCore, untrained backbones and all else as it sets them by default.

Needs the packages of .peers. No weights are downloaded: a backbone of random weights computes as long.
"""

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import inputs
from benchmarks.speed.worker import Measured

SIDE = 256  # of what the networks are given, pixels; anomalib's default
EMBEDDED = 8  # images through the network, for what is reckoned from fewer
STEPS = 20  # of the coreset's selection, likewise
CORESET = 0.1  # share of the patches that PatchCore keeps


def _model(name: str) -> Any:
    if name == "padim":
        from anomalib.models.image.padim.torch_model import PadimModel

        return PadimModel(backbone="resnet18", layers=["layer1", "layer2", "layer3"], pre_trained=False)
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    return PatchcoreModel(backbone="wide_resnet50_2", layers=["layer2", "layer3"], pre_trained=False)


def _transform(name: str) -> Any:
    """Return what anomalib does to an image before the network: resized to 256 px and normalised."""
    from anomalib.models import Padim, Patchcore

    return {"padim": Padim, "patchcore": Patchcore}[name].configure_pre_processor().transform


def _batches(name: str, folder: Path, batch: int) -> Iterator[torch.Tensor]:
    """Yield batches of the folder's photos, read and transformed by anomalib's own data set."""
    from anomalib.data import PredictDataset
    from torch.utils.data import DataLoader

    photos = PredictDataset(folder, transform=_transform(name))
    for found in DataLoader(photos, batch_size=batch, collate_fn=photos.collate_fn):
        yield found.image


def _folder(scratch: str, n: int, side: int) -> Path:
    folder = Path(scratch, f"photos-{n}")
    inputs.photos(folder, n, side)
    return folder


def _learnt(name: str) -> Any:
    """Return a network with what it would have learnt made up, in the size that 160 images give it."""
    network = _model(name)
    if name == "padim":
        channels, patches = network.n_features, (SIDE // 4) ** 2
        network.gaussian.mean = torch.rand(channels, patches)
        network.gaussian.inv_covariance = torch.eye(channels).repeat(patches, 1, 1)
    else:
        channels, patches = sum(network.feature_extractor.out_dims), (SIDE // 8) ** 2
        network.memory_bank = torch.rand(int(160 * patches * CORESET), channels)
    return network.eval()


def application(name: str) -> Any:
    """Return a FastAPI application: POST /predict an image file, get its score."""
    from anomalib.data.utils import read_image
    from fastapi import FastAPI, Request

    network, transform, app = _learnt(name), _transform(name), FastAPI()

    @torch.no_grad()
    def score(data: bytes) -> float:
        image = read_image(io.BytesIO(data), as_tensor=True)
        return float(network(transform(image)[None]).pred_score)

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, float]:
        return {"score": await asyncio.to_thread(score, await request.body())}

    return app


@torch.no_grad()
def verdicts(model: str, n: int, side: int, batch: int, scratch: str) -> Measured:
    """Photos a second from files to verdicts.

    What a model would have learnt is made up: that computes as long.
    """
    network = _learnt(model)
    folder = _folder(scratch, n, side)

    @torch.no_grad()
    def once() -> float:
        started = time.perf_counter()
        for images in _batches(model, folder, batch):
            (network(images).pred_score > 0.5).tolist()
        return n / (time.perf_counter() - started)

    once()
    return Measured(once)


@torch.no_grad()
def padim_setup(n: int, side: int, scratch: str) -> Measured:
    """Training images a second: embedded in batches of 32, then a Gaussian at each position."""
    folder = _folder(scratch, n, side)

    @torch.no_grad()
    def once() -> float:
        network = _model("padim")
        started = time.perf_counter()
        network.train()
        network.feature_extractor.eval()
        for images in _batches("padim", folder, 32):
            network(images)
        network.fit()
        return n / (time.perf_counter() - started)

    return Measured(once)


@torch.no_grad()
def patchcore_setup(n: int, side: int, scratch: str) -> Measured:
    """Training images a second, reckoned from a few images and a few steps of the coreset's selection."""
    from anomalib.models.components import KCenterGreedy

    network = _model("patchcore")
    network.train()
    network.feature_extractor.eval()
    few = min(EMBEDDED, n)
    folder = _folder(scratch, few, side)
    embedded = torch.cat([network(images) for images in _batches("patchcore", folder, few)])
    network.embedding_store.clear()
    patches = n * len(embedded) // few
    embedding = torch.rand(patches, embedded.shape[1])
    steps = int(patches * CORESET)

    @torch.no_grad()
    def once() -> float:
        started = time.perf_counter()
        for images in _batches("patchcore", folder, few):
            network(images)
        network.embedding_store.clear()
        through = (time.perf_counter() - started) * n / few
        started = time.perf_counter()
        greedy = KCenterGreedy(embedding=embedding, sampling_ratio=CORESET)
        greedy.model.fit(embedding)
        greedy.features = greedy.model.transform(embedding)  # fewer dimensions
        projected = time.perf_counter() - started
        started, chosen = time.perf_counter(), torch.tensor(0)
        for _ in range(STEPS):  # as `select_coreset_idxs` does
            greedy.update_distances(cluster_center=chosen)
            chosen = greedy.get_new_idx()
        selected = (time.perf_counter() - started) * steps / STEPS
        return n / (through + projected + selected)

    return Measured(once)

"""Backbone: a network that somebody trained on other images, whose feature maps describe an image.

Nothing is fetched: the weights are a file that the user has, told by its sha256, and no code in it is run.
"""

import hashlib
import importlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from mlproject.core.errors import UserError, quoted, unknown_name

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, in [0, 1]
LIBRARIES = ("torchvision", "timm", "efficientnet_lite_pytorch")


class Backbone(nn.Module):
    """Feature maps of some layers, brought to the first one's size and concatenated."""

    def __init__(self, network: nn.Module, layers: tuple[str, ...]) -> None:
        """Keep of a network what these layers need.

        Raises:
            UserError: it has no such layer.
        """
        from torchvision.models.feature_extraction import create_feature_extractor

        super().__init__()
        known = [name for name, _ in network.named_modules() if name]
        for name in layers:
            if name not in known:
                raise unknown_name(f"layers: {name}", name, known)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # traced as it is used: for evaluation
            self.extract = create_feature_extractor(network.eval(), list(layers))
        self.layers = layers
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, rows, columns, c) of (n, 3, h, w) RGB images in [0, 1]."""
        mean, spread = (torch.tensor(values)[:, None, None] for values in (MEAN, SPREAD))
        maps = self.extract((images - mean) / spread)
        first, *others = (maps[name] for name in self.layers)
        size = first.shape[-2:]
        others = [F.interpolate(map_, size, mode="bilinear", align_corners=False) for map_ in others]
        return torch.cat([first, *others], dim=1).permute(0, 2, 3, 1).contiguous()


def untrained(name: str) -> nn.Module:
    """Return the network LIBRARY/NAME, such as ``torchvision/resnet18``, without weights of use.

    Raises:
        UserError: the library is not installed or does not know the network.
    """
    library, _, network = name.partition("/")
    if library not in LIBRARIES:
        raise unknown_name(f"backbone: {name}", library, (f"{one}/NAME" for one in LIBRARIES))
    try:
        package = importlib.import_module(library)
        if library == "torchvision":
            return package.models.get_model(network, weights=None)
        if library == "timm":
            return package.create_model(network, pretrained=False)
        return package.EfficientNet.from_name(network)
    except ImportError:
        raise UserError(
            f"backbone: {name} needs the package {library}, which is not installed. "
            "For efficientnet_lite_pytorch: pip install 'mlproject[pretrained]'"
        ) from None
    except (ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"backbone: {library} has no network {network} ({error})") from None


def read_weights(path: Path, sha256: str) -> Mapping[str, torch.Tensor]:
    """Return the arrays of a weights file, safetensors or PyTorch's own, once its hash is that asked for.

    Raises:
        UserError: it is missing, another file, or holds anything but arrays.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise UserError(
            f"{quoted(path)}: not found. Put the backbone's weights there, the file with sha256 {sha256}, or "
            "set models.pretrained_patch_kde.weights to where it is. Nothing is downloaded."
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(f"{quoted(path)}: is another file than asked for: sha256 {found}, wanted {sha256}.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return load(content)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{quoted(path)}: is no file of weights alone ({reason})") from None
    if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise UserError(f"{quoted(path)}: must hold a network's state_dict, names and tensors, alone.")
    return weights


def load(name: str, layers: tuple[str, ...], path: Path, sha256: str) -> Backbone:
    """Return the backbone with its weights, kernels rounded to half precision, in which they are saved.

    Raises:
        UserError: as `untrained`, `Backbone` and `read_weights`, or the weights are another network's.
    """
    weights, network = read_weights(path, sha256), untrained(name)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{quoted(path)}: are not the weights of {name}: {reason}") from None
    backbone = Backbone(network, layers)
    backbone.load_state_dict({key: torch.from_numpy(value) for key, value in arrays(backbone).items()})
    return backbone


def arrays(backbone: Backbone) -> dict[str, np.ndarray]:
    """Return the weights: kernels float16, what scales channels as it is (a variance may be too small)."""
    return {
        key: (value.half() if value.ndim > 1 else value).numpy()
        for key, value in backbone.state_dict().items()
    }


def from_arrays(name: str, layers: tuple[str, ...], found: Mapping[str, np.ndarray]) -> Backbone:
    """Take the arrays of `arrays` back."""
    backbone = Backbone(untrained(name), layers)
    backbone.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in found.items()})
    return backbone

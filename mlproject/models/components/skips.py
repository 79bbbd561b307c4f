"""Skip connections: what the encoder sees before each halving is added to the decoder's values of that size.

Ronneberger et al. 2015 (U-Net) concatenate; Collin & De Vleeschouwer, "Improved anomaly detection by training
an autoencoder with skip connections on images corrupted with stain-shaped noise" (ICPR 2020), add, as here:
no parameter more, and the same layers.
"""

import torch
from torch import nn


class SkippingEncoder(nn.Sequential):
    """A Sequential with halvings that also returns what each of them halves."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the codes, then what comes before each max-pooling, in order."""
        values, kept = images, []
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                kept.append(values)
            values = layer(values)
        return values, *kept


class SkippingDecoder(nn.Sequential):
    """A Sequential that adds, after each upsampling, the encoder's values of that size."""

    def forward(self, encoded: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the image that is made of what `SkippingEncoder` returns."""
        values, *kept = encoded
        for layer in self:
            values = layer(values)
            if isinstance(layer, nn.Upsample):
                values = values + kept.pop()
        return values

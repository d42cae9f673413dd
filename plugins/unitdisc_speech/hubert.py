"""HuBERT and its relatives as a frozen encoder, from a checkpoint file on disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Encoder, Padded

if TYPE_CHECKING:
    from torch import nn

_RATE, _HOP, _WINDOW = 16000, 320, 400
"""Hz, and the samples from one latent to the next and those that the convolutions of all architectures see."""


class HuBERT(Encoder):
    """A layer of a pretrained HuBERT, wav2vec 2.0 or WavLM, frozen (Hsu et al. 2021; torchaudio's models).

    Takes raw samples (``data: {kind: waveform}``) at 16 kHz and gives a latent for every 20 ms. Latent s stands
    for the samples [320 s, 320 (s + 1)) and sees 40 more on either side, zeros beyond the recording; so
    there are exactly ceil(samples / 320). Each recording goes through alone, so that others change nothing.

    The file is a ``state_dict`` with torchaudio's names, as `torchaudio.pipelines` would download it
    (``hubert_fairseq_base_ls960.pth``); nothing is downloaded and nothing but tensors is read. Layers above
    ``layer`` and an output layer of speech recognition are left out. The weights become part of the run's
    checkpoints.

    Args:
        features: What one input frame is: samples, as many as divide 320.
        checkpoint: The file; it must be given, a recipe can only be looked at without.
        architecture: Whose weights the file holds. The large ones normalise each recording to mean 0 and
            variance 1, as in their pretraining.
        layer: Transformer layer whose output is taken, from 1; the sixth of HuBERT's base is the one whose
            k-means units are in use.
    """

    def __init__(
        self,
        features: FeatureSpec,
        *,
        checkpoint: Path | None = None,
        architecture: Literal[
            "hubert_base",
            "hubert_large",
            "hubert_xlarge",
            "wav2vec2_base",
            "wav2vec2_large",
            "wav2vec2_large_lv60k",
            "wav2vec2_xlsr_300m",
            "wavlm_base",
            "wavlm_large",
        ] = "hubert_base",
        layer: Annotated[int, Gt(0)] = 6,
    ) -> None:
        super().__init__()
        self.stride = _stride(features)
        self.network: Any = _network(architecture)
        if checkpoint is not None:
            _load(self.network, checkpoint, architecture)
        elif not next(self.network.parameters()).is_meta:
            raise RecipeError(
                f"encoder.checkpoint is missing; give the file with the weights of {architecture}: "
                "encoder.checkpoint=FILE"
            )
        layers = self.network.encoder.transformer.layers
        if layer > len(layers):
            raise RecipeError(f"layer: {architecture} has {len(layers)} layers; accepted: 1 to {len(layers)}")
        del layers[layer:]
        self.network.requires_grad_(requires_grad=False).eval()
        first = self.network.feature_extractor.conv_layers[0].layer_norm
        self.normalize = not isinstance(first, torch.nn.GroupNorm)
        self.dim: int = self.network.encoder.feature_projection.projection.out_features

    def train(self, mode: bool = True) -> HuBERT:  # noqa: FBT001, FBT002
        """Leave the network as it is: nothing drops out, whatever the rest of the model does."""
        super().train(mode)
        self.network.eval()
        return self

    @torch.no_grad()
    def forward(self, inputs: Padded) -> Padded:
        """Return latents (B, S, dim); zeros stand on padding."""
        lengths = (inputs.lengths + self.stride - 1) // self.stride
        num_latents = -(-inputs.values.shape[1] // self.stride)
        latents = inputs.values.new_zeros(len(lengths), num_latents, self.dim)
        for row, (frames, count) in enumerate(zip(inputs.lengths.tolist(), lengths.tolist(), strict=True)):
            if count:
                latents[row, :count] = self._one(inputs.values[row, :frames].flatten(), count)
        return Padded(latents, lengths)

    def _one(self, samples: Tensor, count: int) -> Tensor:
        """Return (count, dim) of the samples (N,) of one recording."""
        if self.normalize:
            samples = F.layer_norm(samples, samples.shape)
        before = (_WINDOW - _HOP) // 2
        padded = F.pad(samples, (before, count * _HOP - len(samples) + before))
        layers, _ = self.network.extract_features(padded[None])
        latents: Tensor = layers[-1][0]
        return latents


def _stride(features: FeatureSpec) -> int:
    samples = features.shape[0] if len(features.shape) == 1 else 0
    if not samples or features.frame_rate * samples != _RATE or _HOP % samples:
        shape = " x ".join(map(str, features.shape))
        raise RecipeError(
            f"a frame is {shape} values, {features.frame_rate:g} per second; hubert takes samples at 16000 Hz, as "
            "many in a frame as divide 320; set data.kind to waveform and data.frame_shift to 0.01"
        )
    return _HOP // samples


def _network(architecture: str) -> Any:
    try:
        from torchaudio import models  # noqa: PLC0415  (it may not import)
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"torchaudio, which has {architecture}, does not import beside torch {torch.__version__} ({reason}); "
            "install a matching pair"
        ) from None
    return getattr(models, architecture)()


def _load(network: nn.Module, path: Path, architecture: str) -> None:
    """Put the tensors of the file in place. Raises `RecipeError` where they do not fit."""
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  (what is no such file raises anything)
        reason = (
            getattr(error, "strerror", None) or "not a file of tensors that torch reads without unpickling"
        )
        raise RecipeError(f"checkpoint: {path}: {reason}; give a state_dict saved by torch.save") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise RecipeError(f"checkpoint: {path}: holds no state_dict of names and tensors; give one")
    found = {str(name): value.float() for name, value in found.items() if not str(name).startswith("aux.")}
    try:
        network.load_state_dict(found, assign=True)
    except RuntimeError as error:
        reason = _misfit(str(error))
        raise RecipeError(
            f"checkpoint: {path} does not fit {architecture}: {reason}; name its architecture, or give a file "
            "with torchaudio's names"
        ) from None


def _misfit(message: str) -> str:
    """Return the first complaint of ``load_state_dict`` in a few words."""
    line = next((line.strip() for line in message.splitlines()[1:]), message)
    names = re.findall(r'"([^"]+)"', line)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    if names and line.startswith(("Missing", "Unexpected")):
        return f"it {'lacks' if line.startswith('Missing') else 'has'} {names[0]}{more}"
    return line.split(":")[0]

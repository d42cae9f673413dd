"""A HuBERT of a few small layers, with random weights."""

from __future__ import annotations

from typing import Any

import torch


def small_hubert(*, layers: int) -> Any:
    from torchaudio import models

    return models.wav2vec2_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=[(8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2],
        extractor_conv_bias=False,
        encoder_embed_dim=16,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=4,
        encoder_pos_conv_groups=2,
        encoder_num_layers=layers,
        encoder_num_heads=2,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=16,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.1,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.05,
        aux_num_out=None,
    )


def replace_base(monkeypatch: Any, *, layers: int) -> torch.nn.Module:
    """Put it in the place of torchaudio's base model; return one with the weights of seed 0."""
    from torchaudio import models

    monkeypatch.setattr(models, "hubert_base", lambda: small_hubert(layers=layers))
    torch.manual_seed(0)
    return small_hubert(layers=layers).eval()

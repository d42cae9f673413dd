"""What the autoregressive Transformer writes where it is shown the truth, and its BLEU."""

from __future__ import annotations

import torch

from tests.plugins.test_translation_decoder import NO_LATENTS, batch, decoder
from unitdisc_translation.vocabulary import END, START


def test_forced_is_the_likeliest_token_after_the_true_tokens_before():
    built = decoder().eval()
    targets = torch.tensor([[4, 6, 5, END], [5, 4, END, 0]])
    found = built.forced(NO_LATENTS, batch(targets, [4, 3]))
    assert [len(row) for row in found] == [4, 3]
    for target, row in zip(targets, found, strict=True):
        for place in range(len(row)):
            # A loop over growing beginnings: the last of their logits, whatever stands behind.
            begun = torch.cat([torch.tensor([START]), target[:place]])[None]
            alone = batch(begun, [place + 1])
            encoded = built.encode(alone.conditions["source"])
            assert row[place] == built.logits(built.decode(alone.inputs, *encoded))[0, -1].argmax()

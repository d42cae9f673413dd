"""The contract tests pass what keeps the contract and name the law that a broken component breaks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from tests.toy import ToyDecoder, ToyEncoder, ToyProbe, ToySource, ToySplit
from unitdisc.codebook import nearest
from unitdisc.data import FeatureSpec, TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.exporter import Exporter
from unitdisc.metric import Evaluated, Metric
from unitdisc.parts import Padded, Quantized
from unitdisc.testing import (
    check_bottleneck,
    check_data,
    check_decoder,
    check_encoder,
    check_exporter,
    check_head,
    check_metric,
)
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = FeatureSpec((6,), 100.0, "second", standardize=False)
TARGETS = {"states": TargetSpec("frames", ("a", "b", "c", "d"))}


class WithoutMask(EMA):
    """Takes padding for latents."""

    def forward(self, latents):
        lengths = torch.full_like(latents.lengths, latents.values.shape[1])
        found = super().forward(Padded(latents.values, lengths))
        found.codes[~latents.mask] = -1
        return found


class ZeroOnPadding(EMA):
    """Marks padding with code 0."""

    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values, found.codes.clamp(min=0), found.loss)


class OneCodeTooMany(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values, torch.where(found.codes == 0, 5, found.codes), found.loss)


class Int32(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values, found.codes.int(), found.loss)


class LossPerLatent(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values, found.codes, found.loss.expand(len(latents.values)))


class MovesInForward(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        if self.training:
            self.after_step(0.0)
        return found


class MovesInEvaluation(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        if not self.training:
            self.counts += 1
        return found


class RemembersEvaluation(EMA):
    """Counts evaluations where the state_dict does not show it."""

    seen = 0

    def forward(self, latents):
        self.seen += not self.training
        return super().forward(latents)

    def after_step(self, progress):
        super().after_step(progress)
        self.codebook += self.seen


class RemembersSkipped(EMA):
    def before_step(self, progress):
        """Forget nothing."""


class LastMicroBatchOnly(EMA):
    def forward(self, latents):
        self.pending.zero_()
        return super().forward(latents)


class StateOutside(EMA):
    steps = 0

    def after_step(self, progress):
        super().after_step(progress)
        self.steps += 1
        self.codebook *= 1 + 0.1 * self.steps


class StateIsNoTensor(EMA):
    def get_extra_state(self):
        return {"steps": 3}

    def set_extra_state(self, state):
        pass


class NoGradient(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values.detach(), found.codes, found.loss.detach())


class Sampled(EMA):
    def forward(self, latents):
        found = super().forward(latents)
        codes = torch.where(found.codes >= 0, torch.randint_like(found.codes, 5), -1)
        return Quantized(found.values, codes, found.loss)


class OtherLookup(EMA):
    def lookup(self, codes):
        return 2 * super().lookup(codes)


class LookupOfPadding(EMA):
    def lookup(self, codes):
        return super().lookup(codes.clamp(min=0))


class Bfloat16Search(Gradient):
    def forward(self, latents):
        found = super().forward(latents)
        scores = nn.functional.linear(latents.values, self.codebook[0]) - self.codebook[0].square().sum(1) / 2
        codes = torch.where(found.codes >= 0, scores.argmax(-1, keepdim=True), -1)
        return Quantized(found.values, codes, found.loss)


class LossOfNothingIsNaN(Gradient):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(
            found.values, found.codes, found.loss * latents.lengths.sum() / latents.lengths.sum()
        )


class TakesNaN(EMA):
    def forward(self, latents):
        return super().forward(Padded(latents.values.nan_to_num(0, 0, 0), latents.lengths))


class CountsBeforeItRefuses(EMA):
    def forward(self, latents):
        if not torch.isfinite(latents.values).all():
            self.pending[-1] += 1
        return super().forward(latents)


class ForeignParameter(Gradient):
    def param_groups(self):
        yield {"params": [nn.Parameter(torch.zeros(1))], "lr_scale": 2.0}


class NegativeWorkspace(EMA):
    def workspace(self, num_latents):
        return -num_latents


class Noisy(EMA):
    """Draws one number for each valid latent in training and moves the codebook by their sum."""

    def forward(self, latents):
        found = super().forward(latents)
        if self.training:
            self.pending[0] += self.draw(latents).sum()
        return found

    def draw(self, latents):
        return torch.randn(int(latents.lengths.sum()))


class DrawsForPadding(Noisy):
    def draw(self, latents):
        return torch.randn(latents.mask.shape)[latents.mask]


class ExtraDrawsForPadding(Noisy):
    """Its latents get the same numbers, but what comes behind them does not."""

    def draw(self, latents):
        drawn = super().draw(latents)
        torch.randn(latents.mask.sum(1).sub(latents.mask.shape[1]).abs().sum())
        return drawn


class DrawsElsewhere(Noisy):
    def draw(self, latents):
        return torch.from_numpy(np.random.default_rng().normal(size=int(latents.lengths.sum())))


class NoisyLastMicroBatchOnly(Noisy):
    def forward(self, latents):
        self.pending.zero_()
        return super().forward(latents)


class NoisyMeanOverMicroBatches(Noisy):
    """Gives every micro-batch the same weight, whatever its latents."""

    batches = 0

    def before_step(self, progress):
        super().before_step(progress)
        self.batches = 0

    def forward(self, latents):
        self.batches += self.training
        return super().forward(latents)

    def after_step(self, progress):
        self.pending /= max(self.batches, 1)
        super().after_step(progress)


class SumOverLatents(Gradient):
    def forward(self, latents):
        found = super().forward(latents)
        return Quantized(found.values, found.codes, found.loss * latents.lengths.sum())


class LastMicroBatchAndEntropy(Gradient):
    """Its loss is no sum over latents, and moves nothing; its statistics are those of a part of the step."""

    def __init__(self, dim, **arguments):
        super().__init__(dim, **arguments)
        self.register_buffer("mean", torch.zeros(dim))
        self.seen = None

    def forward(self, latents):
        found = super().forward(latents)
        vectors = latents.values[latents.mask]
        if self.training and len(vectors):
            self.seen = vectors.detach().mean(0)
        return Quantized(
            found.values, found.codes, found.loss + vectors.sum(0).div(max(len(vectors), 1)).square().sum()
        )

    def after_step(self, progress):
        if self.seen is not None:
            self.mean.lerp_(self.seen, 0.1)


class SeedsInEvaluation(EMA):
    def forward(self, latents):
        if not self.training:
            torch.manual_seed(0)
        return super().forward(latents)


class DrawsInSteps(EMA):
    """Right: the engine seeds before both methods, alike on all ranks."""

    def before_step(self, progress):
        super().before_step(progress)
        self.pending[0] = torch.randn(())

    def after_step(self, progress):
        super().after_step(progress)
        self.codebook += torch.randn_like(self.codebook)


class SaturatesAtRandom(EMA):
    """Right: a draw may leave a latent without a gradient, the next draw does not."""

    def forward(self, latents):
        found = super().forward(latents)
        if not self.training:
            return found
        kept = torch.zeros(latents.mask.shape)
        kept[latents.mask] = (torch.rand(int(latents.lengths.sum())) < 0.5).float()
        values = found.values.detach() + kept.unsqueeze(-1) * (found.values - found.values.detach())
        return Quantized(values, found.codes, found.loss.detach())


class BatchEntropy(Gradient):
    """Right: a term of the loss that is a function of the mean over the batch."""

    def forward(self, latents):
        found = super().forward(latents)
        total = (latents.values * latents.mask.unsqueeze(-1)).sum((0, 1))
        mean = total / latents.lengths.sum().clamp(min=1)
        return Quantized(found.values, found.codes, found.loss + mean.norm() * self.codebook.square().mean())


class WarmsUp(EMA):
    """Right: passes latents on and has a loss of 0 in training."""

    def forward(self, latents):
        found = super().forward(latents)
        if not self.training:
            return found
        values = torch.where(latents.mask.unsqueeze(-1), latents.values, 0)
        return Quantized(values, found.codes, found.loss.new_zeros(()))


@pytest.mark.parametrize("rule", [Noisy, DrawsInSteps, SaturatesAtRandom, BatchEntropy, WarmsUp])
def test_rules_that_draw_or_do_not_quantise_yet_pass(rule):
    check_bottleneck(partial(rule, num_codes=5))


BROKEN_RULES = {
    WithoutMask: "padding changes nothing",
    ZeroOnPadding: "codes lie in .* and are -1 on padding and there alone: padding has the codes",
    OneCodeTooMany: "codes lie in .* with K = 5",
    Int32: "shapes and types are those of Quantized: codes are torch.int32",
    LossPerLatent: "shapes and types are those of Quantized: the loss has shape",
    MovesInForward: "the codebook moves in after_step alone",
    MovesInEvaluation: "evaluation changes no state",
    RemembersEvaluation: "evaluation changes no state",
    RemembersSkipped: "a skipped step leaves no trace",
    LastMicroBatchOnly: "micro-batches of a step count as one batch",
    StateOutside: "state_dict holds the whole state",
    StateIsNoTensor: "state_dict holds tensors only",
    NoGradient: "gradients pass to the latents",
    Sampled: "the same latents get the same codes in evaluation",
    OtherLookup: "lookup gives the values that evaluation gives",
    LookupOfPadding: "lookup of -1 gives zeros",
    Bfloat16Search: "codes are found in float32 under mixed precision",
    LossOfNothingIsNaN: "a batch without valid latents has a loss of 0",
    TakesNaN: "latents that are not finite are refused before any statistic: no ValueError",
    CountsBeforeItRefuses: "latents that are not finite are refused before any statistic",
    ForeignParameter: "param_groups name own parameters",
    NegativeWorkspace: "workspace is a number of bytes",
    DrawsForPadding: "padding changes nothing",
    ExtraDrawsForPadding: "random numbers are drawn for valid latents alone",
    DrawsElsewhere: "padding changes nothing|a function of latents, state and torch's generator",
    NoisyLastMicroBatchOnly: "micro-batches of a step may come in any order",
    NoisyMeanOverMicroBatches: "a micro-batch without valid latents changes nothing",
    SumOverLatents: "the loss is a mean over valid latents|micro-batches of a step count",
    LastMicroBatchAndEntropy: "micro-batches of a step may come in any order",
    SeedsInEvaluation: "evaluation leaves torch's generator alone",
}


@pytest.mark.parametrize("rule", BROKEN_RULES)
def test_broken_rule_is_caught_by_its_law(rule):
    with pytest.raises(AssertionError, match=BROKEN_RULES[rule]):
        check_bottleneck(partial(rule, num_codes=5, num_codebooks=1))


def test_rules_are_tried_with_two_codebooks_unless_told_otherwise():
    class OneBookOnly(EMA):
        def lookup(self, codes):
            return super().lookup(codes)[..., : 8 // self.num_codebooks]

    with pytest.raises(AssertionError, match="lookup"):
        check_bottleneck(partial(OneBookOnly, num_codes=5))


def test_search_of_the_engine_is_what_the_precision_law_asks_for():
    codebook = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    middle = (codebook[0] + codebook[1]) / 2 + 1e-3 * (codebook[0] - codebook[1])
    with torch.autocast("cpu", torch.bfloat16):
        assert nearest(middle, codebook[:2]).item() == 0


def test_toy_parts_keep_the_contracts():
    check_encoder(partial(ToyEncoder, dim=5), FEATURES)
    check_decoder(ToyDecoder, FEATURES)
    check_head(ToyProbe, TARGETS, sends_gradient=False)


class SeesPadding(ToyEncoder):
    def forward(self, inputs):
        return super().forward(Padded(inputs.values, torch.full_like(inputs.lengths, inputs.values.shape[1])))


class SeesItsNeighbour(ToyEncoder):
    def forward(self, inputs):
        latents = super().forward(inputs)
        return Padded(latents.values + latents.values.mean(), latents.lengths)


class DropsTheLastFrame(ToyEncoder):
    def forward(self, inputs):
        latents = super().forward(inputs)
        return Padded(latents.values, inputs.lengths // 2)


class NeedsAFrame(ToyEncoder):
    """Has a latent for an utterance without frames."""

    def forward(self, inputs):
        latents = super().forward(inputs)
        return Padded(latents.values, latents.lengths.clamp(min=1))


class IdleParameter(ToyEncoder):
    def __init__(self, *, features):
        super().__init__(features=features)
        self.idle = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("encoder", "law"),
    [
        (SeesPadding, r"T frames give ceil\(T / stride\) latents|padding changes nothing"),
        (SeesItsNeighbour, "padding changes nothing: latents"),
        (DropsTheLastFrame, r"T frames give ceil\(T / stride\) latents of size dim: lengths \[1\] give"),
        (NeedsAFrame, r"T frames give .* lengths \[.*, 0\] give the lengths"),
        (IdleParameter, "gradients reach every parameter: 'idle' gets none"),
    ],
)
def test_broken_encoder_is_caught_by_its_law(encoder, law):
    with pytest.raises(AssertionError, match=law):
        check_encoder(encoder, FEATURES)


class MeanOverUtterances(ToyDecoder):
    def forward(self, latents, batch):
        loss, stats = super().forward(latents, batch)
        return loss * batch.num_frames / len(batch.keys), stats


class ExplainsPadding(ToyDecoder):
    def forward(self, latents, batch):
        loss, stats = super().forward(latents, batch)
        return loss + batch.inputs.values.square().sum(), stats


class Deaf(ToyDecoder):
    def forward(self, latents, batch):
        return super().forward(Padded(latents.values.detach(), latents.lengths), batch)


@pytest.mark.parametrize(
    ("decoder", "law"),
    [
        (MeanOverUtterances, "the mean of its utterances' losses weighted by valid frames"),
        (ExplainsPadding, "padding changes nothing|weighted by valid frames"),
        (Deaf, "gradients pass to the latents"),
    ],
)
def test_broken_decoder_is_caught_by_its_law(decoder, law):
    with pytest.raises(AssertionError, match=law):
        check_decoder(decoder, FEATURES)


class Shortened(ToyProbe):
    def predict(self, latents, lengths):
        return super().predict(latents, lengths - 1)


@pytest.mark.parametrize(
    ("head", "sends_gradient", "law"),
    [
        (Shortened, False, "predict gives one int64 label per frame"),
        (ToyProbe, True, "gradients pass to the latents"),
    ],
)
def test_broken_head_is_caught_by_its_law(head, sends_gradient, law):
    with pytest.raises(AssertionError, match=law):
        check_head(head, TARGETS, sends_gradient=sends_gradient)


class ToyWithSplits(ToySource):
    """The toy source, changed by ``change`` per example and with a true error for unknown splits."""

    change = None

    def split(self, name):
        if name != "train":
            raise DataError(f"no split {name!r}; there is: train")
        return super().split(name)

    def featurize(self, signal, rate=None):
        del rate
        return torch.from_numpy(signal[: 100 * 6]).view(100, 6)


def test_sound_data_source_passes():
    check_data(ToyWithSplits())


class OtherEveryTime(ToySplit):
    def __getitem__(self, index):
        example = super().__getitem__(index)
        example.inputs.add_(torch.rand(()))
        return example


class LabelOutside(ToySplit):
    def __getitem__(self, index):
        example = super().__getitem__(index)
        example.targets["states"][0] = 4
        return example


class WrongLengths(ToySplit):
    def __getitem__(self, index):
        example = super().__getitem__(index)
        return example.crop(0, len(example.inputs) - 1)


@pytest.mark.parametrize(
    ("split", "law"),
    [
        (OtherEveryTime, "an example is a pure function of its index"),
        (LabelOutside, r"targets are int64 in the vocabulary.*'states' of .* has 1 labels outside \[-1, 4\)"),
        (WrongLengths, "inputs are finite float32 of the announced length"),
    ],
)
def test_broken_data_is_caught_by_its_law(split, law):
    class Broken(ToyWithSplits):
        def split(self, name):
            super().split(name)
            return split(6, 1)

    with pytest.raises(AssertionError, match=law):
        check_data(Broken())


def test_unknown_split_must_be_refused():
    class Broken(ToyWithSplits):
        def split(self, name):
            return super().split("train" if name not in {"train", "test"} else name)

    with pytest.raises(AssertionError, match="an unknown split is a DataError"):
        check_data(Broken())


class MeanCode(Metric):
    """Mean code of utterances that have the target "states"."""

    def __init__(self) -> None:
        self.sum, self.count = 0, 0

    def update(self, item: Evaluated) -> None:
        if "states" not in item.targets:
            raise RecipeError("target: 'states' does not exist")
        self.sum += int(item.codes.sum())
        self.count += len(item.codes)

    def compute(self) -> dict[str, float]:
        return {"value": self.sum / self.count}


class MeanOfMeans(MeanCode):
    """Depends on the order through a running average."""

    def update(self, item):
        super().update(item)
        self.sum = self.sum / 2


class SharedState(MeanCode):
    totals: list[int] = []  # noqa: RUF012

    def update(self, item):
        super().update(item)
        self.totals.append(len(self.totals))

    def compute(self):
        return {"value": float(len(self.totals))}


class Overwrites(MeanCode):
    def update(self, item):
        super().update(item)
        item.codes[:] = 0


class KeyErrorForTarget(MeanCode):
    def update(self, item):
        self.sum += int(item.targets["states"].sum())
        self.count += 1


class Infinite(MeanCode):
    def compute(self):
        return {"value": float("nan")}


@pytest.mark.parametrize(
    ("metric", "law"),
    [
        (MeanOfMeans, "the order of utterances does not matter"),
        (SharedState, "the order of utterances does not matter|instances share no state"),
        (Overwrites, "update does not change what it is given|the order"),
        (KeyErrorForTarget, "a target, head or field that does not exist is a RecipeError: KeyError"),
        (Infinite, "compute returns finite numbers"),
    ],
)
def test_broken_metric_is_caught_by_its_law(metric, law):
    with pytest.raises(AssertionError, match=law):
        check_metric(metric, targets=TARGETS)


def test_sound_metric_passes():
    check_metric(MeanCode, targets=TARGETS, heads=TARGETS)


class Lines(Exporter):
    def write(self, units, *, split, num_codes, folder: Path) -> list[Path]:
        del num_codes
        path = folder / f"{split}.txt"
        path.write_text("\n".join(f"{item.key} {item.codes.tolist()}" for item in units))
        return [path]


class ForgetsTheLast(Lines):
    def write(self, units, **arguments):
        return super().write(units[:-1], **arguments)


class HidesAFile(Lines):
    def write(self, units, *, folder, **arguments):
        (folder / "hidden").write_text("x")
        return super().write(units, folder=folder, **arguments)


class Random(Lines):
    def write(self, units, **arguments):
        (path,) = super().write(units, **arguments)
        path.write_text(path.read_text() + str(np.random.default_rng().random()))
        return [path]


class OneBook(Lines):
    def write(self, units, **arguments):
        assert units[0].codes.shape[1] == 1
        return super().write(units, **arguments)


@pytest.mark.parametrize(
    ("exporter", "law"),
    [
        (ForgetsTheLast, "every utterance is written"),
        (HidesAFile, "write returns the files it wrote: it returned 1 and wrote 2"),
        (Random, "the same units give the same bytes"),
        (OneBook, "what a format cannot hold is a RecipeError: two codebooks give AssertionError"),
    ],
)
def test_broken_exporter_is_caught_by_its_law(exporter, law):
    with pytest.raises(AssertionError, match=law):
        check_exporter(exporter())


def test_sound_exporter_passes():
    check_exporter(Lines())

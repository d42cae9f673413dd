"""Whether the baseline is a fair one: the autoregressive Transformer beside `torch.nn.Transformer` of equal size.

    python tests/benchmarks/translation.py data.root=MULTI30K [--run RUN] [--peer FOLDER] [--sentences 100] [--json]
        [--recipe translation/autoregressive] [--preset small] [KEY=VALUE ...]

The peer has the same table of vectors, dropout and label smoothing, and is trained by the same loop on the same
batches with the same optimiser, schedule and averaged weights. Both write with the same greedy and beam search: BLEU
over the whole test split, then the time of single sentences, in turns in one process. "kept" remembers the steps before
(ours keys and values; the peer the inputs of its layers, the usual way with torch's modules), "again" works all of them
out at each step. "peer in ours" are the peer's weights in our modules: the same translations, so times can be compared.
"""

from __future__ import annotations

import functools
import importlib
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from measurement import alone, arguments, facts, show, spread, text
from torch import Tensor, nn

from unitdisc import checkpoint, device, model, recipe, state
from unitdisc.data import collate
from unitdisc.display import Display
from unitdisc.parts import Padded
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer
from unitdisc_translation.decoder import Autoregressive, CachedSteps
from unitdisc_translation.search import beam_search, greedy
from unitdisc_translation.transformer import positions
from unitdisc_translation.vocabulary import PAD, START, UNKNOWN

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unitdisc.data import DataSource, Split
    from unitdisc.recipe import Recipe
    from unitdisc_translation.search import Steps

    Start = Callable[[Padded, int], Steps]
    Ways = dict[tuple[str, str], Start]

FURTHER = 50
ALPHA = 0.6
WARM_UP = 3


class Peer(Autoregressive):
    """The same decoder around `torch.nn.Transformer`: what stands around it is ours, all layers are torch's."""

    def __init__(self, *, hidden: int, layers: int, heads: int, inner: int, norm: str, **more: Any) -> None:
        super().__init__(hidden=hidden, layers=layers, heads=heads, inner=inner, norm=norm, **more)
        del self.encoder, self.decoder
        with warnings.catch_warnings(
            action="ignore"
        ):  # nested tensors are for norms behind the sublayers only
            self.transformer = nn.Transformer(
                hidden,
                heads,
                layers,
                layers,
                inner,
                more["dropout"],
                norm_first=norm == "pre",
                batch_first=True,
            )

    def encode(self, source: Padded) -> tuple[Tensor, Tensor]:
        """Return vectors (B, U, D) of source tokens and the mask (B, 1, 1, U) of valid ones."""
        found = self.transformer.encoder(self._vectors(source), src_key_padding_mask=~source.mask)
        return found, source.mask[:, None, None]

    def decode(self, tokens: Padded, source: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, D), at each place what is known of the next token after ``tokens`` (B, T)."""
        after = torch.ones(2 * tokens.values.shape[1:], dtype=torch.bool, device=source.device).triu(1)
        return self.transformer.decoder(
            self._vectors(tokens),
            source,
            tgt_mask=after,
            tgt_is_causal=True,
            memory_key_padding_mask=~mask[:, 0, 0],
        )


class Again:
    """Steps that work out everything before them again.

    Args:
        decoder: Ours or the peer.
        source: (B, U) int64.
        beam: Partial translations K of each sentence.
    """

    def __init__(self, decoder: Autoregressive, source: Padded, beam: int) -> None:
        self.decoder = decoder
        encoded, mask = decoder.encode(source)
        self.encoded, self.mask = encoded.repeat_interleave(beam, 0), mask.repeat_interleave(beam, 0)
        self.written = source.values.new_empty(len(self.encoded), 0)
        self.ban = torch.zeros(len(decoder.embedding))
        self.ban[[PAD, START, UNKNOWN]] = float("-inf")

    def next(self, tokens: Tensor) -> Tensor:
        """Take the last tokens (B, K) in; return the logits (B, K, V) of the next ones."""
        self.written = torch.cat([self.written, tokens.flatten()[:, None]], 1)
        return (self.decoder.logits(self.last()) + self.ban).view(*tokens.shape, -1)

    def last(self) -> Tensor:
        """Return (B * K, D), what is known of the next token."""
        rows, length = self.written.shape
        tokens = Padded(self.written, torch.full((rows,), length))
        return self.decoder.decode(tokens, self.encoded, self.mask)[:, -1]

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        """Go on with these ``sentences`` (B',), with the partial translations ``parents`` (B', K) of each."""
        rows = (sentences[:, None] * parents.shape[1] + parents).flatten()
        self.written, self.encoded, self.mask = self.written[rows], self.encoded[rows], self.mask[rows]


class Kept(Again):
    """Steps of the peer that remember the inputs of each self-attention (the norms stand in front)."""

    def __init__(self, decoder: Peer, source: Padded, beam: int) -> None:
        super().__init__(decoder, source, beam)
        self.layers = decoder.transformer.decoder.layers
        self.inputs = [self.encoded[:, :0] for _ in self.layers]

    def last(self) -> Tensor:
        """Return (B * K, D), what is known of the next token."""
        place = self.written.shape[1] - 1
        x = self.decoder.embed(self.written[:, -1:]) + self.position(place)
        for number, layer in enumerate(self.layers):
            seen = layer.norm1(x)
            self.inputs[number] = past = torch.cat([self.inputs[number], seen], 1)
            x = x + layer.self_attn(seen, past, past, need_weights=False)[0]
            hidden = ~self.mask[:, 0, 0]
            x = (
                x
                + layer.multihead_attn(
                    layer.norm2(x), self.encoded, self.encoded, key_padding_mask=hidden, need_weights=False
                )[0]
            )
            x = x + layer.linear2(layer.linear1(layer.norm3(x)).relu())
        return self.decoder.transformer.decoder.norm(x)[:, 0]

    def position(self, place: int) -> Tensor:
        """Return (D,), the position of a token."""
        return positions(place + 1, self.encoded.shape[2])[place]

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        """Go on with these ``sentences`` (B',), with the partial translations ``parents`` (B', K) of each."""
        super().select(sentences, parents)
        rows = (sentences[:, None] * parents.shape[1] + parents).flatten()
        self.inputs = [kept[rows] for kept in self.inputs]


def main() -> None:
    """Train what is not there yet, then measure and print."""
    parser = arguments(__doc__, runs=100)
    parser.add_argument("--recipe", default="translation/autoregressive", help="of both")
    parser.add_argument("--preset", default="small", help="a preset of it (small)")
    parser.add_argument("--run", type=Path, help="a run of ours with this recipe, in place of training one")
    parser.add_argument("--peer", type=Path, help="folder in which the peer's checkpoint lies, or is kept")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4], help="1 is greedy (1 4)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        measurements = alone(compare, options, Path(folder))
    measurements = [{"benchmark": "translation", **item, **facts(options)} for item in measurements]
    heading = ["decoder", "steps before", "beam", "BLEU", "ms a sentence", "times faster than peer, kept"]
    rows = [
        [
            item["decoder"],
            item["before"],
            str(item["beam"]),
            f"{item['bleu']:.1f}",
            text({key: 1000 * value for key, value in item["seconds"].items()}, ".1f"),
            text(item["ratio"]),
        ]
        for item in measurements
    ]
    show(measurements, [heading, *rows], as_json=options.json)


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return a measurement of each way to write, with beam 1 and 4."""
    asked = recipe.read(
        options.recipe,
        preset=options.preset,
        overrides=[f"train.threads={options.threads}", "train.device=cpu", *options.overrides],
    )
    device.choose(asked.train)
    source: DataSource = asked.data.build()
    source.prepare()
    ours = trained(asked, source, options.run or folder / "ours", Autoregressive)
    peer = trained(asked, source, options.peer or folder / "peer", Peer)
    moved = in_ours(
        peer, model.build(asked, source.features, source.targets, source.conditions).eval().decoder
    )
    ways: Ways = {
        ("ours", "kept"): partial(cached, ours),
        ("ours", "again"): partial(Again, ours),
        ("peer in ours", "kept"): partial(cached, moved),
        ("peer in ours", "again"): partial(Again, moved),
        ("peer", "kept"): partial(Kept, peer),
        ("peer", "again"): partial(Again, peer),
    }
    split = source.split(asked.evaluate.split)
    with torch.inference_mode():
        return [item for beam in options.beams for item in measured(ways, split, beam, options.runs)]


def trained(asked: Recipe, source: DataSource, folder: Path, kind: type[Autoregressive]) -> Autoregressive:
    """Return the averaged decoder of the checkpoint in ``folder``, trained there first where there is none."""
    built = model.build(asked, source.features, source.targets, source.conditions)
    if kind is Peer:
        torch.manual_seed(asked.seed)
        numbers = {name: len(values) for name, values in source.conditions.items()}
        built.decoder = Peer(features=source.features, conditions=numbers, **asked.decoder.arguments)
    run = RunFolder(folder)
    run.path.mkdir(parents=True, exist_ok=True)
    if checkpoint.newest(run.checkpoints)[0] is None:
        trainer = Trainer(asked, model=built, split=source.split("train"), folder=run)
        trainer.run(Display(steps=asked.train.steps, quiet=True))
    found, _ = checkpoint.newest(run.checkpoints, files=("model", "average"))
    state.load_model(built, {**found.tensors["model"], **found.tensors.get("average", {})})
    return built.eval().decoder


def in_ours(peer: Peer, ours: Autoregressive) -> Autoregressive:
    """Return our decoder with the peer's weights."""
    ours.load_state_dict({_our_name(name): weights for name, weights in peer.state_dict().items()})
    return ours


def _our_name(name: str) -> str:
    """Return what we call a weight of the peer."""
    names = {
        "transformer.": "", "self_attn.in_proj_": "own.", "self_attn.out_proj": "own.out",
        "multihead_attn.in_proj_": "source.", "multihead_attn.out_proj": "source.out", "linear1": "inner.0",
        "linear2": "inner.3", "norm1": "around_own.norm", "norm3": "around_inner.norm",
        "norm2": "around_source.norm" if ".decoder." in name else "around_inner.norm",
    }  # fmt: skip
    return functools.reduce(lambda done, old: done.replace(old, names[old]), names, name)


def cached(decoder: Autoregressive, source: Padded, beam: int) -> CachedSteps:
    """Return our steps, with the keys and values of those before."""
    return CachedSteps(decoder, source, beam=beam, longest=int(source.lengths.max()) + FURTHER)


def write(start: Start, source: Padded, beam: int) -> list[Tensor]:
    """Return translations (U,) int64."""
    limits = source.lengths + FURTHER
    steps = start(source, beam)
    return greedy(steps, limits) if beam == 1 else beam_search(steps, limits, beam=beam, alpha=ALPHA)


def measured(ways: Ways, split: Split, beam: int, sentences: int) -> list[dict[str, Any]]:
    """Return a measurement of each way to write with this beam."""
    scores = {way: bleu(start, split, beam) for way, start in ways.items()}
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for index in range(min(sentences, len(split)) + WARM_UP):
        source = collate([split[index % len(split)]]).conditions["source"]
        for way, start in ways.items():
            began = time.perf_counter()
            write(start, source, beam)
            seconds[way].append(time.perf_counter() - began)
    seconds = {way: taken[WARM_UP:] for way, taken in seconds.items()}
    found = []
    for (decoder, before), taken in seconds.items():
        ratio = [one / other for one, other in zip(seconds["peer", "kept"], taken, strict=True)]
        item = {"decoder": decoder, "before": before, "beam": beam, "bleu": scores[decoder, before]}
        found.append({**item, "seconds": spread(taken), "ratio": spread(ratio)})
    return found


def bleu(start: Start, split: Split, beam: int) -> float:
    """Return sacreBLEU of the whole split."""
    order = sorted(range(len(split)), key=split.lengths.__getitem__)
    written = {}
    for indices in (order[at : at + 50] for at in range(0, len(order), 50)):
        source = collate([split[index] for index in indices]).conditions["source"]
        written.update(zip(indices, map(split.text, write(start, source, beam)), strict=True))
    texts = [written[index] for index in range(len(split))]
    references = [split.fields(index)["target"] for index in range(len(split))]
    return importlib.import_module("sacrebleu").corpus_bleu(texts, [references]).score


if __name__ == "__main__":
    main()

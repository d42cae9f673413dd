"""The latent Transformer: its loss, its search against enumeration, its early stop, its noise; it learns."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import log

import pytest
import torch
import torch.nn.functional as F

from unitdisc.coded import Coded
from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder, check_encoder
from unitdisc.watch import Watch
from unitdisc_ema.rule import EMA
from unitdisc_translation.compress import Compress
from unitdisc_translation.latent_predictor import LatentSteps, search
from unitdisc_translation.latent_transformer import LatentTransformer
from unitdisc_translation.terminal import TerminalCodes
from unitdisc_translation.vocabulary import END, PAD
from unitdisc_translation.word_noise import WordNoise

V, K, Q, D, STRIDE = 9, 3, 2, 6, 4
TOKENS = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=V)
SMALL = {"hidden": 8, "layers": 2, "heads": 2, "inner": 16}


def decoder(**parameters: object) -> LatentTransformer:
    torch.manual_seed(2)
    sizes = {"dim": D, "stride": STRIDE, "num_codes": K, "num_codebooks": Q}
    return LatentTransformer(features=TOKENS, conditions={"source": V}, **{**sizes, **SMALL, **parameters})


def pairs(lengths: list[int], seed: int = 0) -> Batch:
    """Sentences in which target and source are equally long, padded as data.pad does it."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(4, V, (len(lengths), max(lengths)), generator=generator)
    whole = [-(-2 * length // STRIDE) * STRIDE for length in lengths]
    target = torch.full((len(lengths), max(whole)), PAD)
    for row, length in enumerate(lengths):
        target[row, : length - 1] = source[row, : length - 1].flip(0)
        target[row, length - 1] = source[row, length - 1] = END
    condition = Padded(source, torch.tensor(lengths))
    return Batch(
        [f"u{row}" for row in range(len(lengths))],
        Padded(target, torch.tensor(whole)),
        {},
        {"source": condition},
    )


def coded(batch: Batch, *, samples: int = 0) -> Coded:
    lengths = batch.inputs.lengths // STRIDE
    torch.manual_seed(5)
    values = torch.randn(len(lengths), int(lengths.max()), D)
    codes = torch.randint(K, (*values.shape[:2], Q))
    is_padding = ~Padded(codes, lengths).mask[..., None]
    drawn = (
        torch.randint(K, (*codes.shape, samples)).masked_fill(is_padding[..., None], -1) if samples else None
    )
    return Coded(values, lengths, codes.masked_fill(is_padding, -1), drawn)


def lookup(codes: torch.Tensor) -> torch.Tensor:
    table = torch.randn(Q, K, D // Q, generator=torch.Generator().manual_seed(9))
    found = torch.cat([table[book, codes[..., book].clamp(min=0)] for book in range(Q)], -1)
    return found * (codes[..., :1] >= 0)


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("attends", [True, False])
def test_the_decoder_keeps_the_laws(reading: str, attends: bool):
    make = partial(
        LatentTransformer, **SMALL, reading=reading, attends_source=attends, dropout=0.0, smoothing=0.1
    )
    check_decoder(make, TOKENS, conditions={"source": V})


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_encoder_keeps_the_laws(steps: int):
    check_encoder(
        lambda features: Compress(features=features, dim=8, num_compress_steps=steps, dropout=0.0), TOKENS
    )


def test_an_encoder_that_looks_at_the_source_hangs_on_it_and_on_nothing_behind_its_end():
    encoder = Compress(features=TOKENS, dim=8, num_compress_steps=2, attend="source", heads=2).eval()
    batch = pairs([5, 3])
    source = batch.conditions["source"]
    spoiled = Padded(source.values.where(source.mask, 10**6), source.lengths)
    other = Padded(source.values.flip(1), source.lengths)
    found = encoder(batch.inputs, {"source": source}).values
    assert torch.equal(found, encoder(batch.inputs, {"source": spoiled}).values)
    assert not torch.allclose(found, encoder(batch.inputs, {"source": other}).values)
    with pytest.raises(RecipeError, match=r"encoder\.attend: there is no sentence 'source'"):
        encoder(batch.inputs)


def test_the_loss_is_the_nats_of_words_and_of_codes_by_loops():
    model, batch = decoder(predictor_weight=0.5).eval(), pairs([6, 3, 2])
    latents = coded(batch)
    with torch.no_grad():
        loss, numbers = model(latents, batch)
        encoded, mask = model.encode(batch.conditions["source"])
        words = F.linear(model._read(model.spread(latents), encoded, mask), model.embedding).log_softmax(2)
        codes = model.predictor(latents.values, encoded, mask)
    nats = {"words": 0.0, "codes": 0.0}
    count = 0
    for row, length in enumerate(batch.inputs.lengths.tolist()):
        for place, token in enumerate(batch.inputs.values[row, :length].tolist()):
            if token != PAD:
                nats["words"] -= float(words[row, place, token])
                count += 1
        for place in range(length // STRIDE):
            for book in range(Q):
                nats["codes"] -= float(codes[row, place, book, latents.codes[row, place, book]])
    frames = int(batch.inputs.lengths.sum())
    assert float(loss) == pytest.approx((nats["words"] + 0.5 * nats["codes"]) / frames, rel=1e-5)
    assert log(float(numbers["perplexity"])) == pytest.approx(nats["words"] / count, rel=1e-5)
    assert log(float(numbers["bound"])) == pytest.approx((nats["words"] + nats["codes"]) / count, rel=1e-5)


@torch.no_grad()
def test_the_predictors_target_is_the_mean_of_the_samples_one_hots():
    model, batch = decoder().eval(), pairs([6, 3, 2])
    latents = coded(batch, samples=5)
    encoded, mask = model.encode(batch.conditions["source"])
    log_probs = model.predictor(latents.values, encoded, mask)
    soft = F.one_hot(latents.samples.clamp(min=0), K).double().mean(3)  # (B, S, Q, K)
    expected = -(soft * log_probs.double()).sum((2, 3))[latents.mask].sum()
    assert float(model._predicted(latents, encoded, mask)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(("weight", "start"), [(True, 0.0), (False, 0.5)])
def test_the_predictor_learns_from_its_start_on_and_moves_the_encoder_only_where_it_may(
    weight: bool, start: float
):
    model, batch = decoder(predictor_start=start, predictor_gradient=weight).train(), pairs([6, 3])
    for progress in (0.2, 0.7):
        latents = coded(batch)
        values = latents.values.clone().requires_grad_()
        model.zero_grad()
        model.before_step(progress)
        torch.manual_seed(0)
        model(Coded(values, latents.lengths, latents.codes), batch)[0].backward()
        learns = float(model.predictor.out.weight.grad.abs().max()) > 0
        assert learns == (progress >= start)


@pytest.fixture
def model() -> LatentTransformer:
    return decoder().eval()


def greedy_by_loops(model: LatentTransformer, source: Padded, steps: int) -> list[tuple[int, ...]]:
    encoded, mask = model.encode(source)
    written = torch.zeros(1, 0, Q, dtype=torch.long)
    for _ in range(steps):
        vectors = torch.cat([lookup(written), torch.zeros(1, 1, D)], 1)
        chosen = model.predictor(vectors, encoded, mask)[:, -1].argmax(-1)
        written = torch.cat([written, chosen[:, None]], 1)
    return [tuple(codes) for codes in written[0].tolist()]


def best_by_enumeration(model: LatentTransformer, source: Padded, steps: int) -> list[list[tuple[int, ...]]]:
    encoded, mask = model.encode(source)
    latents = list(product(range(K), repeat=Q))
    everything = list(product(latents, repeat=steps))
    codes = torch.tensor(everything)
    rows = len(everything)
    log_probs = model.predictor(lookup(codes), encoded.expand(rows, -1, -1), mask.expand(rows, -1, -1, -1))
    scores = log_probs.gather(3, codes[..., None]).flatten(1).sum(1)
    return [list(everything[place]) for place in scores.argsort(descending=True).tolist()]


def sentences(model: LatentTransformer, source: Padded, **options: object) -> torch.Tensor:
    return model.sentences(
        source,
        *model.encode(source),
        lookup=lookup,
        **{"beam": 1, "max_length": None, "is_end": None, **options},
    )


@torch.no_grad()
def test_greedy_latents_with_caches_are_those_of_plain_loops(model: LatentTransformer):
    source = pairs([7]).conditions["source"]
    found = sentences(model, source)
    assert [tuple(codes) for codes in found[0, 0].tolist()] == greedy_by_loops(model, source, 4)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_all_latent_sentences_finds_the_likeliest_of_them_in_order(seed: int):
    torch.manual_seed(seed)
    model = decoder().eval()
    torch.nn.init.normal_(model.predictor.out.weight)
    source = pairs([4], seed).conditions["source"]
    found = sentences(model, source, beam=81)[0]
    expected = best_by_enumeration(model, source, 2)
    assert [[tuple(codes) for codes in row] for row in found[:10].tolist()] == expected[:10]


@torch.no_grad()
@pytest.mark.parametrize(("beam", "early_stop"), [(1, False), (3, False), (3, True)])
def test_a_sentence_is_translated_alike_alone_and_in_a_batch_with_spoiled_padding(
    model: LatentTransformer, beam: int, early_stop: bool
):
    model.terminal.counts[:, :, 1] = 10
    source = pairs([7, 2, 5]).conditions["source"]
    spoiled = Padded(source.values.where(source.mask, 10**6), source.lengths)
    options = {"lookup": lookup, "beam": beam, "early_stop": early_stop}
    together = model.candidates(spoiled, **options)
    for row, length in enumerate(source.lengths.tolist()):
        alone = Padded(source.values[row : row + 1, :length], source.lengths[row : row + 1])
        (found,) = model.candidates(alone, **options)
        assert [each.tolist() for each in found] == [each.tolist() for each in together[row]]
        assert all(each[-1] == END and (each[:-1] > 3).all() for each in found)


@torch.no_grad()
def test_a_line_of_a_thousand_tokens_is_translated_whole():
    model = decoder(stride=8, layers=1).eval()
    watch = Counting()
    ((found,),) = model.candidates(pairs([1000]).conditions["source"], lookup=lookup, watch=watch)
    assert watch.counts == [("latents", 250, 250)]
    assert found[-1] == END


class Counting(Watch):
    def __init__(self) -> None:
        self.counts: list[tuple[str, int, int]] = []

    def count(self, what: str, number: int, of: int) -> None:
        self.counts.append((what, number, of))


@torch.no_grad()
def test_a_latent_sentence_stops_at_the_first_latent_that_stands_for_nothing(model: LatentTransformer):
    source = pairs([9]).conditions["source"]  # 5 latents
    whole = sentences(model, source)[0, 0].tolist()
    place = next(place for place in range(1, 5) if whole[place] not in whole[:place] and place < 4)
    for book, code in enumerate(whole[place]):
        model.terminal.counts[:, book, code] = 10
    ends = model.terminal.found
    first = next(
        number
        for number, codes in enumerate(whole)
        if number and all(ends[book, code] for book, code in enumerate(codes))
    )
    found = sentences(model, source, is_end=model.terminal.found)[0, 0].tolist()
    kept = [codes for codes in found if codes[0] >= 0]
    assert kept == whole[: first + 1]
    watch = Counting()
    ((short,),) = model.candidates(source, lookup=lookup, watch=watch)
    assert watch.counts == [("latents", first + 1, 5)]
    assert len(short) <= (first + 1) * STRIDE
    ((limited,),) = model.candidates(source, lookup=lookup, max_length=2, early_stop=False)
    assert len(limited) <= 2


@torch.no_grad()
@pytest.mark.parametrize("seed", range(6))
def test_a_limit_that_no_latent_is_missing_for_changes_no_word_before_it(seed: int):
    torch.manual_seed(seed)
    model = decoder(stride=8).eval()
    for weight in (each for each in model.parameters() if each.ndim > 1):
        torch.nn.init.normal_(weight)  # so that every word hangs on every latent
    source = pairs([24], seed).conditions["source"]  # 6 latents
    whole = sentences(model, source)[0, 0].tolist()
    place = next(place for place in range(1, 6) if whole[place] not in whole[:place])
    model.terminal.counts[:, range(Q), whole[place]] = 10
    ((usual,),) = model.candidates(source, lookup=lookup)
    most = place * 8  # the latents before the one that ends the sentence
    ((limited,),) = model.candidates(source, lookup=lookup, max_length=most)
    expected = usual.tolist() if len(usual) <= most else [*usual[: most - 1].tolist(), END]
    assert limited.tolist() == expected


@torch.no_grad()
@pytest.mark.parametrize("most", [1, 4, 5, 40])
def test_one_latent_more_is_predicted_than_the_limit_needs_and_never_more_than_planned(
    model: LatentTransformer, most: int
):
    found = sentences(model, pairs([9, 3]).conditions["source"], max_length=most)
    latents = -(-most // STRIDE) + 1
    assert (found[:, 0, :, 0] >= 0).sum(1).tolist() == [min(5, latents), min(2, latents)]


def test_terminal_codes_are_those_that_stand_for_padding_by_loops():
    generator = torch.Generator().manual_seed(3)
    part = TerminalCodes(num_codebooks=Q, num_codes=K, purity=0.75)
    expected = torch.zeros(2, Q, K, dtype=torch.float64)
    for step in range(5):
        batch = pairs([6, 3, 2], step)
        codes = torch.randint(K, (3, 3, Q), generator=generator)
        lengths = batch.inputs.lengths // STRIDE
        part.before_step(0.0)
        part.add(Coded(torch.zeros(3, 3, 1), lengths, codes), batch.inputs, stride=STRIDE, pad=PAD)
        part.after_step(0.0)
        expected *= 0.99
        for row in range(3):
            for place in range(int(lengths[row])):
                tokens = batch.inputs.values[row, place * STRIDE : (place + 1) * STRIDE]
                for book in range(Q):
                    expected[0, book, codes[row, place, book]] += 1
                    expected[1, book, codes[row, place, book]] += bool((tokens == PAD).all())
    assert torch.allclose(part.counts, expected)
    assert torch.equal(part.found, (expected[1] > 1) & (expected[1] >= 0.75 * expected[0]))


def test_a_latent_stands_for_as_many_tokens_where_targets_are_no_multiple_of_them():
    part = TerminalCodes(num_codebooks=1, num_codes=2, purity=0.99)
    tokens = Padded(torch.tensor([[5, 5, 5, END, PAD]]), torch.tensor([5]))
    codes = Coded(torch.zeros(1, 2, 1), torch.tensor([2]), torch.tensor([[[0], [1]]]))
    part.add(codes, tokens, stride=4, pad=PAD)
    part.after_step(0.0)
    assert part.counts.tolist() == [[[1, 1]], [[0, 1]]]


@torch.no_grad()
def test_true_tokens_are_shown_at_first_and_never_again_after_the_masks_end():
    model = decoder(mask_until=0.5).train()
    inputs = Padded(torch.full((64, 64), 4), torch.full((64,), 64))
    shares = []
    for progress in (0.0, 0.0625, 0.25, 0.5, 0.9):
        model.before_step(progress)
        shares.append(1 - float(model._shown(inputs).float().mean()))
    # progress / end, times 0.01 rising to 1 over its first quarter
    assert shares == pytest.approx([0.0, 0.125 * 0.01**0.5, 0.5, 1, 1], abs=0.03)
    assert not model.eval()._shown(inputs).any()


@torch.no_grad()
def test_shown_tokens_count_in_no_loss_where_each_place_reads_itself():
    model, batch = decoder(mask_until=1.0, dropout=0.0).train(), pairs([6, 3])
    model.before_step(0.0)  # all are shown
    torch.manual_seed(0)
    loss, numbers = model(coded(batch), batch)
    assert float(numbers["perplexity"]) == pytest.approx(1.0)
    assert bool(torch.isfinite(loss))


@torch.no_grad()
def test_the_codes_reading_sees_nothing_of_its_own_place_or_later_ones():
    model = decoder(reading="code").eval()
    batch = pairs([8])
    latents = coded(batch)
    encoded, mask = model.encode(batch.conditions["source"])
    changed = latents.values.clone()
    changed[:, 2:] += 1  # tokens 8 and later; the convolutions reach back by a few places
    spread, other = (
        model.spread(Coded(values, latents.lengths, latents.codes)) for values in (latents.values, changed)
    )
    seen, moved = (model._read(model._moved(each), encoded, mask) for each in (spread, other))
    same = (spread.values == other.values).all(2)[0]
    first = int((~same).int().argmax())
    assert torch.allclose(seen[:, : first + 1], moved[:, : first + 1], atol=1e-6)
    assert not torch.allclose(seen[:, first + 1], moved[:, first + 1])


def words(length: int) -> Padded:
    values = torch.arange(4, 4 + length).repeat(50, 1)
    values[:, -3:] = PAD
    return Padded(values, torch.full((50,), length))


def test_words_move_by_less_than_the_shuffle_allows_and_padding_stays():
    torch.manual_seed(1)
    noise = WordNoise(form="paper", drop=0.0, shuffle=2.0).train()
    given = words(20)
    found = noise(given)
    assert (found[:, -3:] == PAD).all()
    moved = (found[:, :-3] - torch.arange(4, 21)).abs()
    assert 0 < int(moved.max()) <= 2  # below 1 + shuffle
    assert torch.equal(found.sort(1).values, given.values.sort(1).values)
    assert len({tuple(row) for row in found.tolist()}) > 10
    shared = WordNoise(form="code", drop=0.0, shuffle=2.0).train()(given)
    assert len({tuple(row) for row in shared.tolist()}) == 1
    assert torch.equal(noise.eval()(given), given.values)


def test_dropped_words_leave_the_others_in_order():
    torch.manual_seed(1)
    found = WordNoise(form="paper", drop=0.3, shuffle=0.0).train()(words(20))
    kept = [[token for token in row if token != PAD] for row in found.tolist()]
    assert all(row == sorted(row) for row in kept)
    assert all(row[: len(one)] == one for row, one in zip(found.tolist(), kept, strict=True))
    assert sum(map(len, kept)) / (50 * 17) == pytest.approx(0.7, abs=0.05)


def test_the_codes_word_dropout_zeroes_single_numbers():
    torch.manual_seed(1)
    noise = WordNoise(form="code", drop=0.3, shuffle=0.0).train()
    found = noise.on_vectors(torch.ones(50, 20, 8))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert float(found.mean()) == pytest.approx(0.7, abs=0.02)
    assert torch.equal(noise(words(20)), words(20).values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_codes": 0}, "the bottleneck has none"),
        ({"stride": 3}, "power of two"),
        ({"heads": 3}, "give a multiple"),
        ({"source": "french"}, "the sentence 'french'"),
    ],
)
def test_what_cannot_translate_is_refused(change: dict[str, object], told: str):
    with pytest.raises(RecipeError, match=told):
        decoder(**change)


def test_targets_that_are_not_padded_are_refused():
    batch = pairs([6, 3])
    short = Batch(batch.keys, Padded(batch.inputs.values[:, :8], torch.tensor([8, 4])), {}, batch.conditions)
    with pytest.raises(RecipeError, match=r"set data\.pad to 4"):
        decoder()(coded(short), short)


def test_it_learns_to_translate_what_it_has_seen():
    torch.manual_seed(0)
    encoder = Compress(features=TOKENS, dim=16, num_compress_steps=2, dropout=0.0)
    rule = EMA(dim=16, num_codes=8, decay=0.9)
    model = LatentTransformer(
        dim=16,
        features=TOKENS,
        conditions={"source": V},
        stride=STRIDE,
        num_codes=8,
        num_codebooks=1,
        hidden=32,
        layers=1,
        heads=2,
        inner=64,
        dropout=0.0,
    )
    batch = pairs([4, 5, 6, 7, 8, 6])
    parts = [encoder, rule, model]
    optimizer = torch.optim.Adam([p for part in parts for p in part.parameters() if p.requires_grad], lr=3e-3)
    everything = [module for part in parts for module in part.modules() if hasattr(module, "before_step")]
    for _ in range(150):
        for module in everything:
            module.before_step(0.0)
        latents = encoder(batch.inputs)
        found = rule(latents)
        loss, _ = model(Coded(found.values, latents.lengths, found.codes), batch)
        optimizer.zero_grad()
        (loss + 0.1 * found.loss).backward()
        optimizer.step()
        with torch.no_grad():
            for module in everything:
                module.after_step(0.0)
    model.eval()
    expected = [row[row != PAD].tolist() for row in batch.inputs.values]
    source = batch.conditions["source"]
    for early_stop in (False, True):
        found = model.candidates(source, lookup=rule.lookup, early_stop=early_stop)
        assert [best.tolist() for (best,) in found] == expected


def test_latent_steps_of_a_beam_go_on_from_their_parents():
    model = decoder().eval()
    source = pairs([5, 3]).conditions["source"]
    with torch.no_grad():
        encoded, mask = model.encode(source)
        steps = LatentSteps(model.predictor, encoded, mask, beam=2, longest=3)
        first = steps.next().log_softmax(-1)
        assert torch.allclose(first[:, 0], first[:, 1])
        codes = torch.tensor([[[0, 1], [2, 2]], [[1, 1], [0, 2]]])
        steps.take(lookup(codes), torch.tensor([[0, 0], [0, 1]]))
        second = steps.next().log_softmax(-1)
        for row in range(2):
            for place in range(2):
                vectors = torch.cat([lookup(codes[row, place][None, None]), torch.zeros(1, 1, D)], 1)
                expected = model.predictor(vectors, encoded[row : row + 1], mask[row : row + 1])[0, -1]
                assert torch.allclose(second[row, place], expected, atol=1e-5)
    found = search(
        LatentSteps(model.predictor, encoded, mask, beam=1, longest=3),
        torch.tensor([3, 2]),
        lookup=lookup,
        beam=1,
        is_end=None,
    )
    assert found.shape == (2, 1, 3, Q)
    assert (found[1, 0, 2] == -1).all()

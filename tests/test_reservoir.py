"""The reservoir against a loop, closed forms, and counts of all subsets."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unitdisc.codebook.reservoir import Reservoir

STREAM = torch.arange(3000.0)[:, None] * torch.tensor([1.0, -2.0])
CUTS = [0, 1, 1, 40, 700, 701, 1900, 3000]
PARTS = [[(0, 40), (40, 40)], [(40, 41), (41, 700)], [(700, 700), (700, 1500)], [(1500, 2800), (2800, 3000)]]
"""Where the vectors of two ranks begin and end in the stream, call by call."""


def numbers(count: int, start: int = 0) -> torch.Tensor:
    return torch.arange(float(start), float(start + count))[:, None]


def held(reservoir: Reservoir) -> tuple[int, ...]:
    return tuple(sorted(int(value) for value in reservoir.samples[:, 0]))


def surplus(counts: Counter, outcomes: int, runs: int) -> float:
    """How far the chi-square statistic of equally likely outcomes lies above its mean, in deviations."""
    expected = runs / outcomes
    statistic = sum(count**2 for count in counts.values()) / expected - runs
    return (statistic - (outcomes - 1)) / math.sqrt(2 * (outcomes - 1))


def filled(cuts: list[int], capacity: int = 30) -> Reservoir:
    torch.manual_seed(3)
    reservoir = Reservoir(capacity, 2)
    for start, end in itertools.pairwise(cuts):
        reservoir.add(STREAM[start:end])
    return reservoir


def test_a_stream_that_fits_is_kept_in_order():
    reservoir = filled([0, 3, 3, 30])
    assert torch.equal(reservoir.samples, STREAM[:30])
    assert reservoir.seen == 30


def test_every_subset_is_as_likely():
    torch.manual_seed(0)
    counts, runs = Counter(), 4000
    for _ in range(runs):
        reservoir = Reservoir(3, 1)
        for start, count in ((0, 2), (2, 3), (5, 1), (6, 1)):
            reservoir.add(numbers(count, start))
        counts[held(reservoir)] += 1
    assert set(counts) == set(itertools.combinations(range(7), 3))
    assert surplus(counts, math.comb(7, 3), runs) < 3.5


def test_vectors_and_pairs_of_a_long_stream_are_as_likely():
    torch.manual_seed(1)
    count, capacity, runs = 400, 50, 800
    together = torch.zeros(count, count, dtype=torch.float64)
    for _ in range(runs):
        reservoir = Reservoir(capacity, 1)
        for part in numbers(count).split(64):
            reservoir.add(part)
        kept = torch.zeros(count, dtype=torch.float64)
        kept[reservoir.samples[:, 0].long()] = 1
        together += torch.outer(kept, kept)
    one, two = capacity / count, capacity * (capacity - 1) / (count * (count - 1))
    of_one = (together.diagonal() - runs * one) / math.sqrt(runs * one * (1 - one))
    of_two = (together - runs * two) / math.sqrt(runs * two * (1 - two))
    pairs = torch.triu_indices(count, count, 1)
    assert of_one.square().mean().item() == pytest.approx(1, abs=4 * math.sqrt(2 / count))
    assert of_two[pairs[0], pairs[1]].square().mean().item() == pytest.approx(1, abs=0.03)
    assert abs(of_two.diagonal(1).mean().item()) * math.sqrt(count) < 4  # neighbours in the stream
    assert abs(of_one[:50].mean().item()) * math.sqrt(50) < 4  # those that filled it


def loop(stream: list[float], capacity: int) -> list[float]:
    """Algorithm L one vector at a time, with the draws of the reservoir."""

    def draws():
        while True:
            yield from torch.rand(3, 1024, dtype=torch.float64).T.tolist()

    kept, log_threshold, source = stream[:capacity], 0.0, draws()
    place = capacity - 1
    while True:
        wait, fall, slot = next(source)
        log_threshold += math.log(1 - fall) / capacity
        place += 1 + math.floor(math.log(1 - wait) / math.log1p(-math.exp(log_threshold)))
        if place >= len(stream):
            return kept
        kept[math.floor(slot * capacity)] = stream[place]


def test_it_is_algorithm_l():
    stream = numbers(20_000)
    torch.manual_seed(5)
    reservoir = Reservoir(500, 1)
    for part in stream.split(777):
        reservoir.add(part)
    torch.manual_seed(5)
    assert reservoir.samples[:, 0].tolist() == loop(stream[:, 0].tolist(), 500)


@pytest.mark.parametrize("capacity", [1, 2, 30, 2999, 3000, 4000])
def test_it_does_not_matter_how_the_stream_is_cut(capacity):
    whole, cut = filled([0, 3000], capacity), filled(CUTS, capacity)
    assert whole.seen == cut.seen == 3000
    assert len(whole.samples) == min(capacity, 3000)
    assert torch.equal(whole.samples, cut.samples)


def test_a_loaded_state_goes_on_bit_for_bit():
    begun = filled(CUTS[:-2])
    state = {name: value.clone() for name, value in begun.state_dict().items()}
    generator = torch.get_rng_state()
    begun.add(STREAM[CUTS[-3] :])
    resumed = Reservoir(30, 2)
    resumed.load_state_dict(state)
    torch.set_rng_state(generator)
    resumed.add(STREAM[CUTS[-3] :])
    assert all(torch.equal(value, begun.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_a_cleared_reservoir_is_as_new():
    reservoir = filled(CUTS)
    reservoir.clear()
    assert reservoir.seen == len(reservoir.samples) == 0
    torch.manual_seed(3)
    reservoir.add(STREAM)
    assert torch.equal(reservoir.samples, filled([0, 3000]).samples)


def test_vectors_are_copied_as_float32_without_their_graph():
    reservoir = Reservoir(4, 2)
    vectors = torch.ones(6, 2, dtype=torch.bfloat16, requires_grad=True)
    reservoir.add(vectors * 2)
    assert reservoir.samples.dtype == torch.float32
    assert not reservoir.samples.requires_grad
    assert torch.equal(reservoir.samples, torch.full((4, 2), 2.0))


def test_merged_reservoirs_that_were_not_full_hold_everything():
    first, second = Reservoir(9, 1), Reservoir(8, 1)
    first.add(numbers(3))
    second.add(numbers(4, start=3))
    merged = Reservoir.merge([first, second, Reservoir(8, 1)])
    assert (merged.capacity, merged.seen, held(merged)) == (8, 7, tuple(range(7)))


@pytest.mark.parametrize(("seen", "later"), [((5, 3), 0), ((3, 2), 2), ((1, 2), 4), ((6, 1, 1), 0)])
def test_every_subset_of_a_merged_stream_is_as_likely(seen, later):
    torch.manual_seed(8)
    counts, runs, total = Counter(), 800, sum(seen) + later
    for _ in range(runs):
        parts, start = [], 0
        for count in seen:
            parts.append(Reservoir(2, 1))
            parts[-1].add(numbers(count, start))
            start += count
        merged = Reservoir.merge(parts)
        merged.add(numbers(later, start))
        counts[held(merged)] += 1
    assert surplus(counts, math.comb(total, 2), runs) < 3.5


def test_two_ranks_hold_the_sample_of_one(tmp_path: Path):
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]

    alone = filled([0, 40, 700, 1500, 3000]).state_dict()

    for rank in (0, 1):
        state = load_file(tmp_path / f"{rank}.safetensors")
        assert all(torch.equal(state[name], value) for name, value in alone.items())


def main(rank: int, folder: Path) -> None:
    """One rank of two, with its share of every call; it can have none."""
    rendezvous = f"file://{folder / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    torch.manual_seed(3)
    reservoir = Reservoir(30, 2)
    for call in PARTS:
        reservoir.add(STREAM[slice(*call[rank])], shared=True)
    save_file(reservoir.state_dict(), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

"""Units turned back into sound: in the voice that they were taken from, and in those of other speakers."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from unitdisc import device, recipe, suggest
from unitdisc.errors import DataError, RecipeError
from unitdisc.report.picture import png
from unitdisc.report.spectrograms import Rows, spectrograms
from unitdisc.sound import Sounds, images
from unitdisc.storage import new_folder, refuse_other_files, write_bytes, write_text
from unitdisc.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from unitdisc.data import Example, Split
    from unitdisc.run import Run
    from unitdisc.use import Use

META, PICTURE = "audio.json", "spectrograms.png"
_DRAWN = 8
"""Sentences in the picture."""


def speak(
    run: Run,
    *,
    split: str | None = None,
    speakers: Sequence[str] = (),
    sentences: Sequence[str] = (),
    limit: int | None = None,
    vocoder: str | None = None,
    options: Sequence[str] = (),
    folder: Path | None = None,
) -> list[str]:
    """Write wav files, a picture of their spectrograms and ``audio.json``; return the names of the files.

    For each sentence: the recording's own features through the vocoder ("source"), what the decoder makes of
    the units in the speaker's own voice, or in the mean of all where training did not know the speaker
    ("units"), and in other voices ("voice").

    Args:
        run: Whose units.
        split: Where the sentences are from; None takes the split that the recipe scores.
        speakers: Voices for every sentence; () gives each sentence one voice, going through all of them.
        sentences: Ids; () takes the first of every speaker, and where none is named the first eight.
        limit: Sentences at most.
        vocoder: Name of the vocoder; None takes the data source's own.
        options: Its parameters as ``key=value``.
        folder: Where to, replaced as a whole; None takes the run's ``audio`` folder.
    """
    target, split = folder or run.folder.path / "audio", split or run.recipe.evaluate.split
    refuse_other_files(target, META)
    use = _vocoder(run, vocoder, options)
    voices = Voices(run)
    voices.check(speakers)
    examples = run.source.split(split)
    condition = voices.condition or next(iter(run.source.conditions), "")
    indices = _chosen(examples, split, sentences, condition)[:limit]
    run.model.to(device.choose(run.recipe.train))
    with new_folder(target) as filled:
        sounds = Sounds(filled, run.source, use.build())
        drawn = []
        for number, index in enumerate(indices):
            speaker = examples.fields(index).get(condition)
            others = list(dict.fromkeys(speakers)) or voices.other(speaker, number / len(indices))
            rows = _say(sounds, voices, examples[index], speaker, others)
            if number < _DRAWN:
                drawn.append((_title(examples.keys[index], speaker), _on_one_scale(run, rows)))
        note = f"the first {_DRAWN} of {len(indices)} sentences" if len(indices) > _DRAWN else ""
        picture = spectrograms(drawn, frame_rate=run.features.frame_rate, note=note)
        write_bytes(filled / PICTURE, png(picture))
        content = {**_about(run, split, use), "files": [asdict(sound) for sound in sounds.written]}
        write_text(filled / META, json.dumps(content, indent=1) + "\n")
    return [*(sound.file for sound in sounds.written), PICTURE, META]


def _say(
    sounds: Sounds, voices: Voices, example: Example, speaker: str | None, others: Sequence[str]
) -> list[tuple[str, Tensor]]:
    """Write the files of one sentence; return the features of the recording and of every file, with captions."""
    write = partial(sounds.write, sentence=example.key, source_speaker=speaker)
    heard = write(example.inputs, kind="source", target_speaker=None)
    rows = [("recording", example.inputs), ("recording, vocoded", heard)]
    own, nobody = speaker if speaker in voices.names else None, "mean voice" if voices.names else "one voice"
    targets = [own, *(name for name in others if name != own)]
    for target, frames in zip(targets, voices.decode(example, targets), strict=True):
        kind: Literal["units", "voice"] = "units" if target == own else "voice"
        rows.append((f"units, {target or nobody}", write(frames, kind=kind, target_speaker=target)))
    return rows


def _on_one_scale(run: Run, rows: Sequence[tuple[str, Tensor]]) -> Rows:
    captions, features = zip(*rows, strict=True)
    return list(zip(captions, images(run.source, features), strict=True))


def _title(key: str, speaker: str | None) -> str:
    return f"{key}, spoken by {speaker}" if speaker else key


def _vocoder(run: Run, name: str | None, options: Sequence[str]) -> Use:
    own = run.recipe.data.build().vocoder
    if name is None and own is None:
        raise RecipeError(
            f"{run.folder.path}: data source {run.recipe.data.name} has no way back from these features to a "
            "signal; name a vocoder that knows one: --vocoder NAME"
        )
    return recipe.component("vocoder", name or own, options)


def _chosen(examples: Split, split: str, sentences: Sequence[str], condition: str) -> list[int]:
    """Return the places of ``sentences``, or of the first of every speaker, or of the first where none is named."""
    if sentences:
        places = {key: index for index, key in enumerate(examples.keys)}
        for key in sentences:
            if key not in places:
                hint = suggest.hint(key, places)
                raise DataError(f"--sentences: split {split} has no {key!r}{hint}")
        return [places[key] for key in dict.fromkeys(sentences)]
    first: dict[str | None, int] = {}
    for index in range(len(examples)):
        first.setdefault(examples.fields(index).get(condition), index)
    return list(first.values()) if first.keys() - {None} else list(range(len(examples)))[:_DRAWN]


def _about(run: Run, split: str, vocoder: Use) -> dict[str, Any]:
    return {
        "recipe": run.recipe.name,
        "recipe_sha256": run.recipe.digest(),
        "checkpoint_sha256": run.checkpoint.digest,
        "checkpoint_step": run.checkpoint.step,
        "weights": run.weights,
        "data_sha256": run.source.checksum(),
        "split": split,
        "vocoder": vocoder.plain(),
    }

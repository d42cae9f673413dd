"""``unitdisc speak``: units of a trained run as sound, in the same and in other voices."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("speak", short_help="Turn units back into sound, in the same and in other voices.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", metavar="NAME", help="Split of the sentences [default: the one that was scored].")
@click.option(
    "--speaker",
    "speakers",
    multiple=True,
    metavar="NAME",
    help="Training speaker to say each sentence, repeatable [default: one for each, all in turn].",
)
@click.option(
    "--sentences",
    "sentences",
    multiple=True,
    metavar="ID",
    help="Recording to take the units of, repeatable [default: the first of every speaker; first 8 if none is named].",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Sentences at most.")
@click.option(
    "--vocoder", metavar="NAME", help="What makes sound of features [default: the data source's own]."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder [default: RUN/audio], replaced as a whole."
)
def command(
    run_folder: Path,
    *,
    options: tuple[str, ...],
    split: str | None,
    speakers: tuple[str, ...],
    sentences: tuple[str, ...],
    limit: int | None,
    vocoder: str | None,
    out: Path | None,
) -> None:
    """Decode units of RUN into wav files, and draw their spectrograms.

    For each sentence: the recording through the vocoder, its units in the speaker's own voice (in the mean of
    all voices where training did not know the speaker), and its units in the voice of another speaker.
    KEY=VALUE are parameters of the vocoder, such as seed=1; `unitdisc plugins data griffin_lim` lists them.
    """
    from unitdisc.run import load
    from unitdisc.speak import speak
    from unitdisc.stopping import interruptible
    from unitdisc.voices import Voices

    run = load(run_folder)
    told = f"stopped; what was there is kept; do it again with: unitdisc speak {run_folder}"
    with interruptible(told), run.folder.locked():
        files = speak(
            run,
            split=split,
            speakers=speakers,
            sentences=sentences,
            limit=limit,
            vocoder=vocoder,
            options=options,
            folder=out,
        )
    if not Voices(run).names:
        click.echo(
            "unitdisc: the decoder knows no speakers, so there is one voice (decoder.condition)", err=True
        )
    folder = out or run.folder.path / "audio"
    for name in files:
        click.echo(folder / name)

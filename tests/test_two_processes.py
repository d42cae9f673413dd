"""torchrun with two processes gives what one gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_train import final
from tests.toy import toy_recipe
from unitdisc import settings, steps

SCRIPT = """
import json, sys
from pathlib import Path
from tests.toy import toy_recipe
from unitdisc import settings, steps
arguments = json.loads(sys.argv[2])
rule = None
if arguments.pop("gradient", False):
    from unitdisc_gradient.rule import Gradient
    rule = (Gradient, {"num_codes": 8, "lr_scale": 5.0})
latents = settings.Latents(norm=arguments.pop("norm"), dim=4)
steps.train(toy_recipe(rule=rule, latents=latents, **arguments), Path(sys.argv[1]))
"""


def torchrun(folder: Path, arguments: str) -> None:
    script = folder.parent / "train_toy.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), str(folder), arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("rule", "norm", "accumulate"),
    [("ema", "batch", 2), ("ema", "none", 4), ("gradient", "batch", 4)],
)
def test_two_processes_learn_the_weights_and_codebook_of_one(
    tmp_path: Path, rule: str, norm: str, accumulate: int
):
    import json

    arguments = {
        "norm": norm,
        "gradient": rule == "gradient",
        "batches_per_step": accumulate,
        "lr": 1e-3,
        "average": 0.9,
    }
    torchrun(tmp_path / "two", json.dumps(arguments))
    kind = None
    if rule == "gradient":
        from unitdisc_gradient.rule import Gradient

        kind = (Gradient, {"num_codes": 8, "lr_scale": 5.0})
    latents = settings.Latents(norm=norm, dim=4)  # type: ignore[arg-type]
    steps.train(
        toy_recipe(rule=kind, latents=latents, batches_per_step=accumulate, average=0.9, lr=1e-3),
        tmp_path / "one",
    )
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    for file in ("model", "average"):
        for name, value in one[file].items():
            torch.testing.assert_close(
                value, two[file][name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_processes_that_cannot_share_the_batches_say_so(tmp_path: Path):
    import json

    with pytest.raises(AssertionError, match="cannot be shared equally by 2 processes"):
        torchrun(tmp_path / "run", json.dumps({"norm": "none", "batches_per_step": 3}))

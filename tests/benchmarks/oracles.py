# /// script
# requires-python = "==3.12.*"
# dependencies = ["unitdisc", "discophon==0.2.0", "fastabx==0.9.0", "torch==2.11.0"]
# [tool.uv.sources]
# unitdisc = { path = "../..", editable = true }
# ///
"""Our scores beside those of discophon and fastabx, which need Python 3.12; leaves with 1 where one differs.

    uv run tests/benchmarks/oracles.py DATA/speech_phones [--runs 500]

uv makes the environment that the lines above ask for, outside of the repository: 2.6 GB to download the first time, and
Python 3.12 where there is none. All scores of discophon are to agree to 1e-6, and so are those of fastabx; of vectors
of noise, whose distances it rounds (see `abx_fastabx.py`), to 1e-5.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Run both comparisons, the second one also where the first fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "data", type=Path, help="folder speech_phones: manifest.jsonl, phones.tsv, recordings"
    )
    parser.add_argument("--runs", type=int, default=500, help="unit sets for discophon (500)")
    options = parser.parse_args()
    data = str(options.data)
    commands = {
        "discophon": ["like_discophon.py", data, "--runs", str(options.runs)],
        "fastabx": ["abx_fastabx.py", "values", data, "--threads", "1"],
    }
    differ = []
    for name, (script, *words) in commands.items():
        print(f"\n{name}\n", flush=True)
        command = [sys.executable, str(FOLDER / script), *words]
        if subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode:
            differ.append(name)
    if differ:
        sys.exit(f"not as {' and '.join(differ)}: see above")


if __name__ == "__main__":
    main()

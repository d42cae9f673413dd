"""``python -m unitdisc`` is the command ``unitdisc``."""

from __future__ import annotations

import sys

from unitdisc.cli import main

sys.exit(main())

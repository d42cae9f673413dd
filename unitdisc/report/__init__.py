"""A page and pictures of a run: what was trained, how it scores, what the units look like."""

from __future__ import annotations

from unitdisc.report.data import ReportData, Score
from unitdisc.report.page import html
from unitdisc.report.picture import label_spans, picture, png
from unitdisc.report.tally import Tally

__all__ = ["ReportData", "Score", "Tally", "html", "label_spans", "picture", "png"]

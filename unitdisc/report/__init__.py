"""A page and pictures of a run: what was trained, how it scores, what the units look and sound like."""

from __future__ import annotations

from unitdisc.report.data import ReportData, Score
from unitdisc.report.inventory import Inventory
from unitdisc.report.page import html
from unitdisc.report.picture import label_spans, picture, png

__all__ = ["Inventory", "ReportData", "Score", "html", "label_spans", "picture", "png"]

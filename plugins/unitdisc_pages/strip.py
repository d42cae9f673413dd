"""Where the columns and rows of a straightened line lie on its page."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unitdisc_pages.described import Line, Piece

MAX_TURN = 45.0
"""Degrees by which a baseline may turn away from its own direction, but for `_JITTER` of its length."""
MAX_ASPECT = 200.0
TOLERANCE = 0.01
"""How far outlines may reach beyond the page, as a share of its longer side."""
_JITTER = 0.1
_LEAST = 4.0
_SAMPLES = 2**17


@dataclass(frozen=True)
class Strip:
    """A straightened line: a place on the page for every place in its image.

    A place (column, row) is ``u = left + column * step[0]`` along the line and
    ``v = top + row * step[1] + baseline(u)`` across it, where ``baseline`` joins its points (u, v) and stays
    level beyond them; on the page that is ``origin + u * (x, y) + v * (-y, x)``, (x, y) being ``direction``.
    So a sloped line is turned upright, and what bends is straightened by moving columns.

    Args:
        origin: The beginning (2,) of the baseline on the page.
        direction: Unit vector (2,) from there to its end.
        baseline: Points (M, 2) of it along and across this direction, from left to right.
        left: First column, in pixels of the page along the line.
        top: First row, in pixels of the page across the line, counted from the baseline.
        step: Pixels of the page per column, and per row.
        width: Number of columns.
        height: Number of rows.
    """

    origin: np.ndarray
    direction: np.ndarray
    baseline: np.ndarray
    left: float
    top: float
    step: tuple[float, float]
    width: int
    height: int

    def to_page(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return places (..., 2) on the page; ``columns`` and ``rows`` are broadcast."""
        u = self.left + columns * self.step[0]
        v = self.top + rows * self.step[1] + np.interp(u, *self.baseline.T)
        across = np.array([-self.direction[1], self.direction[0]])
        places: np.ndarray = self.origin + u[..., None] * self.direction + v[..., None] * across
        return places

    def columns(self, places: np.ndarray) -> np.ndarray:
        """Return the columns (...) of places (..., 2) on the page."""
        columns: np.ndarray = ((places - self.origin) @ self.direction - self.left) / self.step[0]
        return columns

    def labels(self, pieces: Iterable[Piece]) -> list[tuple[int, int, str]]:
        """Return (start, end, text) in whole columns, from left to right.

        Neighbours that overlap are parted in the middle; what another leaves no column to is left out.
        """
        named = [(self._span(piece.outline), _printable(piece.text)) for piece in pieces]
        named.sort(key=lambda item: sum(item[0]))
        edges = np.array([span for span, _ in named]).reshape(-1, 2)
        middles = (edges[:-1, 1] + edges[1:, 0]) / 2
        overlap = edges[:-1, 1] > edges[1:, 0]
        edges[:-1, 1][overlap] = edges[1:, 0][overlap] = middles[overlap]
        found: list[tuple[int, int, str]] = []
        for (first, last), (_, text) in zip(np.rint(edges.clip(0, self.width)), named, strict=True):
            start, end = max(int(first), found[-1][1] if found else 0), int(last)
            if start < end and text:
                found.append((start, end, text))
        return found

    def _span(self, outline: np.ndarray) -> tuple[float, float]:
        """Return the columns that an outline covers."""
        columns = self.columns(outline)
        if len(np.unique(outline[:, 0])) > 2 or len(np.unique(outline[:, 1])) > 2:
            return float(columns.min()), float(columns.max())
        # The corners of an upright box around sloped script reach over its neighbours; its middle does not.
        middle = (columns.min() + columns.max()) / 2
        half = np.max(np.ptp(outline, axis=0) * np.abs(self.direction)) / 2 / self.step[0]
        return float(middle - half), float(middle + half)

    def to_json(self, page: tuple[int, int]) -> str:
        """Return what leads from columns and rows back to a page of (width, height), in the words of this class."""
        return json.dumps(
            {
                "page": page,
                "size": [self.width, self.height],
                "origin": self.origin.round(3).tolist(),
                "direction": self.direction.round(9).tolist(),
                "baseline": self.baseline.round(3).tolist(),
                "left": round(self.left, 3),
                "top": round(self.top, 3),
                "step": [round(step, 9) for step in self.step],
            }
        )


def strip(line: Line, page: tuple[int, int], *, height: int, cover: float) -> tuple[np.ndarray, Strip]:
    """Return the outline, clipped to a page of (width, height) pixels, and the strip around it.

    ``cover`` is the share of the columns whose outline lies in the strip from top to bottom.
    Raises `DataError` for outlines and baselines that give no line.
    """
    outline = _on_page(line.outline, page, f"{line.where}: outline")
    if _area(outline) < _LEAST**2:
        raise DataError(f"{line.where}: the outline encloses no area; draw it around the line or take it out")
    origin, direction, baseline = _course(line, outline, page)
    corners = _edge(outline) - origin
    u, v = corners @ direction, corners @ np.array([-direction[1], direction[0]])
    left, length = u.min(), np.ptp(u)
    top, depth = _extent(u, v - np.interp(u, *baseline.T), cover)
    if min(length, depth) < _LEAST or length > MAX_ASPECT * depth:
        raise DataError(
            f"{line.where}: the outline is {length:.0f} long and {depth:.0f} high; accepted are lines from "
            f"{_LEAST:.0f} pixels and at most {MAX_ASPECT:.0f} times as long as high, draw it anew or take it out"
        )
    width = max(1, math.floor(length * height / depth + 0.5))
    step = (float(length / width), float(depth / height))
    return outline, Strip(origin, direction, baseline, float(left), float(top), step, width, height)


def _printable(text: str) -> str:
    """Return a text without the signs that steer its display, which no table of labels takes."""
    return "".join(filter(str.isprintable, text)).strip()


def _on_page(places: np.ndarray, page: tuple[int, int], where: str) -> np.ndarray:
    """Return places clipped to the page. Raises `DataError` for what lies really outside."""
    beyond = np.maximum(-places, places - np.array(page)).max(axis=1)
    if beyond.max() > TOLERANCE * max(page):
        x, y = places[beyond.argmax()]
        raise DataError(
            f"{where} reaches {x:g},{y:g} on a page of {page[0]} x {page[1]} pixels (accepted: "
            f"{TOLERANCE * max(page):.0f} beyond it); correct it, or put the scan there that it was drawn on"
        )
    return places.clip(0, page)


def _area(outline: np.ndarray) -> float:
    after = np.roll(outline, -1, axis=0)
    return abs(float((outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]).sum())) / 2


def _course(
    line: Line, outline: np.ndarray, page: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return origin, direction and the baseline along and across it; the foot of the outline without one."""
    places = line.baseline
    if places is None:
        foot = outline[:, 1].max()
        places = np.array([(outline[:, 0].min(), foot), (outline[:, 0].max(), foot)])
    places = _on_page(places, page, f"{line.where}: baseline")
    chord = places[-1] - places[0]
    # Some programs store points from right to left; script that stands on its head is rarer.
    if abs(chord[0]) >= abs(chord[1]) and chord[0] < 0:
        places, chord = places[::-1], -chord
    if math.hypot(*chord) < _LEAST:
        raise DataError(f"{line.where}: the baseline ends where it begins; draw it anew or take it out")
    direction = chord / math.hypot(*chord)
    moved = places - places[0]
    course = np.stack([moved @ direction, moved @ np.array([-direction[1], direction[0]])], axis=1)
    _check_turns(course, line.where)
    onward = np.maximum.accumulate(course[:, 0])
    # np.interp needs ever greater u: a point of the jitter that goes back is left out.
    kept = np.concatenate([[True], onward[1:] > onward[:-1]])
    return places[0], direction, course[kept]


def _check_turns(course: np.ndarray, where: str) -> None:
    pieces = np.diff(course, axis=0)
    lengths = np.hypot(*pieces.T)
    turned = np.abs(np.arctan2(pieces[:, 1], pieces[:, 0])) > math.radians(MAX_TURN)
    if lengths[turned].sum() > _JITTER * lengths.sum():
        raise DataError(
            f"{where}: the baseline turns by more than {MAX_TURN:.0f} degrees from its own direction, which cannot "
            "be straightened; part the line or take it out"
        )


def _edge(outline: np.ndarray) -> np.ndarray:
    """Return places (N, 2) along the edge, the corners among them, a pixel apart where it is not too long."""
    closed = np.concatenate([outline, outline[:1]])
    way = np.concatenate([[0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    between = np.linspace(0, way[-1], min(math.ceil(way[-1]) + 1, _SAMPLES))
    places = np.unique(np.concatenate([way, between]))
    return np.stack([np.interp(places, way, axis) for axis in closed.T], axis=1)


def _extent(u: np.ndarray, v: np.ndarray, cover: float) -> tuple[float, float]:
    """Return top and depth: in the share ``cover`` of the columns the edge does not reach above, nor below."""
    bins = max(1, min(512, int(np.ptp(u) / _LEAST)))
    column = np.minimum((u - u.min()) * (bins / np.ptp(u)), bins - 1).astype(int)
    tops, feet = np.full(bins, np.inf), np.full(bins, -np.inf)
    np.minimum.at(tops, column, v)
    np.maximum.at(feet, column, v)
    met = np.isfinite(tops)
    top = np.quantile(tops[met], 1 - cover, method="lower")
    return float(top), float(np.quantile(feet[met], cover, method="higher") - top)

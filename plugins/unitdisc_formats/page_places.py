"""Where the columns of a line lie on its image, or on the scan of its page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from unitdisc.units import Units


FIELDS = ("geometry", "page", "scan", "path", "width", "height")
"""What the corpus may say of where a line lies."""


@dataclass(frozen=True)
class Place:
    """A line on an image.

    Args:
        image: Name of the image.
        file: Name of the description of the image, without ending.
        size: Width and height of the image in pixels.
        line: Width and height of the line, in pixels of its own.
        geometry: What leads from these to the image, as readers of pages write it; None where the line is the image.
    """

    image: str
    file: str
    size: tuple[int, int]
    line: tuple[int, int]
    geometry: dict[str, Any] | None

    def outline(self, left: float, right: float) -> list[tuple[int, int]]:
        """Return the corners of what lies between two columns of the line, clockwise and clipped to the image."""
        columns = np.array([left, right])
        if self.geometry is not None:
            u = (np.array(self.geometry["baseline"])[:, 0] - self.geometry["left"]) / self.geometry["step"][0]
            columns = np.unique([left, *u[(u > left) & (u < right)], right])
            if len(columns) == 1:  # the last unit may end where it begins
                columns = np.array([left, right])
        corners = [
            *((column, 0) for column in columns),
            *((column, self.line[1]) for column in columns[::-1]),
        ]
        places = self._on_image(np.array(corners, float))
        return [(int(x), int(y)) for x, y in np.rint(places.clip(0, self.size)).tolist()]

    def _on_image(self, corners: np.ndarray) -> np.ndarray:
        """Return places (N, 2) on the image of places (column, row) of the line."""
        if self.geometry is None:
            return corners
        about = self.geometry
        u = about["left"] + corners[:, 0] * about["step"][0]
        v = about["top"] + corners[:, 1] * about["step"][1] + np.interp(u, *np.array(about["baseline"]).T)
        (x, y), origin = about["direction"], about["origin"]
        return np.stack([origin[0] + u * x - v * y, origin[1] + u * y + v * x], axis=1)


def place_of(item: Units, height: int) -> Place:
    """Return where a line lies; ``height`` is that of lines of which nothing tells it.

    A line that a reader cut out of a page has the fields "geometry", "page" and "scan", another at most "path",
    "width" and "height".
    """
    fields = item.fields
    if "geometry" in fields and "page" in fields:
        try:
            geometry = json.loads(fields["geometry"])
            page, line = (tuple(map(int, geometry[name])) for name in ("page", "size"))
            return Place(fields.get("scan", fields["page"]), fields["page"], page, line, geometry)
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{item.key}: its field geometry does not say where it lies on its page; import the pages again"
            ) from None
    size = int(fields.get("width") or max(1, round(item.end))), int(fields.get("height") or height)
    return Place(fields.get("path", item.key), item.key, size, size, None)

"""Images: reading them safely, and turning them into grey."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BytesIO
    from pathlib import Path

FORMATS = {"PNG": (".png",), "TIFF": (".tif", ".tiff"), "JPEG": (".jpg", ".jpeg"), "BMP": (".bmp",)}
"""What is read; only PNG notices damage. Pillow knows forty more, each a way in for bad files."""
MAX_PIXELS = 2**26
_ABOUT_TAGS = "Metadata Warning|Possibly corrupt EXIF|Tag data larger"
"""Warnings about what a camera or scanner noted beside the pixels; a missing tag that is needed is an error."""
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L")


def read_grey(path: Path | BytesIO, where: str, *, paper: int = 1) -> np.ndarray:
    """Return (height, width) float32, 0 is black and 1 white; what is transparent gets the grey of ``paper``.

    Raises `DataError` that starts with ``where``.
    """
    with _opened(path, where) as image:
        image.load()
        return to_grey(image, paper=paper)


def read_size(path: Path | BytesIO, where: str) -> tuple[int, int]:
    """Return (width, height) of an image that can be read, from its header: no pixel is decoded.

    Raises `DataError` that starts with ``where``.
    """
    with _opened(path, where) as image:
        return image.size


def to_grey(image: Image.Image, *, paper: int = 1) -> np.ndarray:
    """Return (height, width) float32 in [0, 1] of an image of 8 bits per channel or of 16 bit grey."""
    if image.mode in _SIXTEEN_BIT:
        return np.asarray(image).astype(np.float32) / np.float32(65535)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (255 * paper,) * 3 + (255,))
        image = Image.alpha_composite(below, image)
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


def array_to_grey(image: np.ndarray, *, paper: int = 1) -> np.ndarray:
    """Return (H, W) float32 in [0, 1] of an array that stands for an image.

    Takes uint8 (H, W), (H, W, 3) or (H, W, 4), uint16 (H, W), and floats (H, W) in [0, 1]; 0 is black.
    """
    image = np.asarray(image)  # also of a Pillow image
    if image.size and image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
        return to_grey(Image.fromarray(image), paper=paper)
    if image.size and image.ndim == 2 and image.dtype == np.uint16:
        return image.astype(np.float32) / np.float32(65535)
    if image.size and image.ndim == 2 and image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1:
        return image.astype(np.float32)
    raise DataError(
        f"image: an array of {image.dtype} and shape {image.shape}; accepted are uint8 (H, W), (H, W, 3) or "
        "(H, W, 4), uint16 (H, W) and floats (H, W) in [0, 1], none of them empty"
    )


def scaled_width(width: int, height: int, to_height: int) -> int:
    """Return the width, at least 1, of an image brought to another height in proportion (half rounds up)."""
    return max(1, (2 * width * to_height + height) // (2 * height))


@contextlib.contextmanager
def _opened(path: Path | BytesIO, where: str) -> Iterator[Image.Image]:
    """Open an image whose header promises what is accepted."""
    with _decoding(where), Image.open(path, formats=list(FORMATS)) as image:
        _check(image, where)
        yield image


def _check(image: Image.Image, where: str) -> None:
    """Look at what the header says before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where}: {width} x {height} pixels, at most {MAX_PIXELS} are read; cut it or make it smaller"
        )
    if image.mode not in (*_EIGHT_BIT, *_SIXTEEN_BIT):
        raise DataError(f"{where}: pixels of form {image.mode}; save it as 8 or 16 bit grey or 8 bit colour")
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(
            f"{where}: holds {getattr(image, 'n_frames', 1)} images; save each as a file of its own"
        )


@contextlib.contextmanager
def _decoding(where: str) -> Iterator[None]:
    """Turn whatever a decoder raises or warns about into a `DataError`."""
    try:
        with warnings.catch_warnings(action="error"):  # a decompression bomb is only warned about
            warnings.filterwarnings("ignore", _ABOUT_TAGS)
            yield
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            f"{where}: no image in the form of {', '.join(FORMATS)}; save it as PNG or take its line out"
        ) from None
    except Exception as error:  # noqa: BLE001  (damaged files make decoders raise anything)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{where}: cannot be decoded ({reason}); replace the image or take its line out"
        ) from None

"""Small drawn pages with their PAGE or ALTO descriptions, written by hand."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

PAGE_2019 = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
ALTO_4 = "http://www.loc.gov/standards/alto/ns-v4#"
PAPER, INK = 230, 20


def pairs(points, between: str = ",") -> str:
    return " ".join(f"{x:g}{between}{y:g}" for x, y in np.asarray(points, float).round(3))


def rectangle(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def save(path: Path, page: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page).save(path)
    return path


def page_piece(name: str, outline, text: str = "", inner: str = "") -> str:
    said = f"<TextEquiv><Unicode>{escape(text)}</Unicode></TextEquiv>" if text else ""
    return f'<{name} id="x"><Coords points="{pairs(outline)}"/>{inner}{said}</{name}>'


def page_line(name: str, outline, baseline=None, text: str = "", inner: str = "") -> str:
    drawn = "" if baseline is None else f'<Baseline points="{pairs(baseline)}"/>'
    return page_piece("TextLine", outline, text, drawn + inner).replace('id="x"', f'id="{name}"', 1)


def page_xml(lines, size, *, scan="scan.png", namespace=PAGE_2019, region='type="paragraph"') -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<PcGts xmlns="{namespace}"><Metadata/>\n'
        f'<Page imageFilename="{scan}" imageWidth="{size[0]}" imageHeight="{size[1]}">\n'
        f'<TextRegion id="r1" {region}><Coords points="0,0 1,0 1,1"/>\n'
        + "\n".join(lines)
        + "\n</TextRegion></Page></PcGts>\n"
    )


def alto_line(name: str, *, box=None, outline=None, baseline: str = "", inner: str = "") -> str:
    place = "" if box is None else 'HPOS="{}" VPOS="{}" WIDTH="{}" HEIGHT="{}"'.format(*box)
    shape = "" if outline is None else f'<Shape><Polygon POINTS="{pairs(outline, " ")}"/></Shape>'
    base = f'BASELINE="{baseline}"' if baseline else ""
    return f'<TextLine ID="{name}" {place} {base}>{shape}{inner}</TextLine>'


def alto_xml(lines, size, *, scan="scan.png", namespace=ALTO_4, unit="pixel") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<alto xmlns="{namespace}"><Description>'
        f"<MeasurementUnit>{unit}</MeasurementUnit><sourceImageInformation><fileName>{scan}</fileName>"
        '</sourceImageInformation></Description>\n<Tags><OtherTag ID="BT1" LABEL="MainZone"/></Tags>\n'
        f'<Layout><Page ID="p" WIDTH="{size[0]}" HEIGHT="{size[1]}"><PrintSpace>\n<TextBlock ID="b" TAGREFS="BT1">\n'
        + "\n".join(lines)
        + "\n</TextBlock></PrintSpace></Page></Layout></alto>\n"
    )

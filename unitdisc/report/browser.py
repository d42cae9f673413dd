"""The browser of units on the page: its frame, which its scripts fill."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from unitdisc.report.browse import as_json

if TYPE_CHECKING:
    from unitdisc.report.browse import Browser

_SCRIPTS = ("page.js", "sound.js", "seen.js", "units.js", "lines.js", "start.js")


def body(browser: Browser) -> str:
    """Return the sections of the browser."""
    return _units(browser) + _map(browser) + _lines(browser)


def script(browser: Browser) -> str:
    """Return the data and the scripts."""
    folder = files("unitdisc.report")
    code = "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return (
        f'<script type="application/json" id="data">{as_json(browser)}</script>\n'
        f'<script>\n(() => {{\n"use strict";\n{code}}})();\n</script>\n'
    )


def _units(browser: Browser) -> str:
    many = browser.kind.many
    notes = " ".join(map(escape, browser.notes))
    labels = '<option value="label">label</option>' if browser.labels_name else ""
    return f"""<section id="browser">
<h2>Units, one by one</h2>
<p>{notes}</p>
<noscript><p>Looking at single units needs JavaScript, which is turned off here.</p></noscript>
<div class="tools">
<label>Search <input type="search" id="find" placeholder="unit, label or id" autocomplete="off"
aria-describedby="found"></label>
<label>Order <select id="order"><option value="count">most frequent first</option>
<option value="name">number</option><option value="duration">longest first</option>{labels}</select></label>
<span id="found" class="faint" role="status"></span>
</div>
<div class="browse">
<div>
<p class="faint" id="listkeys">Arrow keys go through the list.</p>
<div class="list" id="units" role="toolbar" aria-orientation="vertical" aria-label="Units"
aria-describedby="listkeys"></div>
</div>
<div class="panel" id="unit" role="region" aria-label="The chosen unit"></div>
</div>
<p class="hidden" id="told" role="status"></p>
<p class="faint">What is found in the {escape(many)} stands in the list of {escape(many)} below.</p>
</section>
"""


def _map(browser: Browser) -> str:
    unused = f" and {len(browser.unused):,} that do not occur (rings)" if browser.unused else ""
    return f"""<section>
<h2>Map of codewords</h2>
<p>The two main directions of the codewords show {browser.explained:.0%} of their variance. Here are
{len(browser.units):,} units{unused}; the larger a disc, the more often its unit occurs. A click opens a unit; the
list above opens the same ones from the keyboard.</p>
<svg id="map" class="map" viewBox="-110 -110 220 220" role="img" aria-label="Map of {len(browser.units):,} codewords in
two dimensions"></svg>
</section>
"""


def _lines(browser: Browser) -> str:
    one, many = escape(browser.kind.one), escape(browser.kind.many.capitalize())
    is_long = browser.kind.name in {"sound", "line"}
    zoom = (
        '<label>Zoom <input type="range" id="zoom" min="0.5" max="4" step="0.25" value="1"></label>'
        if is_long
        else ""
    )
    play = (
        '<button type="button" class="plain" id="play">Play</button>' if browser.kind.name == "sound" else ""
    )
    keys = " P plays from there." if play else ""
    return f"""<section id="lines">
<h2>{many} and their units</h2>
<div class="tools">
<label>{one.capitalize()} <select id="clip"></select></label>
<button type="button" class="plain" id="before">Previous</button>
<button type="button" class="plain" id="after">Next</button>
{play}{zoom}
</div>
<p class="faint" id="rowkeys">The same number has the same colour everywhere. Arrow keys go through the units, Enter
opens one above.{keys}</p>
<div id="about"></div>
<div id="line" class="scroll" role="region" aria-label="The chosen {one} with its units" tabindex="-1"></div>
</section>
"""

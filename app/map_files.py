"""A map as a file: SVG, PNG, or one HTML page that needs no network. Pure: what is drawn comes in, bytes go out."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.display import one_line
from app.formats import THIN_SPACE, count
from app.map_colours import ON_LIGHT, Colouring, Rgb
from indexer.maps.polygon import GRID

MOST_TITLES = 5_000  # of which the page tells on pointing; more would make it larger than its points
_SIDE, _LEGEND_WIDTH, _EDGE, _HEAD = 1000, 300, 24, 64
_LINE = 24
_MOST_LETTERS = 34  # of a legend's line
_CROWDED = 50_000  # above, points cover each other and how many there are must show
_PAGE = Path(__file__).with_name("map_page.html")


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn.

    Attributes:
        x: uint16 [N].
        y: uint16 [N], upwards, as the page draws it.
        colouring: of the N points.
        title: above it.
        notes: lines on how it was made, for whoever reads the file later.
        titles: of the points, at most `MOST_TITLES`, in their order; empty for none.
    """

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    colouring: Colouring
    title: str
    notes: tuple[str, ...] = ()
    titles: Sequence[str] = ()


def to_svg(picture: Picture) -> bytes:
    """The picture as SVG: one path a colour, a legend, no script, no font and nothing to load."""
    width, height = _SIDE + _LEGEND_WIDTH + 3 * _EDGE, _SIDE + _HEAD + 2 * _EDGE + _LINE * len(picture.notes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="15" fill="#1a1a1a">',
        f"<title>{_xml(picture.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_EDGE}" y="40" font-size="22" font-weight="600">{_xml(picture.title)}</text>',
        f'<g transform="translate({_EDGE} {_HEAD})" fill="none" stroke-linecap="round" '
        f'stroke-width="{_dot(picture.x.size)}">',
        *_paths(picture),
        "</g>",
    ]
    left = _SIDE + 2 * _EDGE
    for row, (label, colour) in enumerate(_legend_lines(picture.colouring)):
        y = _HEAD + 16 + row * _LINE
        if colour is not None:
            parts.append(f'<circle cx="{left + 6}" cy="{y - 5}" r="6" fill="{_hex(colour)}"/>')
        parts.append(f'<text x="{left + 20}" y="{y}">{_xml(label)}</text>')
    for row, note in enumerate(picture.notes):
        y = _HEAD + _SIDE + _EDGE + 10 + row * _LINE
        parts.append(f'<text x="{_EDGE}" y="{y}" font-size="13" fill="#595959">{_xml(note)}</text>')
    return ("\n".join(parts) + "\n</svg>\n").encode()


def _paths(picture: Picture) -> list[str]:
    """One path a colour, grey first; a point is a line of no length with round ends."""
    paths = []
    numbers, palette = picture.colouring.numbers, picture.colouring.light
    across = np.round(picture.x.astype(np.float64) * _SIDE / GRID, 1)
    down = np.round((GRID - picture.y).astype(np.float64) * _SIDE / GRID, 1)
    for number in np.unique(numbers).tolist():
        mine = numbers == number
        steps = "".join(
            f"M{x:g} {y:g}h0" for x, y in zip(across[mine].tolist(), down[mine].tolist(), strict=True)
        )
        paths.append(f'<path stroke="{_hex(palette[number])}" d="{steps}"/>')
    return paths


def to_png(picture: Picture, side: int = 1400) -> bytes:
    """The picture as PNG on white; where points are many, paler where they are few.

    Args:
        picture: to draw.
        side: pixels of the square that holds the points.
    """
    from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

    scale = side / _SIDE
    left, line, edge, head = (round(scale * each) for each in (_SIDE + 2 * _EDGE, _LINE, _EDGE, _HEAD))
    width = side + round(scale * (_LEGEND_WIDTH + 3 * _EDGE))
    image = Image.new("RGB", (width, side + head + 2 * edge + line * len(picture.notes)), ON_LIGHT)
    image.paste(Image.fromarray(_raster(picture, side)), (edge, head))
    draw = ImageDraw.Draw(image)
    large, small = ImageFont.load_default(22 * scale), ImageFont.load_default(15 * scale)
    draw.text((edge, edge), _drawable(one_line(picture.title)[:120]), fill="#1a1a1a", font=large)
    for row, (label, colour) in enumerate(_legend_lines(picture.colouring)):
        y = head + row * line
        if colour is not None:
            draw.ellipse((left, y + 4, left + line * 0.5, y + 4 + line * 0.5), fill=colour)
        draw.text((left + line * 0.8, y), _drawable(label), fill="#1a1a1a", font=small)
    for row, note in enumerate(picture.notes):
        draw.text(
            (edge, head + side + edge / 2 + row * line), _drawable(one_line(note)), fill="#595959", font=small
        )
    told = PngImagePlugin.PngInfo()
    told.add_itxt("Title", picture.title)
    told.add_itxt("Description", "\n".join(picture.notes))
    content = io.BytesIO()
    image.save(content, "PNG", pnginfo=told, optimize=False)
    return content.getvalue()


def _raster(picture: Picture, side: int) -> NDArray[np.uint8]:
    """The points alone, uint8 [side, side, 3]: each pixel the mean colour of the points that cover it."""
    palette = np.array(picture.colouring.light, np.float64)
    columns = (picture.x.astype(np.int64) * (side - 1)) // GRID
    rows = ((GRID - picture.y).astype(np.int64) * (side - 1)) // GRID
    counts, sums = np.zeros(side * side), np.zeros((side * side, 3))
    colours = palette[picture.colouring.numbers]
    for down, across in _disc(_dot(picture.x.size) * side / _SIDE / 2):
        y, x = rows + down, columns + across
        seen = (y >= 0) & (y < side) & (x >= 0) & (x < side)
        at = y[seen] * side + x[seen]
        counts += np.bincount(at, minlength=side * side)
        for part in range(3):
            sums[:, part] += np.bincount(at, weights=colours[seen, part], minlength=side * side)
    covered = counts > 0
    strength = np.ones_like(counts)
    if picture.x.size > _CROWDED:
        strength = 0.3 + 0.7 * np.log1p(counts) / np.log1p(counts.max())
    page = np.full((side * side, 3), 255.0)
    mean = sums[covered] / counts[covered, None]
    page[covered] += (mean - 255) * strength[covered, None]
    return np.round(page).astype(np.uint8).reshape(side, side, 3)


def _disc(radius: float) -> list[tuple[int, int]]:
    reach = int(radius)
    return [
        (down, across)
        for down in range(-reach, reach + 1)
        for across in range(-reach, reach + 1)
        if down * down + across * across <= radius * radius
    ]


def to_html(picture: Picture) -> bytes:
    """The picture as one page with its own canvas: it moves, grows, and names the point under the mouse.

    It loads nothing and may load nothing: its policy forbids all but its own script and style. Texts reach it as JSON
    in which no tag can begin, and the page by `textContent`.
    """
    if picture.titles and len(picture.titles) != picture.x.size:
        raise ValueError("there must be a title for every point, or none")
    colouring = picture.colouring
    content = {
        "title": one_line(picture.title),
        "notes": [one_line(note) for note in picture.notes],
        "x": _packed(picture.x, "<u2"),
        "y": _packed(GRID - picture.y, "<u2"),
        "numbers": _packed(colouring.numbers, "u1"),
        "light": colouring.light,
        "dark": colouring.dark,
        "legend": {
            "title": one_line(colouring.legend.title),
            "entries": [
                [one_line(entry.label), entry.colour, entry.count] for entry in colouring.legend.entries
            ],
            "unlisted": [[one_line(e.label), e.colour, e.count] for e in colouring.legend.unlisted],
            "rest": [colouring.legend.rest.label, colouring.legend.rest.count]
            if colouring.legend.rest
            else [],
            "ends": [one_line(end) for end in colouring.legend.ends],
        },
        "titles": [one_line(title)[:300] for title in picture.titles],
    }
    page = _PAGE.read_text(encoding="utf-8")
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    for tag in ("style", "script"):
        source = page.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
        policy += (
            f"; {tag}-src 'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
        )
    parts = {"@POLICY@": policy, "@TITLE@": _xml(picture.title), "@DATA@": _json_in_html(content)}
    # In one pass: a title may look like one of our marks.
    return re.sub("|".join(parts), lambda mark: parts[mark[0]], page).encode()


def _packed(values: NDArray[np.integer], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _json_in_html(content: object) -> str:
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _drawable(text: str) -> str:
    """The text without the thin spaces between thousands, for which the font of pictures has no sign."""
    return text.replace(THIN_SPACE, " ")


def _legend_lines(colouring: Colouring) -> list[tuple[str, Rgb | None]]:
    """Words and colour of each line of the legend; its title and what is not listed have no colour."""
    legend = colouring.legend
    lines: list[tuple[str, Rgb | None]] = [(_short(legend.title), None)] if legend.title else []
    if legend.ends:
        low, high = legend.ends
        steps = np.linspace(1, len(colouring.light) - 1, 5).round().astype(int).tolist()
        words = [low, "", "", "", high]
        lines += [(_short(word), colouring.light[step]) for word, step in zip(words, steps, strict=True)]
    for entry in legend.entries:
        lines.append((f"{_short(entry.label)} ({count(entry.count)})", colouring.light[entry.colour]))
    if legend.rest:
        lines.append((f"{_short(legend.rest.label)} ({count(legend.rest.count)})", None))
    return lines


def _dot(points: int) -> float:
    """How thick a point is on a side of 1000."""
    return round(float(np.clip(160 / max(points, 1) ** 0.42, 1.2, 8.0)), 2)


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _xml(text: str) -> str:
    return escape(one_line(text))

"""Elements of an HTML page: tables, numbers, and pictures as SVG. Every text is escaped."""

import html
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from prpose.io.overlay import BONE_CHAINS, SIDE_COLOURS
from prpose.skeleton import H36M_17
from prpose.tables import import_extra, printable

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d21; --line: #c9cdd3; --soft: #f0f2f5 }
@media (prefers-color-scheme: dark) { :root { --paper: #16181d; --ink: #e7e9ec; --line: #474c55; --soft: #23272e } }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem } h2 { font-size: 1.25rem; margin-top: 2rem } h3 { font-size: 1rem }
.scroll { overflow-x: auto; margin: 1rem 0 } table { border-collapse: collapse; font-size: .875rem }
caption { text-align: left; font-weight: 600; padding: .25rem 0 }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 2rem) }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; overflow-wrap: normal }
th { font-weight: 400 } thead th { font-weight: 600 } thead th[colspan] { text-align: center }
tbody th, .text td, .text th { text-align: left } .text td { overflow-wrap: anywhere; min-width: 9rem }
.strong { background: var(--soft) } data { font-variant-numeric: tabular-nums }
.row { display: flex; flex-wrap: wrap; gap: 1.5rem } figure { margin: 0; flex: 0 1 26rem; min-width: 0 }
.pictures figure { flex-basis: 19rem }
svg { width: 100%; height: auto } svg text { fill: currentColor } figcaption { font-size: .875rem }
.pose path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linejoin: round }
.pose .sample { stroke-width: .7; opacity: .45 } .pose .estimate { stroke-dasharray: 5 3 }
.pose .truth { stroke: currentColor }
@media print { body { max-width: none; font-size: 9pt } .scroll { overflow: visible } table { font-size: 7pt }
  figure, tr { break-inside: avoid } h2, h3 { break-after: avoid } }
""" + "".join(f".pose .{side} {{ stroke: {colour} }}\n" for side, colour in SIDE_COLOURS.items())


def escape(text: object) -> str:
    """Text of a page, on one line and without control characters, which also a viewer of its source would obey."""
    return html.escape(printable(text))


def number(value: float | None, digits: int = 1, is_best: bool = False) -> str:
    """A rounded number, its exact value in the ``<data>`` element; the best is bold and has a star."""
    if value is None:
        return "–"
    text = f'<data value="{value!r}">{value:,.{digits}f}</data>'
    return f'<strong>{text}<span role="img" aria-label="best">★</span></strong>' if is_best else text


def table(
    caption: str,
    heads: Sequence[tuple[str, int]],
    rows: Sequence[tuple[str, Sequence[str]]],
    names: Sequence[str] = (),
    kind: str = "numbers",
) -> str:
    """A table of cells in HTML. A head spans a column for each of ``names``, if there are several, or none."""
    several = len(names) > 1
    spans = [f' scope="colgroup" colspan="{n}"' if several and n else ' scope="col"' for _, n in heads]
    top = "".join(f"<th{span}>{escape(head)}</th>" for span, (head, _) in zip(spans, heads, strict=True))
    lines = [f"<tr><td></td>{top}</tr>"]
    if several:
        below = [name if n else "" for _, n in heads for name in (names if n else [""])]
        cells = [f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in below]
        lines.append(f"<tr><td></td>{''.join(cells)}</tr>")
    body = []
    for name, row in rows:
        strong = ' class="strong"' if name.startswith("≠") or name in ("all frames", "average") else ""
        cells = [f"<td>{cell}</td>" for cell in row]
        body.append(f'<tr{strong}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    whole = f"<caption><span>{escape(caption)}</span></caption><thead>{''.join(lines)}</thead>"
    whole += "<tbody>\n" + "\n".join(body)
    label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'
    return f'<div class="scroll" {label}><table class="{kind}">{whole}</tbody></table></div>\n'


def figure(svg: str, caption: str) -> str:
    """An SVG element with a caption in HTML."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def in_a_row(figures: Sequence[str], kind: str = "curves") -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="row {kind}">{"".join(figures)}</div>\n' if figures else ""


def inline_svg(figure: Any, label: str, prefix: str) -> str:
    """A matplotlib figure as an SVG element whose ids start with the prefix, so that several fit on one page."""
    stream = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": prefix}
    with import_extra("matplotlib", "plot").rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the browser has its own fonts
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    whole = re.sub(r"<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', whole)
    assert box is not None, "matplotlib states the size of a figure"
    inner = whole[whole.index(">", box.end()) + 1 :].replace("#000000", "currentColor")
    inner = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", inner).replace("*{", f"#{prefix} *{{", 1)
    return f'<svg id="{prefix}" role="img" aria-label="{escape(label)}" {box[0]}>{inner}'


def pose_paths(poses: Any, kind: str) -> str:
    """SVG paths of poses (S, 17, 2); the truth's are of one colour, others' of that of their side."""
    found = []
    for xy in poses:
        for limb in BONE_CHAINS:
            side = "" if kind == "truth" else H36M_17.sides[limb[0]]
            points = "L".join(f"{x:.1f} {y:.1f}" for x, y in xy[limb])
            found.append(f'<path class="{kind} {side}" d="M{points}"/>')
    return "".join(found)

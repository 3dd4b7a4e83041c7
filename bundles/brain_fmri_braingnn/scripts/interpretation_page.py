"""The page that shows an interpretation: figures, tables, method and limits in one file."""

import base64
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from .common.data.atomic import atomic_path

__all__ = ["write_page"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; margin-bottom: 0; } h2 { margin-top: 2em; border-bottom: 1px solid #ddd; }
.note { color: #666; } img { width: 100%; } section { break-inside: avoid; }
table { border-collapse: collapse; font-size: 14px; } td, th { padding: .25em .8em; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } tr:nth-child(even) { background: #f6f6f6; }
"""

METHOD = (
    "Score: standardised score of the first pooling layer, mean over the subjects of a class and over the networks of "
    "the ensemble; a region that is missing in a subject does not count there. It says what the network attends to, in "
    "both classes. Effect: Cohen's d of the score between classes, root mean square over networks; it says where the classes "
    "are treated differently.",
    "Stability: Jaccard index of chosen regions over pairs of subjects or networks, beside what sets of that size drawn at "
    "random give.",
    "Communities: relu(alpha) of the first convolution; a region belongs to those above mean + standard deviation of its "
    "row. Numbers of communities are arbitrary, so networks are aligned by the Hungarian method; regions of one network "
    "shuffled show what alignment alone gives.",
    "Edges: integrated gradients of the margin of the last class from no edges to the subject's edges, kept regions and "
    "normalisation held, both directions summed. They add up to what the edges change in the margin; completeness error "
    "is the largest error of that sum. Gradient times input and guided backpropagation stand in edges.csv; guided "
    "backpropagation can look the same after the weights are randomised (Adebayo et al. 2018): draw no conclusion from it.",
)
LIMITS = (
    "This describes the network, not the brain: another network of equal accuracy may use other regions.",
    "A region whose networks disagree (Jaccard near chance) is no finding. Confirm on another section or fold.",
    "Head motion, site and age can stand behind a difference; see the covariate baseline of the evaluation.",
    "Effects of node features are not in the edges: correlation rows enter as features and are not attributed here.",
    "Research use only; no biomarker of a single person.",
)


def write_page(
    path: Path,
    title: str,
    note: str,
    figures: dict[str, Path],
    tables: dict[str, pd.DataFrame],
    numbers: dict[str, Any],
) -> None:
    """Write one HTML file that needs no other.

    Args:
        path: file to write.
        title: of the page.
        note: n and data.
        figures: PNG by caption.
        tables: table by caption; numbers are rounded.
        numbers: figures by name, as in `interpretation.json`.
    """
    parts = [f"<h1>{escape(title)}</h1><p class='note'>{escape(note)}</p>", "<h2>In numbers</h2>", _numbers(numbers)]
    parts += [f"<section><h2>{escape(name)}</h2>{_image(png, name)}</section>" for name, png in figures.items()]
    parts += [f"<section><h2>{escape(name)}</h2>{_table(table)}</section>" for name, table in tables.items()]
    for name, lines in (("Method", METHOD), ("Limits", LIMITS)):
        parts.append(f"<h2>{name}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"
        )


def _image(png: Path, name: str) -> str:
    data = base64.b64encode(png.read_bytes()).decode()
    return f"<img alt='{escape(name, quote=True)}' src='data:image/png;base64,{data}'>"


def _numbers(numbers: dict[str, Any]) -> str:
    rows = [{"figure": name, "value": _text(value)} for name, value in numbers.items()]
    return _table(pd.DataFrame(rows))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(table: pd.DataFrame) -> str:
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    kinds = [" class='n'" if number else "" for number in numeric]
    heads = "".join(f"<th{kind}>{escape(str(n).replace('_', ' '))}</th>" for kind, n in zip(kinds, table, strict=True))
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(_text(cell))}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in table.itertuples(index=False)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"

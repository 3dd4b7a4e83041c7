"""The page that shows predicted responses drug by drug and cell by cell, in one file."""

import base64
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from .common.data.atomic import atomic_path
from .response_figures import correlation_table, plot_group, plot_responses

__all__ = ["write_response_page"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; margin-bottom: 0; } h2 { margin-top: 2em; border-bottom: 1px solid #ddd; }
.note, figcaption, .card p { color: #666; } img { max-width: 100%; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 1em; }
.card { break-inside: avoid; } .card h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
.card p { font-size: 13px; margin: 0; }
table { border-collapse: collapse; font-size: 14px; } td, th { padding: .2em .8em; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } tr:nth-child(even) { background: #f6f6f6; }
"""

READING = (
    "Drugs differ far more from each other than cell lines do for one drug. A high correlation over all pairs, or of a "
    "cell line over drugs, therefore says little about unseen cells; look at each drug over cells there, and at each cell "
    "line over drugs only where the drugs are unseen.",
    "A correlation of 0 stands for a constant prediction. Those with fewer than 5 measured pairs are left out.",
    "ln IC50 with IC50 in micromolar: lower is more sensitive. Research use only; not for the choice of a treatment.",
)


def write_response_page(
    path: Path,
    pairs: pd.DataFrame,
    title: str,
    note: str = "",
    figures: Mapping[str, Path] | None = None,
    shown: int = 12,
) -> None:
    """Write one HTML file that needs no other: overview, best and worst drugs and cell lines, tables of all.

    Args:
        path: file to write.
        pairs: columns ``drug, cell, y, pred`` (ln IC50) and, where there are intervals, ``low, high``.
        title: of the page.
        note: line under the title, such as data, split and n.
        figures: further PNG files by caption.
        shown: number of scatter plots of the best and of the worst drugs, and of the cell lines.

    Raises:
        ValueError: no pair.
    """
    parts = [f"<h1>{escape(title)}</h1><p class='note'>{escape(note)}</p>"]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        plot_responses(pairs, picture)
        parts.append(f"<section><h2>Overview</h2>{_image(picture, 'overview of all pairs')}</section>")
        for name, file in (figures or {}).items():
            parts.append(f"<section><h2>{escape(name)}</h2>{_image(file, name)}</section>")
        for column, plural in (("drug", "Drugs"), ("cell", "Cell lines")):
            table = correlation_table(pairs, column)
            parts += _sections(pairs, table, column, plural, shown, picture)
    parts.append(f"<h2>How to read this</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in READING)}</ul>")
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"
        )


def _sections(
    pairs: pd.DataFrame, table: pd.DataFrame, column: str, plural: str, shown: int, picture: Path
) -> list[str]:
    """Cards of the best and worst, each once, and the table of all."""
    best = table.head(shown)
    worst = table.iloc[len(best) :].tail(shown).iloc[::-1]
    groups = dict(list(pairs[pairs[column].astype(str).isin({*best[column], *worst[column]})].groupby(column)))
    by_name = {str(name): group for name, group in groups.items()}
    parts = []
    for kind, chosen in (("predicted best", best), ("predicted worst", worst)):
        cards = [_card(row, by_name[row[0]], picture) for row in chosen.itertuples(index=False)]
        if cards:
            parts.append(f"<section><h2>{plural} {kind}</h2><div class='cards'>{''.join(cards)}</div></section>")
    parts.append(f"<section><h2>All {plural.lower()}</h2>{_table(table)}</section>")
    return parts


def _card(row: tuple, group: pd.DataFrame, picture: Path) -> str:
    name, count, correlation, rmse = row
    plot_group(group, picture)
    text = f"r {correlation:.2f}, RMSE {rmse:.2f}, {count} pairs"
    return f"<div class='card'><h3>{escape(name)}</h3><p>{text}</p>{_image(picture, name)}</div>"


def _image(png: Path, name: str) -> str:
    data = base64.b64encode(png.read_bytes()).decode()
    return f"<img alt='{escape(name, quote=True)}' src='data:image/png;base64,{data}'>"


def _table(table: pd.DataFrame) -> str:
    name, *numbers = table.columns
    heads = f"<th>{escape(name)}</th>" + "".join(f"<th class='n'>{escape(number)}</th>" for number in numbers)
    rows = "".join(
        f"<tr><td>{escape(entry)}</td><td class='n'>{count}</td><td class='n'>{r:.3f}</td><td class='n'>{rmse:.3f}</td></tr>"
        for entry, count, r, rmse in table.itertuples(index=False)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts.response_figures import plot_group
from scripts.response_page import write_response_page


class Page(HTMLParser):
    """Tags, sources and texts of headings; every tag that is opened is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []
        self.headings: list[str] = []
        self.feed(path.read_text())
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data


def pairs(num_drugs: int, num_cells: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    drugs, cells = np.divmod(np.arange(num_drugs * num_cells), num_cells)
    y = rng.normal(size=len(drugs)) + drugs
    pred = y + rng.normal(size=len(drugs)) * 0.3 * drugs
    return pd.DataFrame({"drug": [f"D<{d}>&" for d in drugs], "cell": [f"C{c}" for c in cells], "y": y, "pred": pred})


def test_the_page_needs_no_other_file_and_no_script(tmp_path: Path) -> None:
    write_response_page(tmp_path / "page.html", pairs(8, 12), "A <b> title", "a note", shown=2)
    page = Page(tmp_path / "page.html")
    assert page.sources and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert page.headings[0] == "A <b> title"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_best_and_worst_have_a_heading_and_a_picture_and_all_stand_in_tables(tmp_path: Path) -> None:
    write_response_page(tmp_path / "page.html", pairs(8, 12), "title", shown=2)
    page = Page(tmp_path / "page.html")
    start = page.headings.index("Drugs predicted best")
    assert page.headings[start + 1] == "D<0>&"
    assert page.headings[start + 3] == "Drugs predicted worst"
    assert page.tags.count("img") == 1 + 2 * 4  # overview; two best and two worst drugs and cells
    assert page.tags.count("tr") == 2 + 8 + 12


@pytest.mark.parametrize("count", [pytest.param(1, id="one-drug"), pytest.param(3, id="fewer-than-shown")])
def test_a_drug_that_is_best_is_not_shown_as_worst(count: int, tmp_path: Path) -> None:
    write_response_page(tmp_path / "page.html", pairs(count, 12), "title", shown=12)
    page = Page(tmp_path / "page.html")
    assert [name for name in page.headings if name.startswith("D<")] == list(dict.fromkeys(page.headings))[
        3 : 3 + count
    ]
    assert "Drugs predicted worst" not in page.headings


def test_further_figures_and_numeric_names_are_taken(tmp_path: Path) -> None:
    frame = pairs(6, 8).assign(cell=np.arange(48) % 8)
    plot_group(frame, tmp_path / "extra.png")
    write_response_page(tmp_path / "page.html", frame, "title", figures={"an extra": tmp_path / "extra.png"}, shown=1)
    assert "an extra" in Page(tmp_path / "page.html").headings


def test_a_whole_screen_stays_under_five_megabytes(tmp_path: Path) -> None:
    write_response_page(tmp_path / "page.html", pairs(150, 200), "title")
    assert (tmp_path / "page.html").stat().st_size < 5_000_000

"""Make the datalist of the ABIDE tree that nilearn's ``fetch_abide_pcp`` writes (datalist kind ``abide``)."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from .datalist import SECTIONS, write_datalist

__all__ = ["abide_items", "datalist_abide", "is_abide_tree"]

PHENOTYPE = "Phenotypic_V1_0b_preprocessed1.csv"
LABELS = {0: "control", 1: "autism"}
COVARIATES = {"age": "AGE_AT_SCAN", "sex": "SEX", "motion": "func_mean_fd"}
MISSING = -9999  # what the phenotype table writes for "not known"
_FILE_NAME = re.compile(r"(?P<file_id>.+)_rois_(?P<atlas>[^_.]+)\.1D")
_NUMERIC = b"0123456789+-.eE \t\r\n"

_logger = logging.getLogger(__name__)


def datalist_abide(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    pipeline: str | None = None,
    strategy: str | None = None,
    atlas: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
) -> Path:
    """Join region series with the phenotype table, split by site and diagnosis, and write ``dataset_dir/dataset.json``.

    Label 1 is autism (`DX_GROUP` 1), 0 control. Covariates are `site`, `age` (years), `sex` (1 male, 2 female) and
    `motion` (mean framewise displacement, mm); one that the table does not know (-9999 or empty) is left out.

    Args:
        source: folder ``ABIDE_pcp`` or its parent, with ``<pipeline>/<strategy>/<FILE_ID>_rois_<atlas>.1D``.
        dataset_dir: where `dataset.json` is written; the series stay where they are.
        pipeline: cpac, css, dparsf or niak; needed where the tree holds several.
        strategy: for example filt_noglobal; needed where the tree holds several.
        atlas: for example ho or cc200; needed where the tree holds several.
        validation: share of the subjects for validation.
        test: share of the subjects for test.
        seed: of the split.
        skip_broken: leave out unusable series, rows without a file and files without a row, with a warning for each,
            where they would be refused.
        progress: show a bar.

    Returns:
        The file.

    Raises:
        FileNotFoundError: `source`, its series or the phenotype table do not exist.
        ValueError: an ambiguous choice, a subject twice, an unusable series, a row without a file or the reverse, or
            too few subjects for the split.
    """
    root = _root(source)
    chosen, files = _series(root, pipeline, strategy, atlas)
    rows = _phenotype(root / PHENOTYPE)
    items = _items(files, rows, progress)
    lost = {name: "has no series file" for name in rows if name not in files}
    lost |= {item["id"]: item["error"] for item in items if "error" in item}
    lost |= {name: f"has no row in {PHENOTYPE}" for name in files if name not in rows}
    cases = [item for item in items if item["id"] not in lost]
    _refuse_or_skip(lost, len(cases), skip_broken, str(root))
    _report_missing(cases)
    sections = _split(cases, (1 - validation - test, validation, test), seed)
    extra = {"modality": {"0": "fMRI region series"}, "seed": seed, **chosen}
    description = f"ABIDE I, Preprocessed Connectomes Project, {' '.join(chosen.values())}"
    return write_datalist(dataset_dir, "ABIDE_pcp", description, LABELS, sections, extra)


def abide_items(
    source: str | os.PathLike[str],
    pipeline: str | None = None,
    strategy: str | None = None,
    atlas: str | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """List every region series of a tree to predict, labelled where the phenotype table says so.

    Args:
        source: as in :func:`datalist_abide`; the phenotype table may be absent.
        pipeline: as in :func:`datalist_abide`.
        strategy: as in :func:`datalist_abide`.
        atlas: as in :func:`datalist_abide`.
        progress: show a bar.

    Returns:
        Items in order of `id` with `image`, `id`, `group`, `section` (test), `label` (-1 without a row), `site` (of
        the file name without a row), the known covariates and, for an unusable series, `error`.

    Raises:
        FileNotFoundError: `source` or its series do not exist.
        ValueError: an ambiguous choice, or a subject twice in the phenotype table.
    """
    root = _root(source)
    _, files = _series(root, pipeline, strategy, atlas)
    rows = _phenotype(root / PHENOTYPE) if (root / PHENOTYPE).is_file() else {}
    return [item | {"section": "test"} for item in _items(files, rows, progress)]


def is_abide_tree(source: str | os.PathLike[str]) -> bool:
    """Whether a folder, or its ``ABIDE_pcp``, has ``<pipeline>/<strategy>/*_rois_*.1D``."""
    return any(next(folder.glob("*/*/*_rois_*.1D"), None) for folder in (Path(source), Path(source) / "ABIDE_pcp"))


def _root(source: str | os.PathLike[str]) -> Path:
    path = Path(source).absolute()
    if not path.is_dir():
        raise FileNotFoundError(f"datalist_abide: source {str(path)!r} does not exist; check the path.")
    return path / "ABIDE_pcp" if (path / "ABIDE_pcp").is_dir() else path


def _series(
    root: Path, pipeline: str | None, strategy: str | None, atlas: str | None
) -> tuple[dict[str, str], dict[str, Path]]:
    """The one pipeline, strategy and atlas that fits, and its file of each FILE_ID."""
    found: dict[tuple[str, str, str], dict[str, Path]] = {}
    for path in sorted(root.glob("*/*/*_rois_*.1D")):
        if match := _FILE_NAME.fullmatch(path.name):
            key = (path.parts[-3], path.parts[-2], match["atlas"])
            found.setdefault(key, {})[match["file_id"]] = path
    if not found:
        raise FileNotFoundError(
            f"datalist_abide: {str(root)!r} has no <pipeline>/<strategy>/<FILE_ID>_rois_<atlas>.1D; give the folder "
            "that nilearn's fetch_abide_pcp wrote."
        )
    wanted = (pipeline, strategy, atlas)
    fits = [key for key in found if all(want in (None, have) for want, have in zip(wanted, key, strict=True))]
    if len(fits) != 1:
        listed = ", ".join("/".join(key) for key in found)
        raise ValueError(
            f"datalist_abide: pipeline={pipeline}, strategy={strategy}, atlas={atlas} fit {len(fits)} of {listed}; "
            "choose one."
        )
    return dict(zip(("pipeline", "strategy", "atlas"), fits[0], strict=True)), found[fits[0]]


def _phenotype(file: Path) -> dict[str, dict[str, Any]]:
    """Row of each FILE_ID; rows without a file name are left out and counted."""
    if not file.is_file():
        raise FileNotFoundError(f"datalist_abide: phenotype table {str(file)!r} does not exist; fetch it.")
    table = pd.read_csv(file, dtype={"FILE_ID": str}, skipinitialspace=True)
    needed = ["SUB_ID", "FILE_ID", "SITE_ID", "DX_GROUP"]
    if absent := [name for name in needed if name not in table]:
        raise ValueError(f"datalist_abide: {file.name} has no column {absent[0]!r}; fetch the table anew.")
    named = table[table["FILE_ID"].notna() & (table["FILE_ID"] != "no_filename")]
    if skipped := len(table) - len(named):
        _logger.info(f"{skipped} of {len(table)} rows of {file.name} have no file name and are left out")
    for column in ("FILE_ID", "SUB_ID"):
        if twice := named[column][named[column].duplicated()].tolist():
            raise ValueError(
                f"datalist_abide: {column} {twice[0]!r} stands in two rows of {file.name}; keep one row per subject."
            )
    if bad := [row["FILE_ID"] for row in named.to_dict("records") if row["DX_GROUP"] not in (1, 2)]:
        raise ValueError(f"datalist_abide: DX_GROUP of {bad[0]!r} in {file.name} is neither 1 nor 2; correct it.")
    return {row["FILE_ID"]: row for row in named.to_dict("records")}


def _items(files: dict[str, Path], rows: dict[str, dict[str, Any]], progress: bool) -> list[dict[str, Any]]:
    shapes = {
        name: _scan(path) for name, path in tqdm(files.items(), "reading series", unit="file", disable=not progress)
    }
    headers = Counter(header for header, _ in shapes.values())
    usual = headers.most_common(1)[0][0]
    items = []
    for name, path in files.items():
        header, error = shapes[name]
        if not error and header != usual:
            error = f"has {_count(header)} regions, not the {_count(usual)} that most series here have"
            error += f" ({header[:20]} ..., not {usual[:20]} ...)" if _count(header) == _count(usual) else ""
        item = {"id": name, "image": str(path)} | _traits(name, rows.get(name))
        items.append(item | {"error": error} if error else item)
    return items


def _traits(name: str, row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        match = re.fullmatch(r"(?P<site>.+?)_0*(?P<subject>\d+)", name)
        return {"group": match["subject"] if match else name, "label": -1, "site": match["site"] if match else ""}
    values = {key: float(row[column]) for key, column in COVARIATES.items() if _known(row.get(column))}
    if "sex" in values:
        values["sex"] = int(values["sex"])
    return {"group": str(row["SUB_ID"]), "label": 2 - int(row["DX_GROUP"]), "site": row["SITE_ID"], **values}


def _known(value: Any) -> bool:
    number = pd.to_numeric(value, errors="coerce")
    return number is not None and bool(np.isfinite(number)) and number != MISSING


def _scan(path: Path) -> tuple[str, str]:
    """Header (or number of columns) of a series, and what is wrong with it; numbers are looked at, not parsed."""
    head, _, body = path.read_bytes().partition(b"\n")
    if not head.lstrip().startswith(b"#"):
        head, body = b"? " * len(head.split()), head + b"\n" + body
    header = " ".join(head.decode(errors="replace").split())
    if rest := body.translate(None, _NUMERIC):
        kind = "NaN" if b"nan" in rest.lower() else "infinite values" if b"inf" in rest.lower() else "text"
        return header, f"holds {kind} where a number should be"
    numbers, lines = len(body.split()), sum(bool(line.strip()) for line in body.splitlines())
    if lines < 2:
        return header, f"has {lines} frames"
    if numbers != lines * _count(header):
        return header, f"has {numbers} numbers, not {lines} frames x {_count(header)} regions"
    return header, ""


def _count(header: str) -> int:
    return len(header.split())


def _refuse_or_skip(lost: dict[str, str], left: int, skip_broken: bool, root: str) -> None:
    if lost and not (skip_broken and left):
        listed = " | ".join(f"{name} {error}" for name, error in list(lost.items())[:5])
        raise ValueError(
            f"datalist_abide: {len(lost)} subjects of {root!r} are unusable, {left} are well ({listed}"
            f"{' ...' if len(lost) > 5 else ''}); repair or fetch them, or leave them out with --skip_broken."
        )
    for name, error in lost.items():
        _logger.warning(f"left out {name}: {error}")


def _report_missing(cases: Iterable[dict[str, Any]]) -> None:
    absent = Counter(key for case in cases for key in COVARIATES if key not in case)
    for key, count in absent.items():
        _logger.warning(f"{key} is not known of {count} subjects")


def _split(cases: Sequence[dict[str, Any]], fractions: Sequence[float], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Deal subjects, one stratum (diagnosis, site) after the other, to the section that lacks most of its share.

    Every stratum is cut in the wanted proportions to within one subject, and rare strata are dealt on with the next.
    """
    if min(fractions) < 0 or fractions[0] == 0:
        raise ValueError(f"datalist_abide: shares are {list(fractions)}; take validation + test below 1, both >= 0.")
    rng = np.random.default_rng(seed)
    strata = sorted({(case["label"], case["site"]) for case in cases})
    rank = dict(zip(strata, rng.permutation(len(strata)).tolist(), strict=True))
    draws = rng.permutation(len(cases))
    order = sorted(
        range(len(cases)), key=lambda k: (cases[k]["label"], rank[cases[k]["label"], cases[k]["site"]], draws[k])
    )
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
    share = dict(zip(SECTIONS, fractions, strict=True))
    for dealt, k in enumerate(order, start=1):
        name = max(SECTIONS, key=lambda section: share[section] * dealt - len(sections[section]))
        sections[name].append(cases[k])
    wanted = {case["label"] for case in cases}
    for name, items in sections.items():
        if share[name] > 0 and {item["label"] for item in items} != wanted:
            raise ValueError(
                f"datalist_abide: {len(cases)} subjects are too few to give {name} both diagnoses at a share of "
                f"{share[name]:.2f}; add subjects or set the share to 0."
            )
    return {name: items for name, items in sections.items() if items}

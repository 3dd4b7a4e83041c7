"""The one list of cases that every bundle reads: ``dataset.json`` in Decathlon style."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .atomic import atomic_path

__all__ = ["PATH_KEYS", "SECTIONS", "load_datalist", "load_labels", "summarise", "write_datalist"]

SECTIONS = ("training", "validation", "test")
PATH_KEYS = ("image", "mri", "series", "axial", "coronal", "sagittal", "responses")
FILE_NAME = "dataset.json"


def load_datalist(
    dataset_dir: str | os.PathLike[str],
    sections: Sequence[str] | None = None,
    path_keys: Sequence[str] = PATH_KEYS,
) -> dict[str, list[dict[str, Any]]]:
    """Read ``dataset_dir/dataset.json`` and check it.

    Args:
        dataset_dir: folder of the file; paths in it are relative to this folder.
        sections: which sections to load; None loads all that the file has. The others are checked, but their images
            need not exist.
        path_keys: entries that name one file or folder, or a list of files (slices in order).

    Returns:
        Items by section. Every item has `id` (default ``<section>/<index>``), `group` (default `id`), `section`,
        `label` (default -1, unlabelled), its paths (absolute) and its covariates.

    Raises:
        FileNotFoundError: `dataset.json` or an image is missing.
        ValueError: an unknown section, a repeated id, a group in two sections, a label that `labels` does not name, a
            key that begins with ``image_``, an entry without an image, or a file that is no datalist.
    """
    file = Path(dataset_dir).absolute() / FILE_NAME
    content = _read_json(file)
    present = [name for name in SECTIONS if name in content]
    for name in present if sections is None else sections:
        if name not in present:
            raise ValueError(
                f"load_datalist: section {name!r} is not in {file}, which has {present}; take one of those."
            )
    datalist = {name: [_complete(entry, name, k) for k, entry in enumerate(content[name])] for name in present}
    _check(datalist, content.get("labels") or {}, path_keys, str(file))
    wanted = {name: datalist[name] for name in (present if sections is None else sections)}
    _to_absolute(wanted, path_keys, file)
    return wanted


def write_datalist(
    dataset_dir: str | os.PathLike[str],
    name: str,
    description: str,
    labels: Mapping[Any, str] | Sequence[str],
    sections: Mapping[str, Sequence[Mapping[str, Any]]],
    extra: Mapping[str, Any] | None = None,
    path_keys: Sequence[str] = PATH_KEYS,
) -> Path:
    """Check cases and write ``dataset_dir/dataset.json`` in one step: the file is complete or absent.

    Args:
        dataset_dir: folder of the file, made if needed.
        name: short name of the data.
        description: one line: what the data are and where they come from.
        labels: name of each class, as ``{0: "healthy", 1: "ill"}`` or as a list; empty for data without classes.
        sections: cases by section; paths may be absolute or relative to `dataset_dir`.
        extra: further entries of the file (licence, reference, modality).
        path_keys: entries that hold paths.

    Returns:
        The file.

    Raises:
        FileNotFoundError: an image is missing.
        ValueError: as in :func:`load_datalist`, or for a case with an `error`.
    """
    file = Path(dataset_dir).absolute() / FILE_NAME
    names = dict(enumerate(labels)) if isinstance(labels, Sequence) else dict(labels)
    if unknown := [key for key in sections if key not in SECTIONS]:
        raise ValueError(f"write_datalist: section {unknown[0]!r} is unknown; sections are {list(SECTIONS)}.")
    datalist = {key: [_complete(case, key, k) for k, case in enumerate(cases)] for key, cases in sections.items()}
    _check(datalist, {str(key): text for key, text in names.items()}, path_keys, str(file))
    for section, k, item in _entries(datalist):
        if item.get("error"):
            raise ValueError(
                f"write_datalist: {section}[{k}] {item['id']!r} is unusable ({item['error']}); leave it out."
            )
    _to_absolute(datalist, path_keys, file)
    header = {"name": name, "description": description, "labels": {str(key): text for key, text in names.items()}}
    cases = {
        key: [_relative(item, file.parent, path_keys) for item in datalist[key]] for key in SECTIONS if key in datalist
    }
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps({**header, **(extra or {}), **cases}, indent=1) + "\n", encoding="utf-8")
    return file


def summarise(
    datalist: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[Any, str] | Sequence[str] = ()
) -> str:
    """Tabulate cases, groups and cases of each class by section.

    Args:
        datalist: items by section, from :func:`load_datalist`.
        labels: name of each class, as for :func:`write_datalist`.
    """
    names = (
        dict(enumerate(labels)) if isinstance(labels, Sequence) else {int(key): text for key, text in labels.items()}
    )
    counts = {name: Counter(item.get("label", -1) for item in items) for name, items in datalist.items()}
    if any(-1 in count for count in counts.values()):
        names[-1] = "unlabelled"
    rows = [["section", "cases", "groups", *names.values()]]
    for name, items in datalist.items():
        groups = len({item.get("group", (name, k)) for k, item in enumerate(items)})
        rows.append([name, str(len(items)), str(groups), *(str(counts[name][key]) for key in names)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    cells = (
        [row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))] for row in rows
    )
    return "\n".join("  ".join(row) for row in cells)


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(
            f"load_datalist: {file} does not exist; make it with `python -m common datalist KIND --source PATH "
            f"--dataset_dir {file.parent}`."
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"load_datalist: {file} is no valid JSON ({error}); correct it or make it again.") from error
    if not isinstance(content, dict) or not any(name in content for name in SECTIONS):
        raise ValueError(f"load_datalist: {file} has none of the sections {list(SECTIONS)}; make it again.")
    for key, value in content.items():
        cases = isinstance(value, list) and any(isinstance(entry, dict) for entry in value)
        if cases and key not in SECTIONS:
            raise ValueError(f"load_datalist: section {key!r} of {file} is unknown; sections are {list(SECTIONS)}.")
        if key in SECTIONS and not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            raise ValueError(f"load_datalist: {key} in {file} must be a list of objects with a path and a label.")
    return content


def _complete(entry: Mapping[str, Any], section: str, index: int) -> dict[str, Any]:
    item = dict(entry)
    item["id"] = str(item.get("id", f"{section}/{index}"))
    item["group"] = str(item.get("group", item["id"]))
    item.setdefault("label", -1)
    return item | {"section": section}


def _entries(datalist: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for section, items in datalist.items():
        for k, item in enumerate(items):
            yield section, k, item


def _check(
    datalist: Mapping[str, Sequence[dict[str, Any]]], labels: Mapping[str, str], path_keys: Sequence[str], file: str
) -> None:
    ids: dict[str, str] = {}
    sections_of: dict[str, set[str]] = defaultdict(set)
    for section, k, item in _entries(datalist):
        place = f"{section}[{k}] of {file}"
        if bad := [key for key in (*item, *path_keys) if key.startswith("image_")]:
            raise ValueError(
                f"datalist: key {bad[0]!r} in {place} begins with 'image_', which MONAI reserves; rename it."
            )
        if not any(key in item for key in path_keys):
            raise ValueError(f"datalist: {place} has none of the path keys {list(path_keys)}; add one.")
        if item["id"] in ids:
            raise ValueError(f"datalist: {place} repeats id {item['id']!r} of {ids[item['id']]}; make ids unique.")
        if labels and not _known(item["label"], labels):
            raise ValueError(
                f"datalist: label of {place} is {item['label']!r}, and labels are {dict(labels)}; "
                "use one of those numbers, or -1 for unlabelled."
            )
        ids[item["id"]] = f"{section}[{k}]"
        sections_of[item["group"]].add(section)
    if split := {group: found for group, found in sections_of.items() if len(found) > 1}:
        group, found = next(iter(split.items()))
        raise ValueError(
            f"datalist: group {group!r} is in {' and '.join(s for s in SECTIONS if s in found)} of {file} "
            f"({len(split)} such groups); keep each group in one section."
        )


def _known(label: object, labels: Mapping[str, str]) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and (label == -1 or str(label) in labels)


def _to_absolute(datalist: Mapping[str, Sequence[dict[str, Any]]], path_keys: Sequence[str], file: Path) -> None:
    """Make paths absolute and see that they exist, with one listing per folder instead of one question per slice."""
    names_in = cache(lambda folder: frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset())
    for section, k, item in _entries(datalist):
        for key in (key for key in path_keys if key in item):
            value = item[key]
            values = [value] if isinstance(value, str | os.PathLike) else list(value)
            paths = [os.path.normpath(os.path.join(file.parent, path)) for path in values]
            for path in paths:
                if os.path.basename(path) not in names_in(os.path.dirname(path)):
                    raise FileNotFoundError(
                        f"datalist: {section}[{k}].{key} of {file} is {path}, which does not exist; "
                        "restore it or make the datalist again."
                    )
            item[key] = paths[0] if isinstance(value, str | os.PathLike) else paths


def _relative(item: Mapping[str, Any], folder: Path, path_keys: Sequence[str]) -> dict[str, Any]:
    entry = {key: value for key, value in item.items() if key not in ("section", "error")}
    for key in path_keys:
        if isinstance(entry.get(key), str):
            entry[key] = Path(os.path.relpath(entry[key], folder)).as_posix()
        elif key in entry:
            entry[key] = [Path(os.path.relpath(path, folder)).as_posix() for path in entry[key]]
    return entry


def load_labels(dataset_dir: str | os.PathLike[str]) -> dict[str, str]:
    """Names of the classes in ``dataset_dir/dataset.json``, keyed by the number as text; empty without classes."""
    return dict(_read_json(Path(dataset_dir).absolute() / FILE_NAME).get("labels") or {})

"""Where the cases come from: a datalist, the native layouts, or the phantoms."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .atlas_series import IMAGE_SUFFIXES
from .common.data import abide_items, is_abide_tree, load_datalist, load_or_make
from .phantoms import PhantomSettings, make_cohort

__all__ = ["atlas_beside", "inference_cases", "series_items", "training_cases"]

_SUFFIXES = (".1D", ".npy", ".csv", *IMAGE_SUFFIXES)  # .tsv beside images are confounds


def training_cases(
    dataset_dir: str, default_dir: str, rank: int = 0, phantoms: Mapping[str, Any] | None = None
) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
        phantoms: settings of :class:`~.phantoms.PhantomSettings` that differ from the defaults.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(**(phantoms or {})), rank)


def inference_cases(dataset_dir: str, default_dir: str, phantoms: Mapping[str, Any] | None = None) -> list[dict]:
    """Every case there is to predict, labelled or not.

    Args:
        dataset_dir: folder with ``dataset.json``; or the tree that nilearn's ``fetch_abide_pcp`` writes; or a folder
            (or one file) of ``.1D``, ``.npy``, ``.csv``, ``.nii`` or ``.nii.gz``, one per subject.
        default_dir: the bundle's own data folder: the test section of the phantoms.
        phantoms: as in :func:`training_cases`.

    Returns:
        Items with ``image``, ``id``, ``group``, ``section``, ``label`` and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    source = Path(dataset_dir)
    if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
        return training_cases(dataset_dir, default_dir, phantoms=phantoms)["test"]
    if (source / "dataset.json").is_file():
        return [case for part in load_datalist(source).values() for case in part]
    if not source.exists():
        raise FileNotFoundError(
            f"inference_cases: dataset_dir {source} does not exist; give a datalist's folder, an ABIDE_pcp tree or a "
            "folder of region series."
        )
    return abide_items(source) if is_abide_tree(source) else series_items(source)


def atlas_beside(cases: Mapping[str, Sequence[dict]] | Sequence[dict], name: str = "atlas.nii.gz") -> str:
    """Path of the label atlas in the folder of the first image, or in one of the two folders above it.

    Args:
        cases: items, or items by section.
        name: of the atlas.

    Raises:
        FileNotFoundError: there is none.
    """
    items = [case for part in cases.values() for case in part] if isinstance(cases, Mapping) else cases
    for folder in list(Path(items[0]["image"]).parents)[:3]:
        if (folder / name).is_file():
            return str(folder / name)
    raise FileNotFoundError(f"atlas_beside: no {name} beside {items[0]['image']}; give --atlas.")


def series_items(source: Path) -> list[dict]:
    """List every file of region series under a folder, or one file, as an unlabelled case.

    Args:
        source: folder, searched recursively, or one file.

    Returns:
        Items in order of `id`, the path relative to `source` without suffix (with it where two files would share one).

    Raises:
        FileNotFoundError: no file of a known type.
    """
    root = source.absolute() if source.is_dir() else source.absolute().parent
    paths = sorted(root.rglob("*")) if source.is_dir() else [source.absolute()]
    files = {path: suffix for path in paths if path.is_file() and (suffix := _suffix(path.name))}
    if not files:
        raise FileNotFoundError(
            f"inference_cases: {source} holds no file of type {', '.join(_SUFFIXES)} and no dataset.json; check the path."
        )
    stems = {path: path.relative_to(root).as_posix().removesuffix(suffix) for path, suffix in files.items()}
    count = Counter(stems.values())
    names = {path: stem if count[stem] == 1 else path.relative_to(root).as_posix() for path, stem in stems.items()}
    cases = [
        {"image": str(path), "id": name, "group": name, "section": "test", "label": -1} for path, name in names.items()
    ]
    return sorted(cases, key=lambda case: case["id"])


def _suffix(name: str) -> str:
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")

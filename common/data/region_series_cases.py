"""Cases of functional MRI to predict: a datalist, the tree of ABIDE, or files of region series as they are."""

from collections import Counter
from pathlib import Path

from .abide import abide_items, is_abide_tree
from .atlas_series import IMAGE_SUFFIXES
from .datalist import load_datalist

__all__ = ["inference_region_series", "region_series_items"]

_SUFFIXES = (".1D", ".npy", ".csv", *IMAGE_SUFFIXES)  # .tsv beside images are confounds


def inference_region_series(dataset_dir: str) -> list[dict]:
    """Every case there is to predict, labelled or not.

    Args:
        dataset_dir: folder with ``dataset.json``; or the tree that nilearn's ``fetch_abide_pcp`` writes; or a folder
            (or one file) of ``.1D``, ``.npy``, ``.csv``, ``.nii`` or ``.nii.gz``, one per subject.

    Returns:
        Items with ``image``, ``id``, ``group``, ``section``, ``label`` and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist or holds no case.
    """
    source = Path(dataset_dir)
    if (source / "dataset.json").is_file():
        return [case for part in load_datalist(source).values() for case in part]
    if not source.exists():
        raise FileNotFoundError(
            f"inference_region_series: dataset_dir {source} does not exist; give a datalist's folder, an ABIDE_pcp tree "
            "or a folder of region series."
        )
    return abide_items(source) if is_abide_tree(source) else region_series_items(source)


def region_series_items(source: Path) -> list[dict]:
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
            f"region_series_items: {source} holds no file of type {', '.join(_SUFFIXES)} and no dataset.json; check the path."
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

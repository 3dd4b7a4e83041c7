"""Make the datalist of registered AANLIB image pairs (datalist kind ``aanlib``).

The Whole Brain Atlas (Harvard) as the fusion field passes it on: ``<X>-MRI/<X>/41015.png`` beside
``<X>-MRI/MRI/41015.png`` with X one of CT (gray), PET and SPECT (RGB); the number is case * 1000 + slice. The split that
comes with the collection is by slice, so every test case is also in training; here cases are kept whole.
"""

import os
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from .datalist import write_datalist
from .fusion_pairs import pair_folders, split_by_patient, usable_pairs

__all__ = ["MODALITIES", "datalist_aanlib"]

MODALITIES = ("CT", "PET", "SPECT")


def datalist_aanlib(
    source: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    modality: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
) -> Path:
    """Pair the images by file name, split them by case and write ``dataset_dir/dataset.json``.

    Args:
        source: folder that holds ``<X>-MRI`` folders, or one of those.
        dataset_dir: where `dataset.json` is written; the images stay where they are.
        modality: CT, PET or SPECT; None where `source` leaves no choice.
        validation: share of the slices for validation; at least one case if it is not 0.
        test: share of the slices for test; at least one case if it is not 0.
        seed: of the split, which keeps the slices of a case together.
        skip_broken: leave unusable pairs out with a warning for each, where they would be refused.
        progress: show a bar.

    Returns:
        The file. Items have `id` (``CT-41015``), `image` (CT, PET or SPECT), `mri`, `group` (``case41``) and `slice`.

    Raises:
        FileNotFoundError: `source` or the two folders of images do not exist.
        ValueError: `modality` is unknown or left open; an image without its partner, with another size, unreadable or
            without a number as name; or fewer cases than sections.
    """
    folder, name = _find(Path(source), modality)
    found = pair_folders(folder / name, folder / "MRI")
    pairs = [_entry(pair, name) for pair in tqdm(found, "checking pairs", unit="pair", disable=not progress)]
    cases = usable_pairs(pairs, skip_broken, folder, "datalist_aanlib")
    sections = split_by_patient(cases, validation, test, seed)
    description = f"{name}-MRI pairs of The Whole Brain Atlas (AANLIB, Harvard), split by case"
    extra = {"modality": {"image": name, "mri": "MRI"}, "seed": seed}
    return write_datalist(dataset_dir, f"{name}-MRI", description, {}, sections, extra)


def _find(source: Path, modality: str | None) -> tuple[Path, str]:
    """Folder that holds the two folders of images, and the name of the one that is not MRI."""
    names = MODALITIES if modality is None else (str(modality).upper(),)
    if names[0] not in MODALITIES:
        raise ValueError(f"datalist_aanlib: modality is {modality!r}; it must be one of {', '.join(MODALITIES)}.")
    places = [(folder, name) for name in names for folder in (source, source / f"{name}-MRI")]
    found = [(folder, name) for folder, name in places if (folder / name).is_dir() and (folder / "MRI").is_dir()]
    if not found:
        raise FileNotFoundError(
            f"datalist_aanlib: source {str(source)!r} holds no folder {' or '.join(names)} beside a folder MRI, nor such "
            f"a pair in {' or '.join(f'{name}-MRI' for name in names)}; check the path."
        )
    if len(found) > 1:
        raise ValueError(
            f"datalist_aanlib: source {str(source)!r} holds pairs of {' and '.join(name for _, name in found)}; choose "
            "one with --modality."
        )
    return found[0]


def _entry(pair: dict[str, Any], modality: str) -> dict[str, Any]:
    """Case of a pair, with an `error` if it cannot be used."""
    number = int(pair["id"]) if pair["id"].isdecimal() else -1
    case: dict[str, Any] = {key: path for key, path in pair.items() if key in ("image", "mri")}
    case |= {"id": f"{modality}-{pair['id']}", "group": f"case{number // 1000}", "slice": number % 1000}
    error = pair.get("error", "") or (
        "the file name is no number case * 1000 + slice" if number < 0 else _problem(case)
    )
    return case | {"error": error} if error else case


def _problem(case: dict[str, Any]) -> str:
    sizes = []
    for key in ("image", "mri"):
        try:
            with Image.open(case[key]) as image:
                image.load()  # a torn file has a sound header
                sizes.append(image.size)
        except (OSError, ValueError, SyntaxError) as problem:
            return f"{case[key]} is no readable image ({problem})"
    if sizes[0] != sizes[1]:
        return f"image has {sizes[0][0]} x {sizes[0][1]} pixels and mri {sizes[1][0]} x {sizes[1][1]}"
    return ""

"""Where the cases come from: a datalist, the native layouts, or the phantoms."""

import os
from pathlib import Path

from .common.data import load_datalist, load_or_make, medmnist_items, scan_ct
from .phantoms import PhantomSettings, make_cohort

__all__ = ["inference_cases", "training_cases"]


def training_cases(dataset_dir: str, default_dir: str, rank: int = 0) -> dict[str, list[dict]]:
    """Cases by section of ``dataset_dir/dataset.json``; of the phantom cohort when no other folder was given.

    Args:
        dataset_dir: folder with ``dataset.json``.
        default_dir: the bundle's own data folder, where phantoms are made.
        rank: rank of this process; rank 0 makes the phantoms.
    """
    return load_or_make(dataset_dir, default_dir, make_cohort, PhantomSettings(), rank)


def inference_cases(dataset_dir: str, default_dir: str, output_dir: str) -> list[dict]:
    """Every case there is to predict, labelled or not.

    Args:
        dataset_dir: folder with ``dataset.json``; or a folder (or one file) of CT volumes: DICOM series, NIfTI, NRRD,
            npy; or a MedMNIST 3-D ``.npz`` file.
        default_dir: the bundle's own data folder: the test section of the phantoms.
        output_dir: a MedMNIST file is unpacked into ``<output_dir>/medmnist``.

    Returns:
        Items with ``image``, ``id``, ``group``, ``section``, ``label`` and, for an unusable case, ``error``.

    Raises:
        FileNotFoundError: when ``dataset_dir`` does not exist.
    """
    source = Path(dataset_dir)
    if os.path.abspath(dataset_dir) == os.path.abspath(default_dir):
        return training_cases(dataset_dir, default_dir)["test"]
    if not source.exists():
        raise FileNotFoundError(
            f"inference_cases: dataset_dir {source} does not exist; give a folder of volumes, a datalist's folder, or a"
            " MedMNIST .npz file."
        )
    if source.suffix == ".npz":
        return medmnist_items(source, Path(output_dir) / "medmnist")
    if (source / "dataset.json").is_file():
        return [case for part in load_datalist(source).values() for case in part]
    return scan_ct(source)

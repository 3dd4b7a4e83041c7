"""Datalists, readers and datasets."""

import warnings

from .abide import abide_items, datalist_abide, is_abide_tree
from .atomic import atomic_path
from .cached_dataset import CachedDataset
from .cohort import load_or_make
from .ct import datalist_ct
from .ct_scan import scan_ct
from .datalist import SECTIONS, load_datalist, load_labels, summarise, write_datalist
from .dicom_problems import problems
from .dicom_reader import DicomSeriesReader
from .dicom_series import DicomSeries, scan_dicom
from .medmnist import datalist_medmnist, medmnist_items
from .results import load_operating_point, read_predictions, write_metrics, write_operating_point, write_predictions
from .splits import combined_strata, grouped_folds, split_by_group
from .tolerant_dataset import TolerantDataset

# MONAI's own DICOM reader, which every LoadImage constructs, asks for a GPU decoder
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")

__all__ = [
    "SECTIONS",
    "CachedDataset",
    "DicomSeries",
    "DicomSeriesReader",
    "TolerantDataset",
    "abide_items",
    "atomic_path",
    "combined_strata",
    "datalist_abide",
    "datalist_ct",
    "datalist_medmnist",
    "grouped_folds",
    "is_abide_tree",
    "load_datalist",
    "load_labels",
    "load_operating_point",
    "load_or_make",
    "medmnist_items",
    "problems",
    "read_predictions",
    "scan_ct",
    "scan_dicom",
    "split_by_group",
    "summarise",
    "write_datalist",
    "write_metrics",
    "write_operating_point",
    "write_predictions",
]

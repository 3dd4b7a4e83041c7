"""Datalists, readers and datasets."""

import warnings

from .aanlib import datalist_aanlib
from .abide import abide_items, datalist_abide, is_abide_tree
from .atomic import atomic_path
from .cached_dataset import CachedDataset
from .cohort import load_or_make
from .covariates import covariate_encoder, covariate_table
from .ct import datalist_ct
from .ct_scan import scan_ct
from .datalist import SECTIONS, load_datalist, load_labels, summarise, write_datalist
from .dicom_problems import problems
from .dicom_reader import DicomSeriesReader
from .dicom_series import DicomSeries, scan_dicom
from .drug_response import datalist_drug_response
from .fusion import datalist_fusion
from .fusion_cases import scan_fusion
from .fusion_results import fusion_figures, fusion_protocol, read_fusion_table, write_fusion_results, write_fusion_table
from .fusion_sections import fusion_inference_cases, fusion_training_cases
from .gdsc import datalist_gdsc
from .gray_or_rgb import gray_or_rgb
from .in_parallel import in_parallel
from .medmnist import datalist_medmnist, medmnist_items
from .molecules import parent_molecule, parent_smiles, read_molecule, require_rdkit
from .mrnet import datalist_mrnet, mrnet_items
from .region_series_cases import inference_region_series, region_series_items
from .region_table import RegionTable, read_regions
from .response_results import is_response_table, read_responses, write_responses
from .response_tables import (
    ResponseTables,
    read_response_tables,
    responses_of,
    summarise_responses,
    write_response_tables,
)
from .results import load_operating_point, read_predictions, write_metrics, write_operating_point, write_predictions
from .series_table import read_numbers, read_series_table
from .splits import combined_strata, grouped_folds, split_by_group
from .tolerant_dataset import TolerantDataset
from .uniform_collate import uniform_collate

# MONAI's own DICOM reader, which every LoadImage constructs, asks for a GPU decoder
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
# a PNG arrives as a read-only array, of which the transforms make copies
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

__all__ = [
    "SECTIONS",
    "CachedDataset",
    "DicomSeries",
    "DicomSeriesReader",
    "RegionTable",
    "ResponseTables",
    "TolerantDataset",
    "abide_items",
    "atomic_path",
    "combined_strata",
    "covariate_encoder",
    "covariate_table",
    "datalist_aanlib",
    "datalist_abide",
    "datalist_ct",
    "datalist_drug_response",
    "datalist_fusion",
    "datalist_gdsc",
    "datalist_medmnist",
    "datalist_mrnet",
    "fusion_figures",
    "fusion_inference_cases",
    "fusion_protocol",
    "fusion_training_cases",
    "gray_or_rgb",
    "grouped_folds",
    "in_parallel",
    "inference_region_series",
    "is_abide_tree",
    "is_response_table",
    "load_datalist",
    "load_labels",
    "load_operating_point",
    "load_or_make",
    "medmnist_items",
    "mrnet_items",
    "parent_molecule",
    "parent_smiles",
    "problems",
    "read_fusion_table",
    "read_molecule",
    "read_numbers",
    "read_predictions",
    "read_regions",
    "read_response_tables",
    "read_responses",
    "read_series_table",
    "region_series_items",
    "require_rdkit",
    "responses_of",
    "scan_ct",
    "scan_dicom",
    "scan_fusion",
    "split_by_group",
    "summarise",
    "summarise_responses",
    "uniform_collate",
    "write_datalist",
    "write_fusion_results",
    "write_fusion_table",
    "write_metrics",
    "write_operating_point",
    "write_predictions",
    "write_response_tables",
    "write_responses",
]

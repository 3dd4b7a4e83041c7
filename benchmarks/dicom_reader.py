"""CPU time to read a DICOM series: this reader beside MONAI's, and header scans beside bare pydicom.

Run from the repository root: ``python benchmarks/dicom_reader.py [--slices 128] [--repeats 5]``.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from monai.data import ImageReader, ITKReader, PydicomReader
from monai.transforms import LoadImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.data.dicom_header import HEADER_TAGS
from common.data.dicom_reader import DicomSeriesReader
from common.data.dicom_series import scan_dicom


def write_series(folder: Path, slices: int) -> list[str]:
    """Write an uncompressed 512 x 512 int16 series under shuffled names; return the paths in slice order."""
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{name:04d}.dcm") for name in rng.permutation(slices)]
    for k, path in enumerate(paths):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{k + 1}")
        ds.SeriesInstanceUID, ds.Modality, ds.PatientID, ds.InstanceNumber = "1.2.3", "CT", "bench", k + 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [-170, -160, -300 + 2.5 * k], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = [0.68, 0.68], 1, -1024
        ds.Rows = ds.Columns = 512
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 1, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.PixelData = rng.integers(0, 3000, (512, 512)).astype("<i2").tobytes()
        ds.save_as(path, enforce_file_format=True)
    return paths


def cpu_ms(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of a call; one call beforehand warms caches up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


def get_data(reader: ImageReader, source: str | list[str]) -> tuple[np.ndarray, dict]:
    """Read as `LoadImage` does, without its conversions."""
    return reader.get_data(reader.read(source))


def main(slices: int, repeats: int) -> None:
    """Print one row per reader and one per header scan."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        paths = write_series(Path(name), slices)
        readers: dict[str, tuple[type[ImageReader], str | list[str]]] = {
            "PydicomReader, folder": (PydicomReader, name),
            "ITKReader, folder": (ITKReader, name),
            "DicomSeriesReader, folder": (DicomSeriesReader, name),
            "DicomSeriesReader, list of files": (DicomSeriesReader, paths),
        }
        expected, meta = get_data(PydicomReader(), name)
        rows = []
        for label, (kind, source) in readers.items():
            data, own = get_data(kind(), source)
            assert np.array_equal(data, expected) and np.allclose(own["affine"], meta["affine"]), label
            # LoadImage adds float32 and a copy to (1, X, Y, Z) order: what a training sees.
            load = LoadImage(reader=kind(), ensure_channel_first=True)
            reading = cpu_ms(partial(get_data, kind(), source), repeats)
            rows.append((label, reading, cpu_ms(partial(load, source), repeats)))
        print(f"{slices} x 512 x 512 int16, uncompressed; CPU ms, one thread, median of {repeats}")
        print(f"{'':<34}{'reader':>9}{'ratio':>8}{'LoadImage':>12}{'ratio':>8}")
        for label, reading, loading in rows:
            print(f"{label:<34}{reading:>9.0f}{rows[0][1] / reading:>8.1f}{loading:>12.0f}{rows[0][2] / loading:>8.1f}")
        bare = cpu_ms(
            lambda: [pydicom.dcmread(p, stop_before_pixels=True, specific_tags=HEADER_TAGS) for p in paths], repeats
        )
        scan = cpu_ms(lambda: scan_dicom(name), repeats)
        print(f"\nheaders, ms per file: pydicom.dcmread with specific_tags {bare / slices:.2f}, ", end="")
        print(f"scan_dicom (read, parsed, grouped, sorted) {scan / slices:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))

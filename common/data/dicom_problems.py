"""Say in words why a DICOM series is no regular volume."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from .dicom_header import DicomSlice
from .dicom_series import DicomSeries

__all__ = ["problems"]

_UNCOMPRESSED = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
# Family of all Secondary Capture storage classes: single frame, multi-frame byte, word, colour.
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SAME_POSITION_MM = 0.02
# Headers are often rounded to 0.1 mm, so a step may be off by that much without meaning anything.
_STEP_TOLERANCE_MM, _STEP_TOLERANCE = 0.11, 0.05
_TILT_DEGREES = 0.5
_SIDEWAYS_MM = 0.5
_DIRECTION_TOLERANCE = 2e-3


def problems(series: DicomSeries, modality: str | None = "CT", min_slices: int = 8) -> list[str]:
    """List what makes a series unfit to be read as one volume on a regular grid.

    Args:
        series: from :func:`scan_dicom`.
        modality: what all slices must be, and for CT also that HU can be computed; None skips both.
        min_slices: fewer slices are taken for a localizer.

    Returns:
        One phrase for each problem with the files or positions concerned; empty for a sound series.
    """
    found = [f"unreadable file {text}" for text in series.unreadable]
    if not series.slices:
        return found
    found += _wrong_kind(series.slices, modality)
    if any(one.frames > 1 for one in series.slices):
        # Geometry is kept per frame there: nothing below applies.
        return found
    found += _unfit_pixels(series.slices)
    if len(series.slices) < min_slices:
        found.append(f"only {len(series.slices)} of at least {min_slices} slices (a localizer?)")
    missing = _missing_tags(series.slices, modality)
    mixed = [] if missing else _mixed(series.slices)
    found += missing + mixed
    # Steps between slices of different orientation mean nothing.
    return found if missing or any("orientation" in text for text in mixed) else found + _uneven(series)


def _wrong_kind(slices: Sequence[DicomSlice], modality: str | None) -> list[str]:
    found = []
    if frames := [one for one in slices if one.frames > 1]:
        found.append(f"multiframe object {_names(frames)}: convert it to NIfTI (dcm2niix) or to single-frame DICOM")
    if captures := [one for one in slices if _is_capture(one)]:
        found.append(f"secondary capture in {len(captures)} of {len(slices)} files: {_names(captures)}")
    if scouts := [one for one in slices if "LOCALIZER" in one.image_type]:
        found.append(f"localizer in {len(scouts)} of {len(slices)} files: {_names(scouts)}")
    if colour := [one for one in slices if one.samples > 1]:
        found.append(f"colour image: {_names(colour)}")
    kinds = Counter(one.modality or "none" for one in slices)
    if modality is not None and set(kinds) != {modality}:
        listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
        found.append(f"{'mixed modality' if len(kinds) > 1 else 'modality'} ({listed}) instead of {modality}")
    elif len(kinds) > 1:
        found.append(f"mixed modality ({', '.join(kinds)})")
    return found


def _is_capture(one: DicomSlice) -> bool:
    family = one.sop_class == _SECONDARY_CAPTURE or one.sop_class.startswith(_SECONDARY_CAPTURE + ".")
    return family or one.converted or any(part.startswith("SCREEN") for part in one.image_type)


def _unfit_pixels(slices: Sequence[DicomSlice]) -> list[str]:
    found = []
    for syntax in sorted({one.transfer_syntax for one in slices}):
        if not _decodable(syntax):
            found.append(
                f"compression {UID(syntax).name} has no decoder here: decompress the files (gdcmconv --raw, dcmdjpeg) "
                "or install a pydicom plugin for it"
            )
    cut = [one for one in slices if one.transfer_syntax in _UNCOMPRESSED and one.file_bytes < _pixel_bytes(one)]
    if cut:
        found.append(f"truncated file {_names(cut)}")
    return found


@cache
def _decodable(transfer_syntax: str) -> bool:
    if transfer_syntax in _UNCOMPRESSED or transfer_syntax == DeflatedExplicitVRLittleEndian:
        return True
    try:
        return bool(get_decoder(transfer_syntax).is_available)
    except (NotImplementedError, ValueError):  # no transfer syntax that pydicom knows
        return False


def _pixel_bytes(one: DicomSlice) -> int:
    return one.shape[0] * one.shape[1] * one.samples * one.bits_allocated // 8


def _missing_tags(slices: Sequence[DicomSlice], modality: str | None) -> list[str]:
    needed: dict[str, Callable[[DicomSlice], bool]] = {
        "ImagePositionPatient": lambda one: bool(one.position_mm),
        "ImageOrientationPatient": lambda one: bool(one.orientation),
        "PixelSpacing": lambda one: bool(one.spacing_mm) and min(one.spacing_mm) > 0,
        "Rows and Columns": lambda one: min(one.shape) > 0,
    }
    if modality == "CT":
        needed["RescaleSlope and RescaleIntercept"] = lambda one: bool(one.rescale)
    lacking = {tag: [one for one in slices if not present(one)] for tag, present in needed.items()}
    return [f"missing or malformed {tag} in {_names(without)}" for tag, without in lacking.items() if without]


def _mixed(slices: Sequence[DicomSlice]) -> list[str]:
    found = []
    directions = np.array([one.orientation for one in slices])  # (Z, 6)
    rows, columns = directions[:, :3], directions[:, 3:]
    if np.abs((rows**2).sum(1) - 1).max() > 0.01 or np.abs((columns**2).sum(1) - 1).max() > 0.01:
        found.append("malformed orientation: a row or column direction has not the length 1")
    elif np.abs((rows * columns).sum(1)).max() > 0.01:
        found.append("malformed orientation: rows and columns are not perpendicular")
    if odd := _minority(slices, lambda one: one.orientation, _DIRECTION_TOLERANCE):
        found.append(f"mixed orientation: {len(odd)} of {len(slices)} slices differ ({_names(odd)})")
    if odd := _minority(slices, lambda one: one.shape, 0):
        found.append(f"mixed matrix size: {len(odd)} of {len(slices)} slices differ ({_names(odd)})")
    if odd := _minority(slices, lambda one: one.spacing_mm, 1e-3):
        found.append(f"mixed pixel spacing: {len(odd)} of {len(slices)} slices differ ({_names(odd)})")
    return found


def _minority(
    slices: Sequence[DicomSlice], value: Callable[[DicomSlice], tuple[float, ...]], tolerance: float
) -> list[DicomSlice]:
    common = Counter(value(one) for one in slices).most_common(1)[0][0]
    return [one for one in slices if np.abs(np.subtract(value(one), common)).max() > tolerance]


def _uneven(series: DicomSeries) -> list[str]:
    """Check the steps from slice to slice: repeated, left out, of different length, not along the normal."""
    positions, along_mm = series.positions_mm, series.positions_mm @ series.normal
    first = np.r_[True, np.diff(along_mm) > _SAME_POSITION_MM]
    found = []
    if not first.all():
        twice = [pair for k in np.flatnonzero(~first) for pair in (series.slices[k - 1], series.slices[k])]
        found.append(f"duplicate slices: {(~first).sum()} at positions already taken ({_names(twice)})")
    positions, along_mm = positions[first], along_mm[first]
    steps = np.diff(along_mm)
    if len(steps) == 0:
        return found
    step = float(np.median(steps))
    whole = np.maximum(np.round(steps / step), 1)
    off = np.abs(steps - whole * step) > np.maximum(_STEP_TOLERANCE_MM, _STEP_TOLERANCE * step) * whole
    gaps = np.flatnonzero((whole > 1) & ~off)
    if len(gaps):
        places = ", ".join(f"{along_mm[k]:.1f} and {along_mm[k + 1]:.1f}" for k in gaps[:3])
        found.append(f"missing slices: {int((whole[gaps] - 1).sum())}, between {places} mm along the normal")
    drift = np.abs(along_mm - np.linspace(along_mm[0], along_mm[-1], len(along_mm))).max()
    if off.any() or (not len(gaps) and drift > 0.25 * step):
        found.append(f"uneven spacing: steps from {steps.min():.2f} to {steps.max():.2f} mm, {step:.2f} mm mostly")
    return found + _skewed(positions, series.normal)


def _skewed(positions: np.ndarray, normal: np.ndarray) -> list[str]:
    travel = positions[-1] - positions[0]
    degrees = float(np.degrees(np.arccos(np.clip(travel @ normal / np.linalg.norm(travel), -1, 1))))
    if degrees > _TILT_DEGREES:
        return [f"gantry tilt: slices move at {degrees:.1f} degrees to their normal; resample the series upright first"]
    direction = travel / np.linalg.norm(travel)
    offset = positions - positions[0]
    sideways = float(np.linalg.norm(offset - np.outer(offset @ direction, direction), axis=1).max())
    return [f"slices are shifted sideways by up to {sideways:.1f} mm"] if sideways > _SIDEWAYS_MM else []


def _names(slices: Sequence[DicomSlice], most: int = 3) -> str:
    names = list(dict.fromkeys(os.path.basename(one.path) for one in slices))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

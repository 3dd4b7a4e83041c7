"""What belongs to weights beside their numbers: training drugs, names of the omics values, intervals."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .common.data import atomic_path
from .intervals import ResponseIntervals

__all__ = ["Reference", "load_reference", "save_reference"]


@dataclass(frozen=True)
class Reference:
    """Companion of a file of weights.

    Args:
        drugs: training drugs, name to parent SMILES.
        features: kind and name of the omics values (``expression:TP53``), in the order in which the network takes them.
        intervals: fitted on the validation section.
    """

    drugs: Mapping[str, str]
    features: Sequence[str]
    intervals: ResponseIntervals


def save_reference(weights: str | os.PathLike, reference: Reference) -> Path:
    """Write ``<name>.reference.json`` beside the weights, with their sha256."""
    path = _path(weights)
    content = {
        "weights_sha256": _sha256(weights),
        "drugs": dict(reference.drugs),
        "intervals": asdict(reference.intervals),
        "features": list(reference.features),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    return path


def load_reference(weights: str | os.PathLike) -> Reference:
    """Read the companion of weights.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it belongs to other weights, or is malformed.
    """
    path = _path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"load_reference: {path} does not exist; run evaluate.json once, it writes it.")
    try:
        content = json.loads(path.read_text())
        reference = Reference(content["drugs"], content["features"], ResponseIntervals(**content["intervals"]))
        digest = content["weights_sha256"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"load_reference: {path} is malformed ({error}); run evaluate.json again.") from error
    if not Path(weights).is_file() or digest != _sha256(weights):
        raise ValueError(f"load_reference: {path} belongs to other weights than {weights}; run evaluate.json again.")
    return reference


def _path(weights: str | os.PathLike) -> Path:
    return Path(weights).with_suffix(".reference.json")


def _sha256(path: str | os.PathLike) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()

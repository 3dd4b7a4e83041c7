"""Rigid registration with itk-elastix, an optional requirement."""

import importlib
import importlib.util
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from .registration_geometry import Rigid, rigid

__all__ = ["refine_elastix", "require_elastix"]


def require_elastix() -> Any:
    """Import itk with its elastix.

    Raises:
        ImportError: itk-elastix is not installed.
    """
    if importlib.util.find_spec("itk.elxParameterObjectPython") is None:
        raise ImportError(
            "RigidRegistration: backend is 'elastix' and itk-elastix is not installed; run `pip install "
            "itk-elastix==0.25.4`, or take backend 'simpleitk'."
        )
    return importlib.import_module("itk")


def refine_elastix(fixed: sitk.Image, moving: sitk.Image, start: Rigid, seed: int) -> Rigid:
    """Register from ``start`` with elastix' default settings of rigid registration.

    Four resolutions, advanced Mattes mutual information, adaptive stochastic gradient descent. The start moves the
    header of the moving image, and no value is interpolated twice.

    Reference:
        Klein et al. (2010), IEEE TMI 29(1), 196-205; Klein et al. (2009), IJCV 81, 227-239.
    """
    itk = require_elastix()
    turn, offset = _matrix(start)
    settings = itk.ParameterObject.GetDefaultParameterMap("rigid")
    settings["AutomaticTransformInitialization"] = ["false"]
    settings["RandomSeed"] = [str(seed)]
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(settings)
    # start = (turn, offset) maps fixed to moving points; the header is moved by its inverse
    images = [_itk_image(itk, fixed, np.eye(len(offset)), np.zeros(len(offset)))]
    images.append(_itk_image(itk, moving, turn.T, -turn.T @ offset))
    _, found = itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    matrix, shift = _matrix(_transform(found.GetParameterMap(0)))
    return rigid(turn @ matrix, turn @ shift + offset)


def _transform(found: Any) -> Rigid:
    values = [float(value) for value in found["TransformParameters"]]
    centre = [float(value) for value in found["CenterOfRotationPoint"]]
    made = sitk.Euler2DTransform() if len(centre) == 2 else sitk.Euler3DTransform()
    made.SetCenter(centre)
    made.SetParameters(values)
    return made


def _matrix(transform: Rigid) -> tuple[np.ndarray, np.ndarray]:
    """``x -> A x + b`` of a rigid transform."""
    dims = transform.GetDimension()
    offset = np.array(transform.TransformPoint((0.0,) * dims))
    return np.array(transform.GetMatrix()).reshape(dims, dims), offset


def _itk_image(itk: Any, image: sitk.Image, turn: np.ndarray, offset: np.ndarray) -> Any:
    """Copy to ITK with the header moved by ``x -> turn x + offset``."""
    made = itk.image_from_array(np.ascontiguousarray(sitk.GetArrayViewFromImage(image), dtype=np.float32))
    dims = image.GetDimension()
    made.SetSpacing(image.GetSpacing())
    made.SetOrigin((turn @ np.array(image.GetOrigin()) + offset).tolist())
    made.SetDirection(itk.matrix_from_array(turn @ np.array(image.GetDirection()).reshape(dims, dims)))
    return made

"""Planes of an exam and questions asked of it, in the order of every tensor and table."""

from .common.data.mrnet import PLANES, TASKS

__all__ = ["PLANES", "TASKS", "member_name"]


def member_name(plane: str, task: str) -> str:
    """Name of the network for one plane and one task, ``sagittal_acl``.

    Raises:
        ValueError: `plane` or `task` is unknown.
    """
    for argument, value, known in (("plane", plane, PLANES), ("task", task, TASKS)):
        if value not in known:
            raise ValueError(f"member_name: {argument} is {value!r}, and known are {list(known)}; take one of those.")
    return f"{plane}_{task}"

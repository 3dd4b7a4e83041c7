"""Known motions recovered by rigid registration: error in degrees and pixels (mm in 3-D), and seconds.

``python benchmarks/registration.py [--aanlib FOLDER] [--tasks [NAME ...]] [--backends NAME ...] [--json FILE] [--write FILE]``:
rows of tasks that are not run are kept from FILE of ``--json``. FOLDER holds ``CT`` and ``MRI`` beside one another.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.data.brain_phantoms import PhantomSettings, make_phantom, make_sequences_phantom
from common.transforms import RigidRegistration, apply_rigid_transform

PLANE_MOTIONS = ((0, (0, 0)), (10, (12, 0)), (-10, (-8, 9)))  # degrees, pixels
VOLUME_MOTIONS = (((0, 0, 10), (12, 0, 0)), ((5, -4, -8), (-6, 8, 4)))  # degrees around each axis, mm
SEEDS = (1, 2)
Case = tuple[str, torch.Tensor, torch.Tensor]


def planes(moving: str) -> Iterator[Case]:
    for seed in SEEDS:
        phantom = make_phantom(seed, "CT", PhantomSettings(slices=1))
        image = phantom.image if moving == "CT" else phantom.mri
        yield f"phantom {seed}", torch.from_numpy(phantom.mri), torch.from_numpy(image)


def volumes() -> Iterator[Case]:
    phantom = make_sequences_phantom(SEEDS[0], PhantomSettings(modalities=("BraTS",)))
    t1, t2 = (MetaTensor(torch.from_numpy(phantom.volumes[k][None].copy()), affine=phantom.affine) for k in (1, 3))
    yield f"phantom {SEEDS[0]}", t2, t1


def pairs(folder: Path) -> Iterator[Case]:
    """Two slices of each patient; patients by the number before the last three digits."""
    patients: dict[int, list[Path]] = {}
    for path in sorted((folder / "CT").glob("*.png"), key=lambda path: int(path.stem)):
        patients.setdefault(int(path.stem) // 1000, []).append(path)
    for patient, paths in patients.items():
        for path in (paths[len(paths) // 3], paths[2 * len(paths) // 3]):
            images = [np.asarray(Image.open(folder / kind / path.name).convert("L")).copy() for kind in ("MRI", "CT")]
            yield str(patient), torch.from_numpy(images[0])[None], torch.from_numpy(images[1])[None]


def centre(image: torch.Tensor) -> np.ndarray:
    """World point, in the space of the transform, of the middle of the grid."""
    middle = (np.array(image.shape[1:]) - 1) / 2
    if not isinstance(image, MetaTensor):
        return middle
    return (image.affine.numpy() @ [*middle, 1])[:3] * [-1, -1, 1]


def motion(image: torch.Tensor, turn: float | tuple[float, ...], shift: tuple[float, ...]) -> sitk.Transform:
    made = sitk.Euler2DTransform() if len(shift) == 2 else sitk.Euler3DTransform()
    made.SetCenter(centre(image).tolist())
    made.SetParameters((*np.deg2rad(np.atleast_1d(turn)), *shift))
    return made


def errors(true: sitk.Transform, found: sitk.Transform, middle: np.ndarray) -> tuple[float, float]:
    """Angle, and shift of the middle, that are left after motion and registration."""
    dims = len(middle)
    turn = np.reshape(true.GetMatrix(), (dims, dims)) @ np.reshape(found.GetMatrix(), (dims, dims))
    sine = np.linalg.norm(turn - turn.T) / np.sqrt(8)
    cosine = (np.trace(turn) - (dims - 2)) / 2
    left = np.array(true.TransformPoint(found.TransformPoint(middle.tolist()))) - middle
    return float(np.rad2deg(np.arctan2(sine, cosine))), float(np.linalg.norm(left))


def measure(task: str, backend: str, cases: Iterator[Case]) -> Iterator[dict]:
    register = RigidRegistration(backend)
    for name, fixed, moving in cases:
        for turn, shift in PLANE_MOTIONS if fixed.ndim == 3 else VOLUME_MOTIONS:
            true = motion(fixed, turn, shift)
            moved = apply_rigid_transform(true, moving, fixed)
            wall, cpu = time.perf_counter(), time.process_time()
            result = register(fixed, moved)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            degrees, length = errors(true, result.transform, centre(fixed))
            row = {"task": task, "backend": backend, "case": name, "turn": turn, "shift": shift}
            row |= {"degrees": round(degrees, 3), "shift_error": round(length, 3), "cpu_seconds": round(cpu, 2)}
            row |= {"seconds": round(wall, 2), "nmi": round(result.nmi, 4), "nmi_before": round(result.nmi_before, 4)}
            row |= {"warned": any(word in result.warning for word in ("poor", "ambiguous"))}
            print(row, file=sys.stderr, flush=True)
            yield row


def markdown(rows: list[dict]) -> str:
    lines = [
        "| task | backend | n | degrees: median, worst | shift: median, worst | NMI before, after (median) | CPU s (median) |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, backend in dict.fromkeys((row["task"], row["backend"]) for row in rows):
        some = [row for row in rows if (row["task"], row["backend"]) == (task, backend)]
        value = {key: [row[key] for row in some] for key in some[0]}
        unit = "mm" if task.startswith("3-D") else "px"
        turn, shift = value["degrees"], value["shift_error"]
        lines.append(
            f"| {task} | {backend} | {len(some)} | {np.median(turn):.2f}, {max(turn):.2f} | {np.median(shift):.2f}, "
            f"{max(shift):.2f} {unit} | {np.median(value['nmi_before']):.3f}, {np.median(value['nmi']):.3f} | "
            f"{np.median(value['cpu_seconds']):.1f} |"
        )
    return "\n".join(lines)


def markdown_by_case(rows: list[dict]) -> str:
    """How often each case is right, and whether the warning tells."""
    lines = [
        "| task, backend | case | n | degrees: median, worst | shift: median, worst | within 1.5 degrees and 3 | warned: right, wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, backend, case in dict.fromkeys((row["task"], row["backend"], row["case"]) for row in rows):
        some = [row for row in rows if (row["task"], row["backend"], row["case"]) == (task, backend, case)]
        turn, shift = ([row[key] for row in some] for key in ("degrees", "shift_error"))
        right = [row["degrees"] <= 1.5 and row["shift_error"] <= 3 for row in some]
        warned = [
            [row["warned"] for row, good in zip(some, right, strict=True) if good is kind] for kind in (True, False)
        ]
        told = ", ".join(f"{sum(part)} of {len(part)}" for part in warned)
        lines.append(
            f"| {task}, {backend} | {case} | {len(some)} | {np.median(turn):.2f}, {max(turn):.2f} | "
            f"{np.median(shift):.2f}, {max(shift):.2f} | {sum(right)} | {told} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aanlib", type=Path)
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--backends", nargs="+", default=["simpleitk", "elastix"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    tasks = {"2-D MRI-MRI": lambda: planes("MRI"), "2-D CT-MRI": lambda: planes("CT"), "3-D t1-t2": volumes}
    if arguments.aanlib:
        tasks["AANLIB CT-MRI"] = lambda: pairs(arguments.aanlib)
    chosen = arguments.tasks if arguments.tasks is not None else list(tasks)
    rows = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.is_file() else []
    for task in chosen:
        for backend in arguments.backends:
            rows = [row for row in rows if (row["task"], row["backend"]) != (task, backend)]
            for row in measure(task, backend, tasks[task]()):
                rows.append(row)
                if arguments.json:
                    arguments.json.write_text(json.dumps(rows, indent=4) + "\n")
    rows.sort(key=lambda row: (row["task"], row["backend"]))
    text = f"{markdown(rows)}\n\n## By case\n\n{markdown_by_case(rows)}"
    print(text)
    if arguments.write:
        arguments.write.write_text(f"{HEAD}\n{text}\n")


HEAD = """# Rigid registration: known motions recovered

`python benchmarks/registration.py --aanlib FOLDER --json docs/registration.json --write docs/registration.md`. The moving \
image is turned and shifted (2-D: not at all, 10 degrees and 12 px, -10 and 12; 3-D, mm: 10 degrees around z and 12, 10 degrees \
oblique and 11), then registered to the fixed one. Errors are what is left: the angle, and the shift of the middle of \
the grid. Phantoms are aligned exactly before the motion, AANLIB pairs only by hand: their own offset counts as error. \
elastix refines the starts that SimpleITK finds. AANLIB: two slices of each of the eight CT patients. NMI: normalised mutual information, 1 for unrelated images.
"""


if __name__ == "__main__":
    main()

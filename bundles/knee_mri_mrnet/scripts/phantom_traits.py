"""What a phantom knee is: the settings of a cohort, the labels of its sections, and the drawn knee, findings and scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .names import TASKS

CELLS = (  # exams per combination of findings, from the 1370 exams of MRNet: 1104 abnormal, 319 ACL, 508 meniscus
    ({"abnormal": 1, "acl": 1, "meniscus": 1}, 144),  # 45 percent of the ACL tears come with a meniscal tear
    ({"abnormal": 1, "acl": 1, "meniscus": 0}, 175),
    ({"abnormal": 1, "acl": 0, "meniscus": 1}, 364),
    ({"abnormal": 1, "acl": 0, "meniscus": 0}, 421),
    ({"abnormal": 0, "acl": 0, "meniscus": 0}, 266),
)


@dataclass(frozen=True)
class PhantomSettings:
    """What a cohort is made of; its hash names the cohort, so every field that changes a pixel stands here.

    Args:
        training: number of training exams.
        validation: number of validation exams.
        test: number of test exams.
        slices: fewest and most slices of a plane, drawn per plane.
        matrix: rows and columns of a slice.
        seed: the whole cohort follows from it.
        version: raised when the generator changes.
    """

    training: int = 56
    validation: int = 16
    test: int = 28
    slices: tuple[int, int] = (10, 14)
    matrix: int = 256
    seed: int = 0
    version: int = 2

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a section is negative, the range of slices not ascending from 4, or the matrix too small.
        """
        for name in ("training", "validation", "test"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"PhantomSettings: {name}={getattr(self, name)} is no number of exams; give 0 or more."
                )
        low, high = self.slices
        if not 4 <= low <= high:
            raise ValueError(f"PhantomSettings: slices=({low}, {high}) is no range; give 4 <= low <= high.")
        if self.matrix < 64:
            raise ValueError(f"PhantomSettings: matrix={self.matrix} shows no tear; give 64 or more.")


@dataclass(frozen=True)
class Pose:
    """Where the knee lies in the scanner.

    Args:
        left: a left knee, the mirror image of the right one.
        scale: size relative to the reference knee along its lateral, anterior and superior axis.
        turn_deg: rotation about world x, y, z in degrees.
        shift_mm: world position of the middle of the joint.
        warp_mm: amplitude of the slow bends that make every outline a little irregular.
        warp_phase: phases of the six bends.
    """

    left: bool
    scale: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    warp_mm: float
    warp_phase: tuple[float, ...]


@dataclass(frozen=True)
class Traits:
    """What makes one knee; nothing here belongs to a label.

    Args:
        fat_mm: thickness of the fat under the skin.
        muscle_scale: calibre of the muscles.
        cartilage_mm: thickness of the femoral cartilage.
        meniscus_mm: height of the outer rim of the menisci.
        ligament_scale: calibre of the cruciate ligaments.
        notch_mm: half width of the intercondylar notch.
        patella_mm: height of the patella above its usual place.
        fluid_mm: thickness of the normal film of joint fluid.
        bursa_mm: radius of the normal fluid in the bursa behind the medial condyle, 0 for none.
        vein_mm: radius of the popliteal vein.
        vein_signal: signal of slow blood relative to fluid.
        intrasubstance: signal of harmless degeneration in the middle of a meniscus, relative to fluid, 0 for none.
        intrasubstance_lateral: whether the lateral meniscus has it.
        mucoid: signal of harmless streaks in the anterior cruciate ligament, relative to fluid.
    """

    fat_mm: float
    muscle_scale: float
    cartilage_mm: float
    meniscus_mm: float
    ligament_scale: float
    notch_mm: float
    patella_mm: float
    fluid_mm: float
    bursa_mm: float
    vein_mm: float
    vein_signal: float
    intrasubstance: float
    intrasubstance_lateral: bool
    mucoid: float


@dataclass(frozen=True)
class Findings:
    """The planted findings; sizes are kept when a finding is absent, so that one seed gives one knee for all labels.

    Args:
        acl: whether the anterior cruciate ligament is torn.
        acl_place: middle of the gap as a share of the length from the femur.
        acl_gap_mm: length of the gap.
        acl_oedema_mm: radius of the cloud of oedema around the gap.
        meniscus: whether one meniscus is torn.
        meniscus_lateral: which one.
        meniscus_vertical: vertical tear through the whole height; otherwise oblique to the lower surface.
        meniscus_angle_deg: middle of the tear on the arc; 0 is the rim, 90 the front, -90 the back.
        meniscus_arc_mm: length of the tear along the arc.
        meniscus_line_mm: thickness of the bright line.
        cyst_mm: half axis of the fluid beside the torn rim.
        effusion: whether the joint holds too much fluid.
        effusion_mm: half thickness of the distended suprapatellar recess.
    """

    acl: bool
    acl_place: float
    acl_gap_mm: float
    acl_oedema_mm: float
    meniscus: bool
    meniscus_lateral: bool
    meniscus_vertical: bool
    meniscus_angle_deg: float
    meniscus_arc_mm: float
    meniscus_line_mm: float
    cyst_mm: float
    effusion: bool
    effusion_mm: float


def check_labels(labels: Mapping[str, int]) -> dict[str, int]:
    """Return the labels in the order of `TASKS`.

    Raises:
        ValueError: if a task is missing or unknown, a label is neither 0 nor 1, or a tear is called normal.
    """
    if set(labels) != set(TASKS):
        raise ValueError(
            f"make_phantom: labels has {sorted(labels)}, and an exam needs {list(TASKS)}; give just these."
        )
    for task in TASKS:
        if labels[task] not in (0, 1):
            raise ValueError(f"make_phantom: labels[{task!r}]={labels[task]!r} is no label; give 0 or 1.")
    if not labels["abnormal"] and (labels["acl"] or labels["meniscus"]):
        raise ValueError("make_phantom: labels call a tear normal; give abnormal=1 with acl=1 or meniscus=1.")
    return {task: int(labels[task]) for task in TASKS}


def draw_labels(count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Deal `count` exams over the five combinations by their rates in MRNet (largest remainder), in random order."""
    total = sum(rate for _, rate in CELLS)
    share = np.array([count * rate / total for _, rate in CELLS])
    dealt = np.floor(share).astype(int)
    dealt[np.argsort(dealt - share, kind="stable")[: count - dealt.sum()]] += 1
    labels = [dict(cell) for (cell, _), times in zip(CELLS, dealt, strict=True) for _ in range(times)]
    return [labels[k] for k in rng.permutation(count)]


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw side, size, tilt and place of the knee."""
    size = rng.uniform(0.94, 1.06)
    scale = tuple(float(size * part) for part in rng.uniform(0.97, 1.03, 3))
    turn = tuple(float(t) for t in np.clip(rng.normal(0, (3, 2.5, 5)), (-7, -6, -11), (7, 6, 11)))
    shift = tuple(float(s) for s in rng.uniform(-1, 1, 3) * (7, 6, 7))
    phase = tuple(float(p) for p in rng.uniform(0, 2 * np.pi, 6))
    return Pose(bool(rng.random() < 0.5), scale, turn, shift, float(rng.uniform(0.5, 1.4)), phase)  # type: ignore[arg-type]


def draw_traits(rng: np.random.Generator) -> Traits:
    """Draw one knee without findings."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def sometimes(share: float, low: float, high: float) -> float:
        value = between(low, high)
        return value if rng.random() < share else 0.0

    return Traits(
        fat_mm=between(0, 11),
        muscle_scale=between(0.85, 1.15),
        cartilage_mm=between(1.8, 2.8),
        meniscus_mm=between(6.0, 7.5),
        ligament_scale=between(0.9, 1.15),
        notch_mm=between(9.5, 12.0),
        patella_mm=between(-3, 5),
        fluid_mm=between(0.6, 2.2),
        bursa_mm=sometimes(0.4, 2.5, 5.0),
        vein_mm=between(3.2, 5.0),
        vein_signal=between(0.3, 0.95),
        intrasubstance=sometimes(0.6, 0.25, 0.5),
        intrasubstance_lateral=bool(rng.random() < 0.4),
        mucoid=between(0.05, 0.2),
    )


def draw_findings(rng: np.random.Generator, labels: Mapping[str, int]) -> Findings:
    """Draw the findings for the labels; the number of draws does not depend on them.

    An abnormal exam without a tear has an effusion; a torn ligament often comes with one, a torn meniscus sometimes.
    """

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    likely = 0.6 if labels["acl"] else 0.4
    also = bool(rng.random() < likely)
    torn = bool(labels["acl"] or labels["meniscus"])
    lateral = bool(rng.random() < 0.35)
    return Findings(
        acl=bool(labels["acl"]),
        acl_place=between(0.36, 0.62),
        acl_gap_mm=between(8, 14),
        acl_oedema_mm=between(6.5, 9.5),
        meniscus=bool(labels["meniscus"]),
        meniscus_lateral=lateral,
        meniscus_vertical=bool(rng.random() < 0.5),
        meniscus_angle_deg=between(-100, -35) if rng.random() < 0.85 else between(35, 80),
        meniscus_arc_mm=between(18, 28),
        meniscus_line_mm=between(2.4, 3.4),
        cyst_mm=between(6.0, 9.0),
        effusion=bool(labels["abnormal"]) and (also or not torn),
        effusion_mm=between(6.0, 11.0),
    )

"""Numbers of atoms drawn on a molecule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

from .common.data import atomic_path
from .common.data.molecules import require_rdkit

__all__ = ["atom_colours", "draw_attributions"]

SIZE, HEAD, FOOT = (720, 640), 56, 92  # pixels: canvas, place of the title, place of the colour bar
BAR, STEPS = (240, 16), 60  # pixels of the colour bar, its colours
TITLE, TEXT = 21, 16  # font sizes in pixels
RADIUS = 0.32  # of a coloured atom; a bond is 1.5
SMALLEST = 1e-6

Colour = tuple[float, float, float]


def draw_attributions(
    mol: Any, values: Sequence[float] | Tensor, path: Path, title: str = "", limit: float | None = None
) -> None:
    """Draw a molecule whose atoms are coloured by their numbers, with a colour bar.

    Blue: the atom lowers the predicted ln IC50 (the cell is more sensitive); red: it raises it; white: no change. A bond
    has the mean of its two atoms. Colours run over -limit .. limit alike, so that pale is small on either side.

    Args:
        mol: rdkit molecule in the atom order of the numbers.
        values: one number an atom, ln units (:func:`~.attribution.atom_attributions`).
        path: file to write, `.png` or `.svg`.
        title: line above the molecule; a long one is written small.
        limit: number of the full colour, above 0; the largest absolute value by default. Give one limit to figures that
            are compared; larger numbers take the full colour.

    Raises:
        ValueError: rdkit is not installed, the count of numbers is not that of the atoms, a number is not finite, the
            limit is not above 0, or the suffix is another.
    """
    require_rdkit("draw_attributions")
    numbers = np.array([float(value) for value in values])
    _check(mol.GetNumAtoms(), numbers, path, limit)
    most = max(float(np.abs(numbers).max()), SMALLEST) if limit is None else limit
    drawer = _molecule(mol, numbers, most, path.suffix == ".svg")
    drawer.SetOffset(0, 0)
    _text(drawer, title, SIZE[0] / 2, HEAD / 2 + 6, min(TITLE, 2 * SIZE[0] // max(len(title), 1)))
    _colour_bar(drawer, most)
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode() if isinstance(text, str) else text)


def atom_colours(values: NDArray[np.floating], limit: float) -> list[Colour]:
    """Colours (red, green, blue) in 0 .. 1 of numbers: blue at -limit, white at 0, red at limit."""
    # the ends of the map are too dark for black letters
    return [tuple(colormaps["RdBu_r"](0.5 + 0.34 * share)[:3]) for share in np.clip(values / limit, -1, 1)]


def _check(atoms: int, numbers: NDArray[np.floating], path: Path, limit: float | None) -> None:
    if len(numbers) != atoms:
        raise ValueError(
            f"draw_attributions: there are {len(numbers)} numbers and {atoms} atoms; give one number for each atom."
        )
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).argmax())
        raise ValueError(f"draw_attributions: the number of atom {bad} is {numbers[bad]}, it must be finite.")
    if limit is not None and not limit > 0:
        raise ValueError(f"draw_attributions: limit is {limit}, it must be above 0.")
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"draw_attributions: {path.name} ends in {path.suffix!r}, it must end in .png or .svg.")


def _molecule(mol: Any, numbers: NDArray[np.floating], limit: float, vector: bool) -> Any:
    """Drawer with the molecule between title and colour bar."""
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.Geometry import Point2D

    kind = rdMolDraw2D.MolDraw2DSVG if vector else rdMolDraw2D.MolDraw2DCairo
    drawer = kind(*SIZE, SIZE[0], SIZE[1] - HEAD - FOOT)
    options: Any = drawer.drawOptions()
    options.useBWAtomPalette()
    options.bondLineWidth, options.padding, options.fixedBondLength = 2, 0.06, 62
    options.highlightRadius, options.highlightBondWidthMultiplier = RADIUS, 14
    options.clearBackground = False  # it would leave out the place of the title
    drawer.SetColour((1.0, 1.0, 1.0))
    drawer.DrawRect(Point2D(0, 0), Point2D(*SIZE), rawCoords=True)
    drawer.SetOffset(0, HEAD)
    flat = rdMolDraw2D.PrepareMolForDrawing(mol)
    bonds = {bond.GetIdx(): (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in flat.GetBonds()}
    means = np.array([numbers[list(ends)].mean() if max(ends) < len(numbers) else 0.0 for ends in bonds.values()])
    drawer.DrawMolecule(
        flat,
        highlightAtoms=range(len(numbers)),
        highlightAtomColors=dict(enumerate(atom_colours(numbers, limit))),
        highlightBonds=list(bonds),
        highlightBondColors=dict(zip(bonds, atom_colours(means, limit), strict=True)),
    )
    return drawer


def _colour_bar(drawer: Any, limit: float) -> None:
    """Bar with its ends and its meaning, at the foot of the canvas."""
    from rdkit.Geometry import Point2D

    left, top = (SIZE[0] - BAR[0]) / 2, SIZE[1] - FOOT + 18
    drawer.SetFillPolys(True)
    drawer.SetLineWidth(1)
    for k, colour in enumerate(atom_colours(np.linspace(-1, 1, STEPS), 1.0)):
        drawer.SetColour(colour)
        start, end = left + k * BAR[0] / STEPS, left + (k + 1) * BAR[0] / STEPS
        drawer.DrawRect(Point2D(start, top), Point2D(end + 0.5, top + BAR[1]), rawCoords=True)
    for text, place in ((f"{-limit:+.2g}", left), ("0", left + BAR[0] / 2), (f"{limit:+.2g}", left + BAR[0])):
        _text(drawer, text, place, top + BAR[1] + 14, TEXT)
    _text(drawer, "more sensitive", left - 70, top + BAR[1] / 2, TEXT)
    _text(drawer, "less sensitive", left + BAR[0] + 68, top + BAR[1] / 2, TEXT)
    _text(drawer, "what an atom adds to the predicted ln IC50", SIZE[0] / 2, top + BAR[1] + 40, TEXT)


def _text(drawer: Any, text: str, x: float, y: float, size: int) -> None:
    """Write one line, centred at a place in pixels."""
    from rdkit.Geometry import Point2D

    if not text:  # which rdkit refuses
        return
    drawer.SetColour((0.0, 0.0, 0.0))
    drawer.SetFontSize(size)
    drawer.DrawString(text, Point2D(x, y), 0, True)  # 0: centred; without it rdkit breaks the line at capitals

"""The figures of an interpretation, chosen and named."""

from pathlib import Path

import nibabel

from .brain_figures import plot_edges, plot_map, plot_regions
from .common.data.atomic import atomic_path
from .community_figure import plot_communities
from .findings import MAIN, Findings
from .region_places import brain_map
from .region_scores import top_regions

__all__ = ["draw", "draw_map"]


def draw(found: Findings, folder: Path, note: str) -> dict[str, Path]:
    """Draw the figures; path by caption."""
    names, last, first = found.class_names, found.class_names[-1], found.class_names[0]
    rows = dict(zip(names, found.by_class, strict=True))
    tops = {name: top_regions(values) for name, values in rows.items()}
    title = f"The {next(iter(tops.values())).sum()} regions that score highest"
    files = {title: folder / "regions.png"}
    plot_regions(rows, tops, found.places, "mean pooling score", title, note, files[title])

    effect = {f"{last} against {first}": found.regions["effect"].to_numpy()}
    far = {name: top_regions(values) for name, values in effect.items()}
    title = f"Where scores of {last} and {first} differ most"
    files[title] = folder / "effect.png"
    plot_regions(effect, far, found.places, "effect of class on the score (Cohen's d)", title, note, files[title])

    title = "Communities of the first convolution"
    files[title] = folder / "communities.png"
    plot_communities(found.strength, found.places, title, note, files[title])
    if f"{MAIN}_{last}" in found.edges:
        title = f"The {len(found.edges)} edges whose contribution differs most"
        files[title] = folder / "edges.png"
        label = f"integrated gradients, {last} - {first}"
        plot_edges(found.edges, found.edges["difference"].to_numpy(), found.places, label, title, note, files[title])
    return files


def draw_map(found: Findings, folder: Path, note: str, atlas: str) -> dict[str, Path]:
    """Write the effect of the class on the score into the space of the atlas and draw it; path by caption."""
    values, codes = found.regions["effect"].to_numpy(), found.regions["code"].to_numpy()
    image = brain_map(values, codes, atlas)
    with atomic_path(folder / "brain_map.nii.gz") as temporary:
        nibabel.save(image, temporary)
    title = f"Where scores of {found.class_names[-1]} and {found.class_names[0]} differ, in the space of the atlas"
    plot_map(image, "effect of class on the score (Cohen's d)", title, note, folder / "brain_map.png")
    return {title: folder / "brain_map.png"}

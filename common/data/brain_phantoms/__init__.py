"""Brain phantoms of the fusion bundles: CT, PET or SPECT with MRI, and volumes of four MRI sequences."""

from .cohort import Phantom, make_cohort, make_phantom, make_sequences_cohort
from .sequences import SequencesPhantom, make_sequences_phantom
from .traits import PhantomSettings

__all__ = [
    "Phantom",
    "PhantomSettings",
    "SequencesPhantom",
    "make_cohort",
    "make_phantom",
    "make_sequences_cohort",
    "make_sequences_phantom",
]

"""Knee MRI: MRNet for three planes and three tasks, phantoms, stacking and explanations."""

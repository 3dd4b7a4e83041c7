"""Pieces of the drug response bundle."""

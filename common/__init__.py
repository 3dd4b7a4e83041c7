"""Runtime pieces that the bundles share; each bundle carries this package as ``scripts/common``."""

__version__ = "0.1.0"

"""Code of the bundle ``brain_fusion_sdnet``."""

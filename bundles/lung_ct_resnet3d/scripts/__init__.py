"""Code of the bundle ``lung_ct_resnet3d``."""

"""Code of this bundle: network, transforms, phantoms, figures."""

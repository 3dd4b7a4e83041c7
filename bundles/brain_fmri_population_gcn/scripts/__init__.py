"""Population graph of functional connectivity: network, transforms, phantoms."""

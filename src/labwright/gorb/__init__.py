"""A Gorb-compatible daemon: a REST front end to the kernel's IPVS."""

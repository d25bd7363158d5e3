"""Where a lab is done and inspected: this computer, one over SSH, or a QEMU guest."""

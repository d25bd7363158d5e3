"""Where a lab is done and inspected: this machine, one over SSH, or a guest of ours."""

"""The lab machine as a QEMU guest: its system, its images, its states, its process."""

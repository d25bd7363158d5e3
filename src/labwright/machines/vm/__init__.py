"""The lab machine as a QEMU guest: its Debian, its images, its states, its process."""

"""Known wrong ways to do the gorb lab."""

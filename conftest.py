"""Loads the plugin, which brings the fixtures; nothing else."""

pytest_plugins = ["labwright.plugin"]

"""How Sphinx makes the site of the Markdown in this folder: ``tox -e docs``."""

from importlib.metadata import version as version_of

project = "labwright"
author = copyright = "the labwright authors"
release = version = version_of("labwright")
extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
# A link that leads nowhere is an error: sphinx-build --fail-on-warning --nitpicky.
nitpicky = True

html_theme = "furo"
html_title = "labwright"
html_extra_path = [
    "score.schema.json",
    "course-workflow.yml",
    "student-workflow.yml",
    "student-gitlab-ci.yml",
]
exclude_patterns = ["_build"]

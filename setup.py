"""The packages of the distribution: those of the tree, and the starter model and the guides as data of `lingolite_cli`.

Everything else stands in pyproject.toml. The starter lies with the recipes that use it, the guides in docs, and this
mapping puts them into the wheel, which `[tool.setuptools.packages.find]` cannot.
"""

from setuptools import find_packages, setup

HOST = find_packages(".", include=["lingolite_cli", "lingolite_cli.*"])
PLUGINS = find_packages("plugins", include=["lingolite_*"])
DATA = {
    "lingolite_cli.guides": "docs",
    "lingolite_cli.starter": "recipes/starter-en-da",
    "lingolite_cli.starter.model": "recipes/starter-en-da/model",
}

setup(
    packages=[*HOST, *PLUGINS, *DATA],
    package_dir={
        "": ".",
        **{name: f"plugins/{name}" for name in PLUGINS if "." not in name},
        **DATA,
    },
)

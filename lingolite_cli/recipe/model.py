"""The recipe file as typed structs: its inputs, and what every step has.

Owns the keys that all recipes have, and the types that the tables of steps are made of. The table of each kind of step
is in the file of that kind under `steps`; what tables mean together is `plan`'s.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.environment import MOST_THREADS
from lingolite_cli.training.options import MOST
from lingolite_cli.workers.load import MOST_WORKERS

MOST_SEED = 2**63 - 1
"""What PyTorch's generators take, with a rank added."""
MOST_RESAMPLES = 100_000
Positive = Annotated[int, Meta(ge=1, le=MOST)]
Threads = Annotated[int, Meta(ge=1, le=MOST_THREADS)]
Workers = Annotated[int, Meta(ge=1, le=MOST_WORKERS)]
Seed = Annotated[int, Meta(ge=0, le=MOST_SEED)]
Rounds = Annotated[int, Meta(ge=MIN_ROUNDS)]
Resamples = Annotated[int, Meta(ge=100, le=MOST_RESAMPLES)]
# A name becomes one of a file, with up to 40 characters around it, and some encrypted file systems take 143 bytes.
# `\Z` and not `$`, which a newline may follow.
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*\Z", max_length=100)]


class RecipeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a recipe. An unknown key is an error."""


class ModelInput(RecipeTable, frozen=True, kw_only=True):
    """An artifact that a recipe starts from."""

    bundle: str


class ShortlistInput(RecipeTable, frozen=True, kw_only=True):
    """A vocabulary shortlist that `lingolite shortlist` made."""

    shortlist: str


class CorpusInput(RecipeTable, frozen=True, kw_only=True):
    """A corpus that `lingolite corpus import` made, or `lingolite translate --out`."""

    corpus: str


class Step(RecipeTable, tag_field="uses", frozen=True, kw_only=True):
    """A step; each kind extends it with its keys. `id` is what later steps refer to."""

    id: Identifier

    @property
    def uses(self) -> str:
        """The kind of step."""
        return str(self.__struct_config__.tag)


class Recipe(RecipeTable, frozen=True, kw_only=True):
    """A recipe. Paths are relative to the project's root: the directory of `lingolite.toml`.

    One that is read from a file is a `lingolite_cli.recipe.kinds.RecipeFile`, which knows what each step may have.
    """

    name: Identifier
    schema: int = 1
    summary: str = ""
    seed: Seed = 17
    threads: Threads | None = None
    inputs: dict[str, dict[str, Any]] = {}
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if self.schema != 1:
            raise ValueError(f"schema is {self.schema}; this version reads 1")

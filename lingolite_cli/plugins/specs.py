"""What a plugin offers, as descriptors that are cheap to import.

A plugin's entry-point module returns these from its hooks and imports nothing heavy; the class behind
`factory` is imported when a step first uses it. How each class is called is in
`lingolite_cli.plugins.interfaces`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import msgspec

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray

API_VERSION = 1
QUANTIZER_NEEDS = frozenset({"calibration", "training"})

Goal: TypeAlias = Literal["higher", "lower"] | float
"""Which scores are better: higher ones, lower ones, or those nearer to a number."""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For a plugin that takes no options."""


class _Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What all kinds of plugin say of themselves.

    Attributes:
        name: what users write in `--backend NAME` and in recipes.
        summary: one line for `lingolite plugins list`.
        factory: "package.module:Class", imported late.
        options: a frozen msgspec struct; unknown keys are refused before a run starts. Where options name files that
            decide results, it has a method `files()` that gives their paths: cache keys and locks hold what is in them.
        requires: import names without which the plugin cannot work.
        install: the pip command that mends a missing requirement.
        platforms: values of `sys.platform` where it works; none for everywhere.
        capabilities: extra methods that the class gives; the contracts hold it to them.
        api: the version of this API that the plugin was written for.
    """

    name: str
    summary: str
    factory: str
    options: type[msgspec.Struct] = NoOptions
    requires: tuple[str, ...] = ()
    install: str = ""
    platforms: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    api: int = API_VERSION


def files_of(options: msgspec.Struct) -> list[Path]:
    """The files that a plugin's options name, by their method `files()`; none where they have no such method."""
    files: Callable[[], list[Path]] | None = getattr(options, "files", None)
    return files() if files is not None else []


def defaults_for(options: type[msgspec.Struct], language: str, *, given: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults that a metric's options have for text in one language, under what the user gives; none for most.

    They are what the class method `defaults_for(language, given)` of the options returns.

    Args:
        options: the class.
        language: as `lingolite_cli.text.languages.primary_language` has it.
        given: what the user says, which may make a default pointless.
    """
    find: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = getattr(options, "defaults_for", None)
    return find(language, given) if find is not None else {}


def caution_of(options: msgspec.Struct, language: str) -> str | None:
    """What a user must know of scores of text in one language with these options; nothing for most.

    It is what the method `caution_for(language)` of the options returns, and stands behind the metric's name.
    """
    find: Callable[[str], str | None] | None = getattr(options, "caution_for", None)
    return find(language) if find is not None else None


class BackendSpec(_Spec, frozen=True, kw_only=True):
    """A backend: runs artifacts of the formats in `accepts`.

    Capabilities: `top_k` and `translate`, for engines that select or search themselves; `step`, for those of the latter
    that also give logits token by token, as all other backends do; `score`, for those that read whole targets at once;
    `diagnose`, for a static method that tells `lingolite doctor` what this machine does to results; `arithmetic`, for a
    static method that says how the engine computes, so that files can be held against the bundle that they were
    exported from; `data`, for a static method that compares files besides the weights with that bundle; `trace`, for
    those that show the values of named operations in the file; `recorded`, for those whose translations and times were
    taken on another machine; and `replay`, for those that translate by the artifact's own tokenizer and loop, by which
    its goldens are replayed.

    `lacks` is "package.module:function", imported when it is asked: what this machine lacks besides packages, in words;
    None for nothing.
    """

    accepts: frozenset[str]
    lacks: str = ""

    @property
    def gives_logits(self) -> bool:
        """Whether the engine can be driven token by token, so that its logits are seen and targets can be forced."""
        return "translate" not in self.capabilities or "step" in self.capabilities


class QuantizerSpec(_Spec, frozen=True, kw_only=True):
    """A quantizer: makes an artifact of format `produces` from one of `accepts`.

    `needs` names further data that it reads: `calibration`, text to run the model on, or `training`, parallel text
    to train it on.

    `precisions` are those that it can give single matrices, from the smallest to one that loses nothing. With some, its
    options have `default`, a precision, and `layers`, which leads from patterns over the names of matrices (without
    `.weight`) to precisions; `lingolite quantize --search` then finds values for both.
    """

    accepts: frozenset[str]
    produces: str
    needs: frozenset[str] = frozenset()
    precisions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(self.needs - QUANTIZER_NEEDS)
        if unknown:
            known = ", ".join(sorted(QUANTIZER_NEEDS))
            raise ValueError(f"quantizer `{self.name}` needs `{unknown[0]}`, which is none of {known}")


class ExporterSpec(_Spec, frozen=True, kw_only=True):
    """An exporter: makes an artifact of format `produces` from one of `accepts`.

    Capabilities: `shortlist`, for those whose artifacts may carry a vocabulary shortlist; and `replay`, for those whose
    artifacts hold goldens and a script that replays them without LingoLite (`lingolite_cli.emulation.replaying`).
    """

    accepts: frozenset[str]
    produces: str


class ImporterSpec(_Spec, frozen=True, kw_only=True):
    """An importer: reads the models of a foreign format.

    `recognizer` is "package.module:function", imported when the first path is looked at. The function takes a path that
    may not exist and says whether the importer reads it, by names and first bytes: it opens no large file, imports
    nothing heavy and raises nothing.

    `reads` says what it reads, in words for messages: `a directory with config.json`.

    Capability: `samples`, for formats that do not say all of a model: a few sentences are translated with what was
    imported, so that nonsense is seen.
    """

    recognizer: str
    reads: str


class MetricSpec(_Spec, frozen=True, kw_only=True):
    """A metric.

    Capabilities: `sentence_statistics`, for metrics that can be resampled, so that differences get intervals and
    p-values; and `sources`, for those that read what was translated.

    Options may depend on the target language: see `defaults_for` and `caution_of`.

    `goal` tells which way is better: `higher`, `lower` for error rates, or a number that a good system comes near to.
    Such a metric describes translations and does not rank them: nothing is chosen by it, but budgets may limit it.
    """

    goal: Goal = "higher"

    def __post_init__(self) -> None:
        if not isinstance(self.goal, float) and self.goal not in ("higher", "lower"):
            raise ValueError(f"metric `{self.name}` has the goal {self.goal!r}; known are `higher`, `lower` and floats")

    @property
    def ranks(self) -> bool:
        """Whether a better system scores better, so that models can be chosen by it."""
        return not isinstance(self.goal, float)


class ReporterSpec(_Spec, frozen=True, kw_only=True):
    """A reporter: writes files about a finished run."""


class ExecutorSpec(_Spec, frozen=True, kw_only=True):
    """An executor: decides where shards of work run."""


class ServerSpec(_Spec, frozen=True, kw_only=True):
    """A server: answers clients with the translations of a service, by a protocol."""


@overload
def merit(value: float, goal: Goal) -> float: ...


@overload
def merit(value: StatisticsArray, goal: Goal) -> StatisticsArray: ...


def merit(value: Any, goal: Goal) -> Any:
    """A score, or an array of scores, turned so that higher is better, in points of the metric."""
    if isinstance(goal, float):
        return 0.0 - abs(value - goal)
    return value if goal == "higher" else 0.0 - value


Spec: TypeAlias = (
    BackendSpec | QuantizerSpec | ExporterSpec | ImporterSpec | MetricSpec | ReporterSpec | ExecutorSpec | ServerSpec
)

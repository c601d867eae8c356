"""What a step may refer to while it is checked, and the plan that passed the checks.

Owns references between steps, plugin health, options and format compatibility. It imports no heavy package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import BUNDLE, Artifact, Manifest
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.decoding.options import DecodingOptions, check_search
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.plugins.registry import Loaded, Registry
from lingolite_cli.recipe.model import Recipe, Step
from lingolite_cli.training.options import PairsSpec


class PluginChoice(msgspec.Struct, frozen=True):
    """A plugin that a step uses, with its options resolved."""

    loaded: Loaded
    options: dict[str, Any]


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that passed its checks. Each kind of step extends it with what it uses, by name.

    Attributes:
        step: as the recipe has it.
        options: what else decides its outcome, as plain values for the cache key.
        judgement: what its outcome is judged by when it is there: no part of the work, nor of its cache key.
        produces: the format of the artifact that it makes, if it makes one.
        origin: the "inputs.NAME" that the artifact comes from in the end, or the step that made it from nothing.
        manifest: of an artifact that was made from nothing: its sizes and languages, as far as they are known.
        text_languages: of the corpus that it makes, if it makes one: of source and target, or the one.
        summary: one line for `--plan`.
        is_timed: whether budgets on time judge it as well; its cached outcome is then timed again in each run.
    """

    step: Step
    options: dict[str, Any] = {}
    judgement: dict[str, Any] = {}
    produces: str | None = None
    origin: str | None = None
    manifest: Manifest | None = None
    text_languages: tuple[str, ...] | None = None
    summary: str
    is_timed: bool = False

    @property
    def uses(self) -> str:
        """The kind of step."""
        return self.step.uses

    # Cache keys, records and locks hold both lists in this order: a change of order makes old entries unfindable.

    @property
    def inputs(self) -> tuple[str, ...]:
        """References to the inputs and earlier steps whose content this step depends on."""
        return ()

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The plugins that it uses."""
        return ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that its work needs besides those of its plugins, by the names that they are imported by."""
        return ()

    @property
    def reporters(self) -> tuple[PluginChoice, ...]:
        """The reporters among them, which write when the run ends."""
        return ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that passed its checks, with its inputs open."""

    recipe: Recipe
    path: str
    root: Path
    threads: int
    blocked: tuple[str, ...]
    models: dict[str, Artifact]
    corpora: dict[str, CorpusSpec]
    pairs: dict[str, PairsSpec]
    shortlists: dict[str, Path]
    collections: dict[str, CorpusArtifact]
    steps: tuple[PlannedStep, ...]


class Scope:
    """What a step may refer to while it is checked: the inputs and the steps before it.

    Args:
        where: the recipe, for messages.
        registry: the plugins.
        models: open artifacts, by "inputs.NAME".
        corpora: text inputs, by "inputs.NAME".
        pairs: inputs to train on, by "inputs.NAME".
        shortlists: files of vocabulary shortlists, by "inputs.NAME".
        collections: corpora in shards, by "inputs.NAME".
        positions: where each step of the recipe stands.
        find_artifact: looks among finished steps for an artifact that a manifest names by its digest.
        preferred_backend: what the project has for the backend of `evaluate` steps; None is nothing.
    """

    def __init__(
        self,
        *,
        where: str,
        registry: Registry,
        models: dict[str, Artifact],
        corpora: dict[str, CorpusSpec],
        pairs: dict[str, PairsSpec],
        shortlists: dict[str, Path],
        collections: dict[str, CorpusArtifact],
        positions: Mapping[str, int],
        find_artifact: Callable[[str], Path | None],
        preferred_backend: Any = None,
    ) -> None:
        self.find_artifact = find_artifact
        self.registry = registry
        self.models = models
        self.corpora = corpora
        self.pairs = pairs
        self.shortlists = shortlists
        self.collections = collections
        self.steps: dict[str, PlannedStep] = {}
        self._where = where
        self._positions = positions
        self._preferred_backend = preferred_backend

    def error(self, step: Step, key: str, message: str, *, hint: str | None = None) -> LingoLiteError:
        """An error about one key of a step."""
        return LingoLiteError(f"{self._where}: step `{step.id}`, `{key}`: {message}", hint=hint)

    def place(self, step: Step, what: str) -> str:
        """A table of a step, for the messages of `convert`."""
        return f"{self._where}: step `{step.id}`, {what}"

    def artifact_format(self, step: Step, key: str, reference: str) -> str:
        """The format of the artifact that `reference` names."""
        if reference in self.models:
            return self.models[reference].manifest.format
        earlier = self.steps.get(reference)
        if earlier is not None and earlier.produces is not None:
            return earlier.produces
        if earlier is not None:
            raise self.error(step, key, f"step `{reference}` makes no artifact", hint=self._artifacts_hint())
        raise self._unknown(step, key, reference, [*self.models, *self._makers()])

    def manifest(self, step: Step, key: str, reference: str) -> Manifest:
        """The manifest of what the artifact `reference` comes from: its sizes, languages and defaults."""
        self.artifact_format(step, key, reference)
        origin = self.origin(reference)
        manifest = self.models[origin].manifest if origin in self.models else self.steps[origin].manifest
        assert manifest is not None, f"{origin} makes artifacts from nothing and does not say what they are"
        return manifest

    def origin(self, reference: str) -> str:
        """The "inputs.NAME" or step that an artifact comes from; `reference` is known to name an artifact."""
        return reference if reference in self.models else self.steps[reference].origin or reference

    def corpus(self, step: Step, key: str, reference: str) -> CorpusSpec:
        """The text input that `reference` names."""
        if reference not in self.corpora:
            raise self._unknown(step, key, reference, list(self.corpora))
        return self.corpora[reference]

    def languages(self, step: Step, key: str, reference: str, manifest: Manifest) -> tuple[str, str]:
        """Source and target language of a text input: its own, or the two that the model knows."""
        corpus, known = self.corpus(step, key, reference), manifest.languages
        if corpus.languages is None:
            if len(known) != 2:
                raise self.error(
                    step,
                    key,
                    f"`{reference}` does not say its languages, and the model knows {len(known)}",
                    hint='name them: languages = ["en", "da"] with the text, --languages with a command',
                )
            return known[0], known[1]
        for language in corpus.languages:
            if language not in known:
                raise self.error(
                    step,
                    key,
                    f"`{reference}` is in `{language}`, which the model does not know",
                    hint=f"the model knows {', '.join(known)}",
                )
        if corpus.languages[0] == corpus.languages[1]:
            raise self.error(
                step, key, f"source and target of `{reference}` are the same language, `{corpus.languages[0]}`"
            )
        return corpus.languages

    def text_languages(self, step: Step, key: str, reference: str) -> tuple[str, ...]:
        """Languages of the corpus that `reference` names: an input with `corpus`, or a step that makes one."""
        if reference in self.collections:
            return self.collections[reference].manifest.languages
        earlier = self.steps.get(reference)
        if earlier is not None and earlier.text_languages is not None:
            return earlier.text_languages
        if earlier is not None:
            raise self.error(step, key, f"step `{reference}` makes no corpus", hint=self._corpora_hint())
        if reference in self.corpora or reference in self.pairs:
            raise self.error(
                step,
                key,
                f"`{reference}` is a file, not a corpus",
                hint="make a corpus of it with `lingolite corpus import`, and name it with { corpus = DIR }",
            )
        raise self._unknown(step, key, reference, [*self.collections, *self._collectors()])

    def check_training_text(self, step: Step, key: str, reference: str) -> None:
        """Refuse what is neither an input with `pairs` nor a corpus with two sides."""
        if reference in self.collections or reference in self._collectors():
            if len(self.text_languages(step, key, reference)) != 2:
                raise self.error(
                    step, key, f"`{reference}` is monolingual text", hint='translate it first: uses = "translate"'
                )
            return
        if reference in self.corpora:
            raise self.error(
                step,
                key,
                f"`{reference}` is text to evaluate on",
                hint='text to train on is named { pairs = "FILE.tsv" } or { pairs = ["FILE.en", "FILE.da"] }',
            )
        if reference not in self.pairs:
            raise self._unknown(step, key, reference, [*self.pairs, *self.collections, *self._collectors()])

    def shortlist(self, step: Step, key: str, reference: str) -> Path:
        """The file of the input with `shortlist` that `reference` names."""
        if reference not in self.shortlists:
            raise self._unknown(step, key, reference, list(self.shortlists))
        return self.shortlists[reference]

    def earlier(self, step: Step, key: str, reference: str, uses: str) -> PlannedStep:
        """The earlier step that `reference` names, which must be of kind `uses`."""
        candidates = [name for name, planned in self.steps.items() if planned.uses == uses]
        if reference not in candidates:
            if reference in self.steps:
                message = f"step `{reference}` is of kind {self.steps[reference].uses}, not {uses}"
                raise self.error(step, key, message, hint=did_you_mean(reference, candidates))
            raise self._unknown(step, key, reference, candidates)
        return self.steps[reference]

    def plugin(
        self, step: Step, key: str, *, kind: str, name: str, options: dict[str, Any], target: str | None = None
    ) -> PluginChoice:
        """A healthy plugin with valid options; for a metric, `target` is the language whose defaults it has."""
        try:
            loaded = self.registry.resolve(kind, name)
        except LingoLiteError as error:
            raise self._located(step, key, error) from None
        given = loaded.options_for(target, options)
        resolved = loaded.options(given, where=self.place(step, f"options of {kind} `{name}`"))
        return PluginChoice(loaded, msgspec.to_builtins(resolved))

    def backend_for(self, step: Step, key: str, *, format: str) -> str:
        """The backend that runs artifacts of `format` where the step names none: the project's, if it can."""
        try:
            found = self.registry.able_backend(format, preferred=self._preferred_backend)
        except LingoLiteError as error:
            raise self._located(step, key, error) from None
        if found is None:
            raise self._located(step, key, self.registry.no_backend(format))
        return found

    def check_budget(self, step: Step, budget: Mapping[str, float], *, known: Sequence[str]) -> None:
        """Refuse a budget on what the step does not measure, and a limit that is not finite."""
        for name, limit in budget.items():
            if name not in known:
                message = "there is no such budget here"
                raise self.error(step, f"budget.{name}", message, hint=did_you_mean(name, known))
            if not math.isfinite(limit):
                raise self.error(
                    step, f"budget.{name}", f"must be finite, not {limit}", hint=f"for example {name} = 0.5"
                )

    def accepted(self, step: Step, choice: PluginChoice, *, format: str, reference: str) -> None:
        """Refuse an artifact format that the plugin does not read."""
        spec = choice.loaded.spec
        if format not in spec.accepts:
            raise self.error(
                step,
                "model",
                f"`{reference}` is of format {format}, and {choice.loaded.kind} `{spec.name}` reads "
                f"{', '.join(sorted(spec.accepts))}",
                hint=self._converter_hint(format, spec.accepts),
            )

    def check_search(self, step: Step, choice: PluginChoice, manifest: Manifest, decoding: DecodingOptions) -> None:
        """Refuse a search that the backend does not have."""
        has_prefix = bool(manifest.tokenizer_description.frame.target_prefix)
        try:
            check_search(decoding, choice.loaded.spec.capabilities, has_prefix=has_prefix)
        except LingoLiteError as error:
            raise self._located(step, "model", error) from None

    def _located(self, step: Step, key: str, error: LingoLiteError) -> LingoLiteError:
        located = self.error(step, key, error.message, hint=error.hint)
        located.exit_code = error.exit_code  # 4 for a broken plugin, which is not a mistake in the recipe
        return located

    def _converter_hint(self, format: str, accepts: frozenset[str]) -> str | None:
        for kind, verb in (("exporter", "export"), ("quantizer", "quantize")):
            for entry in self.registry.of_kind(kind):
                spec: Any = entry.spec
                if spec is None or getattr(spec, "needs", None):
                    continue
                if format in spec.accepts and spec.produces in accepts:
                    key = "format" if kind == "exporter" else "method"
                    return f'add a step before it: uses = "{verb}", {key} = "{spec.name}"'
        if format.startswith(BUNDLE) and BUNDLE in accepts:
            return "take the float bundle that it was made from, or import the model with its float weights"
        return None

    def _makers(self) -> list[str]:
        return [name for name, planned in self.steps.items() if planned.produces]

    def _collectors(self) -> list[str]:
        return [name for name, planned in self.steps.items() if planned.text_languages is not None]

    def _corpora_hint(self) -> str:
        return f"corpora so far: {', '.join([*self.collections, *self._collectors()]) or 'none'}"

    def _artifacts_hint(self) -> str:
        return f"artifacts so far: {', '.join([*self.models, *self._makers()])}"

    def _unknown(self, step: Step, key: str, reference: str, known: list[str]) -> LingoLiteError:
        if reference in self._positions and self._positions[reference] >= self._positions[step.id]:
            which = "this very step" if reference == step.id else "a later step"
            return self.error(
                step,
                key,
                f"refers to {which}, `{reference}`",
                hint="steps refer backwards only; reorder them",
            )
        return self.error(step, key, f"there is no `{reference}`", hint=did_you_mean(reference, known))

"""The texts that quantizers need: those that a command names, or else the project's.

Owns which text meets which need. `--calibration` or [dev] is calibrated on; `--data` or [[train]] is trained on, and
`--dev` or [dev] picks the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import MODEL, Input, has_tsv_name, project_corpus, source_input
from lingolite_cli.jobs.job import JobBuilder
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.steps.quantize import QuantizeStep
from lingolite_cli.training.options import PairsSpec

CALIBRATION = "calibration"
TRAINING = "training"


class NamedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a command's options name, and the languages of those and of the project's."""

    calibration: Path | None = None
    data: tuple[Path, ...] = ()
    dev: Path | None = None
    languages: tuple[str, str] | None = None


class FoundText(msgspec.Struct, frozen=True, kw_only=True):
    """Text that meets one need of quantizers.

    Attributes:
        inputs: of a job, by name.
        note: what the user is told.
        calibration: key of a `quantize` step.
        data: key of a `quantize` step.
        dev: key of a `quantize` step.
        languages: key of a `quantize` step.
    """

    inputs: dict[str, Input]
    note: str
    calibration: str | None = None
    data: tuple[str, ...] | None = None
    dev: str | None = None
    languages: tuple[str, str] | None = None


class MissingText(msgspec.Struct, frozen=True):
    """Text that there is none of: what it would be, and how to name some."""

    what: str
    hint: str


class QuantizerTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, by need; None is never both, and a need is in one of the two."""

    found: dict[str, FoundText] = {}
    missing: dict[str, MissingText] = {}

    def quantize_step(
        self,
        builder: JobBuilder,
        id: str,
        method: str,
        *,
        needs: frozenset[str],
        model: str = MODEL,
        options: dict[str, object] | None = None,
    ) -> QuantizeStep:
        """A step that quantizes, on the texts that the method needs.

        Raises:
            LingoLiteError: one is missing, or an option has the wrong type.
        """
        for need in sorted(needs - self.found.keys()):
            missing = self.missing[need]
            raise LingoLiteError(f"`{method}` needs {missing.what}, and none is named", hint=missing.hint)
        calibration, training = (self.found.get(need) if need in needs else None for need in (CALIBRATION, TRAINING))
        return builder.step(
            QuantizeStep,
            id,
            method=method,
            model=model,
            calibration=calibration and calibration.calibration,
            data=training and training.data,
            dev=training and training.dev,
            languages=training and training.languages,
            options=options,
        )

    def inputs_for(self, steps: Iterable[Step]) -> dict[str, Input]:
        """The inputs that `quantize_step` referred to in `steps`."""
        used: set[str | None] = set()
        for step in steps:
            if isinstance(step, QuantizeStep):
                used |= {step.calibration, step.dev, *step.data}
        return {
            name: text
            for found in self.found.values()
            for name, text in found.inputs.items()
            if f"inputs.{name}" in used
        }

    def announce(self, needs: frozenset[str], console: Console) -> None:
        """Tell the user what is calibrated or trained on."""
        for need in sorted(needs):
            console.note(self.found[need].note)


def needs_of(context: JobContext, method: str) -> frozenset[str]:
    """What the quantizer called `method` needs besides a model.

    Raises:
        LingoLiteError: there is no such quantizer, or it is not healthy.
    """
    needs: frozenset[str] = context.registry.resolve("quantizer", method).spec.needs
    return needs


def refuse_needless(named: NamedTexts, needs: frozenset[str], *, method: str) -> None:
    """Refuse options that name text which the method would not read.

    Raises:
        LingoLiteError: naming the first of them.
    """
    if named.calibration is not None and CALIBRATION not in needs:
        raise LingoLiteError(f"`{method}` takes no calibration text", hint="leave out --calibration")
    for flag, value in (("--data", named.data), ("--dev", named.dev)):
        if value and TRAINING not in needs:
            raise LingoLiteError(f"`{method}` does not train", hint=f"leave out {flag}")
    if named.languages is not None and not needs:
        raise LingoLiteError(f"`{method}` reads no text", hint="leave out --languages")


def find_texts(context: JobContext, named: NamedTexts) -> QuantizerTexts:
    """The texts that were named, and the project's in the place of those that were not."""
    texts = {CALIBRATION: _calibration(context, named), TRAINING: _training(context, named)}
    return QuantizerTexts(
        found={need: text for need, text in texts.items() if isinstance(text, FoundText)},
        missing={need: text for need, text in texts.items() if isinstance(text, MissingText)},
    )


def _calibration(context: JobContext, named: NamedTexts) -> FoundText | MissingText:
    settings = context.project.settings
    if (file := named.calibration) is not None:
        text = source_input(file, is_tsv=has_tsv_name(file), languages=named.languages or settings.languages)
        origin = ""
    elif settings.dev is not None:
        text, origin = _project_dev(context, settings.dev, named), f", [dev] of {context.project.settings_path}"
    else:
        hint = "name it as [dev] in lingolite.toml, or for `lingolite quantize` with --calibration FILE"
        return MissingText("text to run the model on", hint)
    return FoundText(
        inputs={CALIBRATION: text},
        note=f"calibrating on {text.tsv or text.source}{origin}",
        calibration=f"inputs.{CALIBRATION}",
    )


def _training(context: JobContext, named: NamedTexts) -> FoundText | MissingText:
    data = _training_data(context, named.data)
    if not data:
        hint = "name it as [[train]] in lingolite.toml, or for `lingolite quantize` with --data FILE"
        return MissingText("parallel text to train on", hint)
    settings = context.project.settings
    languages = named.languages or settings.languages
    if named.dev is not None:
        dev = source_input(named.dev, is_tsv=True, languages=languages)
    # Weights are never chosen by [test]: it must stay unseen.
    elif settings.dev is not None and settings.dev.has_references:
        dev = _project_dev(context, settings.dev, named)
    else:
        hint = "name it as [dev] in lingolite.toml, or for `lingolite quantize` with --dev FILE"
        return MissingText("text with references to choose its weights by", hint)
    files = ", ".join(_files(text) for text in data.values())
    return FoundText(
        inputs={**data, "dev": dev},
        note=f"training on {files}; choosing weights by {dev.tsv or dev.source}",
        data=tuple(f"inputs.{name}" for name in data),
        dev="inputs.dev",
        languages=languages,
    )


def _project_dev(context: JobContext, dev: CorpusSpec, named: NamedTexts) -> CorpusSpec:
    found = project_corpus(context, dev)
    return msgspec.structs.replace(found, languages=named.languages or found.languages)


def _training_data(context: JobContext, named: Sequence[Path]) -> dict[str, PairsSpec]:
    """`train`, `train-2`, …"""
    found = [PairsSpec(pairs=str(path.resolve())) for path in named] or [
        _absolute(spec, context.project.root) for spec in context.project.settings.train
    ]
    return {f"train-{number}" if number > 1 else "train": text for number, text in enumerate(found, start=1)}


def _absolute(spec: PairsSpec, root: Path) -> PairsSpec:
    first, *second = map(str, spec.paths(root))
    return msgspec.structs.replace(spec, pairs=(first, *second) if second else first)


def _files(text: PairsSpec) -> str:
    return text.pairs if isinstance(text.pairs, str) else " and ".join(text.pairs)

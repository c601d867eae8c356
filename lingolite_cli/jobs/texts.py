"""How a command finds the texts that quantizers need: by its options, or by the project's lingolite.toml.

`--calibration` or [dev] is calibrated on; `--data` or [[train]] is trained on, and `--dev` or [dev] picks the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext

CALIBRATION = "calibration"
TRAINING = "training"


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The files that the command's options name."""

    calibration: Path | None = None
    data: tuple[Path, ...] = ()
    dev: Path | None = None


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        inputs: texts as inputs of a recipe, by name.
        keys: for each need that they meet, the keys of a `quantize` step.
        notes: for each such need, what the user is told.
        missing: for each other need, what there is none of, and how to name some.
    """

    inputs: dict[str, dict[str, Any]] = {}
    keys: dict[str, dict[str, Any]] = {}
    notes: dict[str, str] = {}
    missing: dict[str, tuple[str, str]] = {}

    def quantize_step(self, id: str, method: str, *, needs: frozenset[str], model: str = adhoc.MODEL) -> dict[str, Any]:
        """A step that quantizes, on the texts that the method needs.

        Raises:
            LingoLiteError: one is missing.
        """
        for need in sorted(needs - self.keys.keys()):
            what, hint = self.missing[need]
            raise LingoLiteError(f"`{method}` needs {what}, and none is named", hint=hint)
        step: dict[str, Any] = {"id": id, "uses": "quantize", "method": method, "model": model}
        for need in needs:
            step |= self.keys[need]
        return step

    def inputs_for(self, steps: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The inputs that `quantize_step` referred to in `steps`."""
        used = [step.get(key) for step in steps for key in (CALIBRATION, "dev")]
        used += [reference for step in steps for reference in step.get("data", ())]
        return {name: text for name, text in self.inputs.items() if f"inputs.{name}" in used}

    def say_which(self, needs: frozenset[str], console: Console) -> None:
        """Tell the user what is calibrated or trained on."""
        for need in sorted(needs):
            console.note(self.notes[need])


def needs_of(context: JobContext, method: str) -> frozenset[str]:
    """What the quantizer called `method` needs besides a model.

    Raises:
        LingoLiteError: there is no such quantizer, or it is not healthy.
    """
    needs: frozenset[str] = context.registry.resolve("quantizer", method).spec.needs
    return needs


def refuse_needless(named: Named, needs: frozenset[str], *, method: str) -> None:
    """Refuse options that name text which the method would not read.

    Raises:
        LingoLiteError: naming the first of them.
    """
    if named.calibration is not None and CALIBRATION not in needs:
        raise LingoLiteError(f"`{method}` calibrates nothing", hint="leave out --calibration")
    for flag, value in (("--data", named.data), ("--dev", named.dev)):
        if value and TRAINING not in needs:
            raise LingoLiteError(f"`{method}` trains nothing", hint=f"leave out {flag}")


def find_texts(context: JobContext, named: Named) -> Texts:
    """The texts that were named, and the project's in the place of those that were not."""
    texts = Texts()
    _find_calibration(texts, context, named.calibration)
    _find_training(texts, context, named)
    return texts


def _find_calibration(texts: Texts, context: JobContext, named: Path | None) -> None:
    dev = context.project.settings.dev
    if named is None and dev is None:
        hint = "name it as [dev] in lingolite.toml, or for `lingolite quantize` with --calibration FILE"
        texts.missing[CALIBRATION] = ("text to run the model on", hint)
        return
    if named is not None:
        text = _text(context, named, is_tsv=adhoc.is_tsv(named))
        origin = ""
    else:
        assert dev is not None
        text, origin = adhoc.project_corpus(context, dev), f", [dev] of {context.project.settings_path}"
    texts.inputs[CALIBRATION] = text
    texts.keys[CALIBRATION] = {CALIBRATION: f"inputs.{CALIBRATION}"}
    texts.notes[CALIBRATION] = f"calibrating on {text.get('tsv') or text['source']}{origin}"


def _find_training(texts: Texts, context: JobContext, named: Named) -> None:
    data = _training_data(context, named.data)
    if not data:
        hint = "name it as [[train]] in lingolite.toml, or for `lingolite quantize` with --data FILE"
        texts.missing[TRAINING] = ("parallel text to train on", hint)
        return
    settings = context.project.settings
    if named.dev is not None:
        dev = _text(context, named.dev, is_tsv=True)
    elif settings.dev is not None and (settings.dev.tsv or settings.dev.references):
        dev = adhoc.project_corpus(context, settings.dev)
    else:
        hint = "name it as [dev] in lingolite.toml, or for `lingolite quantize` with --dev FILE"
        texts.missing[TRAINING] = ("text with references to choose its weights by", hint)
        return
    languages = {"languages": list(settings.languages)} if settings.languages else {}
    texts.inputs.update({**data, "dev": dev})
    texts.keys[TRAINING] = {"data": [f"inputs.{name}" for name in data], "dev": "inputs.dev", **languages}
    files = ", ".join(_files(text["pairs"]) for text in data.values())
    texts.notes[TRAINING] = f"training on {files}; choosing weights by {dev.get('tsv') or dev['source']}"


def _training_data(context: JobContext, named: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """`train`, `train-2`, …"""
    if named:
        found: list[dict[str, Any]] = [{"pairs": str(path.resolve())} for path in named]
    else:
        root = context.project.root
        found = []
        for spec in context.project.settings.train:
            paths = [str(path) for path in spec.paths(root)]
            pairs = paths[0] if len(paths) == 1 else paths
            found.append({"pairs": pairs, "short_share": spec.short_share})
    return {f"train-{number}" if number > 1 else "train": text for number, text in enumerate(found, start=1)}


def _text(context: JobContext, path: Path, *, is_tsv: bool) -> dict[str, Any]:
    languages = context.project.settings.languages
    text: dict[str, Any] = {"tsv" if is_tsv else "source": str(path.resolve())}
    return {**text, "languages": list(languages)} if languages else text


def _files(pairs: str | list[str]) -> str:
    return pairs if isinstance(pairs, str) else " and ".join(pairs)

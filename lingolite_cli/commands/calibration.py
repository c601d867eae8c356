"""How a command finds the text that a quantizer calibrates on: `--calibration`, or the project's dev set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from lingolite_cli.commands import adhoc
from lingolite_cli.commands.state import State
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError

CALIBRATION = "calibration"
_REFERENCE = f"inputs.{CALIBRATION}"

Texts: TypeAlias = dict[str, dict[str, Any]]
"""Texts as inputs of a recipe, by name."""


def is_calibrated(state: State, method: str) -> bool:
    """Whether the quantizer called `method` needs text to run the model on.

    Raises:
        LingoLiteError: there is no such quantizer, or it is not healthy.
    """
    return CALIBRATION in state.registry.resolve("quantizer", method).spec.needs


def calibration_input(state: State, named: Path | None) -> Texts:
    """What a recipe's inputs gain by the file that was named, or by the project's dev set; nothing without both."""
    if named is not None:
        languages = state.project.settings.languages
        text: dict[str, Any] = {"tsv" if adhoc.is_tsv(named) else "source": str(named.resolve())}
        return {CALIBRATION: {**text, "languages": list(languages)} if languages else text}
    dev = state.project.settings.dev
    return {} if dev is None else {CALIBRATION: adhoc.project_corpus(state, dev)}


def required_calibration(state: State, named: Path | None, *, method: str) -> Texts:
    """As `calibration_input`, for a method that cannot do without.

    Raises:
        LingoLiteError: no text is named anywhere.
    """
    found = calibration_input(state, named)
    if not found:
        raise LingoLiteError(
            f"`{method}` needs text to run the model on, and none is named",
            hint="name it as [dev] in lingolite.toml, or for `lingolite quantize` with --calibration FILE",
        )
    return found


def quantize_step(state: State, *, id: str, method: str, model: str = adhoc.MODEL) -> dict[str, Any]:
    """A step that quantizes, on the input that `calibration_input` gave where the method needs it."""
    step: dict[str, Any] = {"id": id, "uses": "quantize", "method": method, "model": model}
    return {**step, CALIBRATION: _REFERENCE} if is_calibrated(state, method) else step


def say_which(state: State, texts: Texts, named: Path | None, console: Console) -> None:
    """Tell the user what is calibrated on."""
    if CALIBRATION in texts:
        text = texts[CALIBRATION]
        origin = "" if named is not None else f", [dev] of {state.project.settings_path}"
        console.note(f"calibrating on {text.get('tsv') or text['source']}{origin}")

"""How an artifact that `quantize` or `export` made looks on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lingolite_cli.console import Console
from lingolite_cli.runs.made_results import ExportResult, QuantizeResult
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.step_result import ArtifactSummary
from lingolite_cli.views.training import show_training


def show_conversion(result: StepResult, out: Path, console: Console) -> None:
    """The artifact that `quantize` or `export` made, against its source."""
    assert isinstance(result, QuantizeResult | ExportResult)
    source, artifact, training = result.source, result.artifact, result.training
    calibration = result.calibration if isinstance(result, QuantizeResult) else None
    texts = {"calibration": calibration, "training": training}
    read = {key: value for key, value in texts.items() if value is not None}
    console.print_json({"out": str(out), "source": source, "artifact": artifact, **read})
    if training is not None:
        show_training(training, console)
    if calibration is not None:
        console.print(f"calibrated on {calibration.num_samples:,} sentences, SHA-256 {calibration.digest}")
    console.print(f"{out}: {size_line(artifact, source)}")
    if isinstance(result, ExportResult):
        for name, value in result.details.items():
            console.print(f"  {name}: {_plain(value)}")


def size_line(artifact: ArtifactSummary, source: ArtifactSummary) -> str:
    """Format and size of an artifact, against what it was made from."""
    ratio = artifact.size_bytes / source.size_bytes
    size, original = (f"{one.size_bytes / 1e6:.2f} MB" for one in (artifact, source))
    return f"{artifact.format}, {size}, {ratio:.3f} of the source's {original}"


def _plain(value: Any) -> str:
    """A value of a plugin's own details for people: without brackets, and what is None in a table left out."""
    if isinstance(value, list | tuple):
        tables = any(isinstance(part, dict) for part in value)
        return ("; " if tables else ", ").join(map(_plain, value))
    if isinstance(value, dict):
        parts = {
            key: "+".join(map(str, part)) if isinstance(part, list | tuple) else part for key, part in value.items()
        }
        return ", ".join(f"{key} {part}" for key, part in parts.items() if part is not None)
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The tables on what a run read, made and ran on: artifacts, steps, texts, environment."""

from __future__ import annotations

from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import ReportResult
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.results import artifacts, evaluations


def sizes_table(manifest: RunManifest) -> Table | None:
    """Every artifact with its size."""
    found = artifacts(manifest)
    if not found:
        return None
    columns = [
        Column("Artifact", "code"),
        Column("Format"),
        Column("Size, MB", "number"),
        Column("Of the first", "number"),
    ]
    rows = [
        [
            row.label,
            row.form,
            formats.megabytes(row.artifact.size_bytes),
            formats.ratio(row.artifact.size_bytes / found[0].artifact.size_bytes),
        ]
        for row in found
    ]
    return Table("Artifacts", columns, rows)


def digests_table(manifest: RunManifest) -> Table | None:
    """Where every artifact lies, and the digest that identifies it."""
    rows = [[row.label, row.artifact.path, row.artifact.digest] for row in artifacts(manifest)]
    columns = [Column("Artifact", "code"), Column("Path", "code"), Column("SHA-256", "code")]
    return Table("Digests of the artifacts", columns, rows) if rows else None


def steps_table(manifest: RunManifest) -> Table:
    """What ran, how long it took and which plugins did it."""
    columns = [
        Column("Step", "code"),
        Column("Kind"),
        Column("Status"),
        Column("Time", "number"),
        Column("Plugins"),
        Column("Inputs"),
    ]
    rows = [
        [
            step.id,
            step.uses,
            step.status,
            # A page cannot tell how long it took to write; the manifest does.
            formats.NOTHING if isinstance(step.result, ReportResult) else formats.duration(step.seconds),
            ", ".join(f"{use.name} ({use.distribution} {use.version})" for use in step.plugins) or formats.NOTHING,
            ", ".join(f"{name} {digest[:12]}" for name, digest in step.inputs.items()) or formats.NOTHING,
        ]
        for step in manifest.steps
    ]
    for left in manifest.unfinished:
        is_stopped = manifest.stop is not None and left.id == manifest.stop.step
        seconds = formats.duration(manifest.stop.seconds) if manifest.stop and is_stopped else formats.NOTHING
        status = "stopped" if is_stopped else "not reached"
        rows.append([left.id, left.uses, status, seconds, formats.NOTHING, formats.NOTHING])
    return Table("Steps in order", columns, rows)


def environment_table(manifest: RunManifest) -> Table:
    """Where the run took place."""
    environment = manifest.environment
    rows = [
        ["Recipe", manifest.recipe_path],
        ["Started (UTC)", manifest.started],
        ["Took, reports not counted", formats.duration(manifest.seconds)],
        ["Git commit", formats.NOTHING if manifest.revision is None else manifest.revision.said],
        ["Seed", str(manifest.seed)],
        ["LingoLite", environment.lingolite],
        ["Python", environment.python],
        ["Platform", environment.platform],
        ["CPU", environment.cpu],
        ["CPU features", ", ".join(environment.cpu_features) or formats.NOTHING],
        ["Cores and threads", f"{environment.cores} and {environment.threads}"],
        ["Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items())],
    ]
    return Table("Environment", [Column("What"), Column("Value")], rows)


def corpora_table(manifest: RunManifest) -> Table | None:
    """The texts that were translated or calibrated on, by digest."""
    uses = [("tested on", result.corpus) for _, result in evaluations(manifest)]
    uses += [
        ("calibrated on", step.result.calibration)
        for step in manifest.steps
        if isinstance(step.result, QuantizeResult) and step.result.calibration is not None
    ]
    rows = [
        [corpus.name, use, " → ".join(corpus.languages), f"{corpus.num_samples:,}", corpus.digest]
        for (use, _), corpus in {(use, corpus.digest): corpus for use, corpus in uses}.items()
    ]
    columns = [
        Column("Text", "code"),
        Column("Use"),
        Column("Languages"),
        Column("Sentences", "number"),
        Column("SHA-256", "code"),
    ]
    return Table("Texts", columns, rows) if rows else None

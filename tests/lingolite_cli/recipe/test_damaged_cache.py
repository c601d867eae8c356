"""What is damaged in the cache, or left there by a killed run, is never a result and is mended by the next run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from command_line import runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.files.digests import canonical_json, sha256_file, sha256_json
from lingolite_cli.recipe.cache import StepCache, read_entry
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import read_translations
from tests.lingolite_cli.recipe.cached_runs import Command, cached_artifact, digests, done, entry_of, reasons, run


def _cut(entry: Path) -> None:
    file = entry / "translations.jsonl"
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-5])


def _lose(entry: Path) -> None:
    (entry / "translations.jsonl").unlink()


def _garble(entry: Path) -> None:
    (entry / "entry.json").write_bytes(b'{"result": ')


def _improve(entry: Path) -> None:
    text = (entry / "entry.json").read_text()
    assert '"num_samples":21' in text
    (entry / "entry.json").write_text(text.replace('"num_samples":21', '"num_samples":99'))


@pytest.mark.parametrize("damage", [_cut, _lose, _garble, _improve])
def test_a_damaged_entry_is_a_miss_and_is_mended(
    with_echo: Command, project: Path, finished: RunManifest, damage: Callable[[Path], None]
) -> None:
    damage(entry_of(project, finished.steps[0]))
    assert reasons(with_echo)["baseline"] == "its entry is gone from the cache"
    _, second = run(with_echo, project)
    assert done(second) == ["baseline"]
    assert digests(second.steps) == digests(finished.steps)
    assert done(run(with_echo, project)[1]) == []


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_damaged_artifact_in_the_cache_is_made_again(
    with_echo: Command, project: Path, finished: RunManifest, how: str
) -> None:
    artifact = cached_artifact(project, finished.steps[1])
    weights = artifact / "model.safetensors"
    if how == "gone":
        artifact.rename(project / "taken")
    else:
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.unlink()
        weights.write_bytes(data)
    _, second = run(with_echo, project)
    assert done(second) == ["half"]
    assert (
        sha256_file(weights)
        == Artifact.open(runs(project)[-1] / "artifacts" / "half").manifest.files[weights.name].sha256
    )
    assert digests(second.steps) == digests(finished.steps)


def test_entry_under_another_key_is_none(with_echo: Command, project: Path, finished: RunManifest) -> None:
    """The result of one step copied over another's: whole by its own digests, and of other work."""
    baseline, shipped = (entry_of(project, finished.steps[index]) for index in (0, 2))
    shutil.rmtree(shipped)
    shutil.copytree(baseline, shipped)
    _, second = run(with_echo, project)
    assert done(second) == ["shipped"]
    assert digests(second.steps) == digests(finished.steps)


def test_evaluation_without_its_translations_is_none(with_echo: Command, project: Path, finished: RunManifest) -> None:
    """As if it had been stored without them: all digests fit."""
    entry = entry_of(project, finished.steps[0])
    (entry / "translations.jsonl").unlink()
    stored = read_entry(entry)
    parts = {"result": msgspec.to_builtins(stored.result), "files": {}}
    digest = sha256_json(parts)
    (entry / "entry.json").write_bytes(canonical_json(msgspec.structs.replace(stored, files={}, digest=digest)))
    _, second = run(with_echo, project)
    assert done(second) == ["baseline"]
    assert len(read_translations(runs(project)[-1] / "translations" / "baseline.jsonl")) == 21


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 1000), marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_damaged_bytes_of_the_cache_are_never_a_result(
    with_echo: Command, project: Path, finished: RunManifest, seeds: range
) -> None:
    """Bits, bytes and blocks of entries, texts and artifacts, changed, cut and exchanged at random."""
    root = project / ".lingolite" / "cache"
    cache = StepCache(root)
    keys = [step.key for step in finished.steps if step.key is not None]
    good = {key: cache.find(key) for key in keys}
    assert None not in good.values()
    files = sorted(path for part in ("steps", "artifacts") for path in (root / part).rglob("*") if path.is_file())
    for seed in seeds:
        generator = random.Random(seed)
        path = generator.choice(files)
        original = path.read_bytes()
        data = bytearray(original)
        start = generator.randrange(len(data))
        length = generator.choice([1, 1, 4, 64, 512])
        damage = generator.choice(["bit", "zeros", "noise", "cut", "other"])
        if damage == "bit":
            data[start] ^= 1 << generator.randrange(8)
        elif damage == "cut":
            del data[start:]
        elif damage == "other":
            data = bytearray(generator.choice(files).read_bytes())
        else:
            data[start : start + length] = bytes(length) if damage == "zeros" else generator.randbytes(length)
        path.write_bytes(data)
        for key in keys:
            found = cache.find(key)
            assert found is None or found == good[key], (seed, path.name, damage)
        path.write_bytes(original)
    assert {key: cache.find(key) for key in keys} == good


def test_next_run_clears_what_a_killed_one_left_in_the_cache(
    with_echo: Command, project: Path, finished: RunManifest
) -> None:
    """Also beside a step that it need not do again."""
    cache = project / ".lingolite" / "cache"
    state = cache / "state" / "train" / ("ab" * 32)
    state.mkdir(parents=True)
    left = []
    for place in (
        entry_of(project, finished.steps[0]).parent,
        cached_artifact(project, finished.steps[1]).parent,
        state,
    ):
        half = place / ".model.0123456789ab.partial"
        half.mkdir()
        half.with_suffix(".lease").touch()
        left += [half, half.with_suffix(".lease")]
    assert done(run(with_echo, project)[1]) == []
    assert not any(path.exists() for path in left)

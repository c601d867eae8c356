"""The backend beyond its contract: its options, the length penalty, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from command_line import Outcome
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import Artifact, read_manifest, write_manifest
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import convert_with
from lingolite_cli.testing.tiny import IDS

ctranslate2 = pytest.importorskip("ctranslate2", reason='CTranslate2 is not installed: pip install -e ".[ctranslate2]"')


@pytest.fixture(scope="module")
def exported(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle as a CTranslate2 model. Not to be written to."""
    exporter = load_registry().resolve("exporter", "ctranslate2")
    return convert_with(exporter, tiny, tmp_path_factory.mktemp("ctranslate2") / "exported")


def opened(artifact: Artifact, *, backend: str = "ctranslate2", threads: int = 1, **options: Any) -> Any:
    return load_registry().resolve("backend", backend).create(artifact, options=options, threads=threads)


def found_by(backend: Any, artifact: Artifact, options: DecodingOptions) -> list[list[Hypothesis]]:
    capabilities = frozenset({"translate"} if hasattr(backend, "translate") else ())
    found = search(
        backend, *pad(framed_sources(artifact), IDS.pad), ids=IDS, options=options, capabilities=capabilities
    )
    backend.close()
    return found


def tokens(found: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("beam_size", [2, 5])
def test_the_length_penalty_is_gnmts(exported: Artifact, tiny: Artifact, alpha: float, beam_size: int) -> None:
    options = DecodingOptions(beam_size=beam_size, length_penalty=alpha, max_length=30)
    found = found_by(opened(exported), exported, options)
    expected = found_by(opened(tiny, backend="cached"), tiny, options)
    assert tokens(found) == tokens(expected)
    for one, other in zip(found, expected, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=1e-4)
        assert one[0].log_probability == pytest.approx(other[0].log_probability, abs=1e-3)


@pytest.mark.parametrize(("min_length", "max_length"), [(0, 1), (0, 7), (6, 30), (13, 13)])
def test_greedy_search_obeys_lengths(exported: Artifact, tiny: Artifact, min_length: int, max_length: int) -> None:
    options = DecodingOptions(min_length=min_length, max_length=max_length)
    found = tokens(found_by(opened(exported), exported, options))
    assert found == tokens(found_by(opened(tiny, backend="cached"), tiny, options))
    if min_length:
        assert all(len(hypotheses[0]) >= min_length for hypotheses in found)


def test_a_minimum_length_with_beams_is_refused(exported: Artifact) -> None:
    with pytest.raises(LingoLiteError, match=r"no min_length \(3\) for beams"):
        found_by(opened(exported), exported, DecodingOptions(beam_size=2, min_length=3))


def test_parts_of_a_batch_at_a_time_change_nothing(exported: Artifact) -> None:
    options = DecodingOptions(beam_size=3, n_best=2, max_length=20)
    together = found_by(opened(exported), exported, options)
    assert tokens(found_by(opened(exported, threads=2, inter_threads=2), exported, options)) == tokens(together)


def test_parts_share_the_threads(exported: Artifact) -> None:
    with pytest.raises(LingoLiteError, match="inter_threads 3 is more than the 2 threads to share"):
        opened(exported, threads=2, inter_threads=3)


def test_a_float_model_can_be_quantized_while_loading(exported: Artifact) -> None:
    options = DecodingOptions(max_length=20)
    floats = found_by(opened(exported), exported, options)
    integers = found_by(opened(exported, compute_type="int8"), exported, options)
    scores = [[hypotheses[0].log_probability for hypotheses in found] for found in (floats, integers)]
    assert not np.allclose(*scores, rtol=0, atol=1e-4)


def test_a_compute_type_that_this_cpu_lacks_is_refused(exported: Artifact) -> None:
    missing = {"float16", "bfloat16", "int16"} - ctranslate2.get_supported_compute_types("cpu")
    if not missing:
        pytest.skip("CTranslate2 has every compute type on this CPU")
    with pytest.raises(LingoLiteError, match="has no compute type") as error:
        opened(exported, compute_type=min(missing))
    assert error.value.hint is not None
    assert "float32" in error.value.hint


def test_a_model_that_cannot_be_read_is_an_error(exported: Artifact, tmp_path: Path) -> None:
    broken = shutil.copytree(exported.path, tmp_path / "broken")
    (broken / "model.bin").write_bytes((broken / "model.bin").read_bytes()[:1000])
    with pytest.raises(LingoLiteError, match="cannot open") as error:
        opened(Artifact(broken, exported.manifest))
    assert error.value.exit_code == ExitCode.PLUGIN


def test_nan_is_an_error(tiny: Artifact, tmp_path: Path) -> None:
    bundle = shutil.copytree(tiny.path, tmp_path / "bundle")
    tensors = load_file(bundle / "model.safetensors")
    tensors["decoder.final_norm.weight"][3] = np.nan
    save_file(tensors, bundle / "model.safetensors")
    write_manifest(bundle, read_manifest(bundle))
    made = convert_with(load_registry().resolve("exporter", "ctranslate2"), Artifact.open(bundle), tmp_path / "made")
    with pytest.raises(LingoLiteError, match="NaN"):
        found_by(opened(made), made, DecodingOptions(max_length=5))


def test_verify_compares_whole_translations_and_says_that_there_are_no_logits(
    lingolite: Callable[..., Outcome], exported: Artifact
) -> None:
    flags = ("--reference-backend", "cached", "--candidate-backend", "ctranslate2", "--allow-implausible-reference")
    outcome = lingolite("verify", exported.path, *flags, "--budget", "exact_match_min=1.0", "--json")
    assert outcome.code == 0, [verdict.why for verdict in msgspec.json.decode(outcome.out, type=VerifyResult).verdicts]
    parity = msgspec.json.decode(outcome.out, type=VerifyResult).parity
    assert parity is not None
    assert (parity.exact_match, parity.top1_agreement, parity.max_logit_margin) == (1.0, None, None)
    assert parity.num_tokens > 100
    shown = lingolite("verify", exported.path, *flags, "--budget", "exact_match_min=1.0")
    assert "parity: not by logits, for this backend gives none, 100.0% of sentences" in shown.out


def test_a_budget_on_logits_is_refused_before_anything_runs(
    lingolite: Callable[..., Outcome], exported: Artifact
) -> None:
    backends = ("--reference-backend", "cached", "--candidate-backend", "ctranslate2")
    outcome = lingolite("verify", exported.path, *backends, "--budget", "parity_min=0.9")
    assert outcome.code == 2
    assert "backend `ctranslate2` searches by itself and gives no logits to compare" in outcome.err
    assert "hint: exact_match_min compares whole translations" in outcome.err


def test_eval_exports_into_the_cache(lingolite: Callable[..., Outcome]) -> None:
    outcome = lingolite("eval", "--backend", "ctranslate2", "--json", "--metrics", "chrf")
    assert outcome.code == 0, outcome.err
    assert "export: inputs.model → ctranslate2 by ctranslate2" in outcome.err
    assert outcome.json["num_samples"] == 21

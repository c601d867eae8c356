"""A finished run that nobody ran: what contracts give to reporters.

Owns its manifest and the translations beside it. One budget is met, one broken, one inconclusive, one not measured; and
sentences have what a careless reporter breaks on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, Ratio
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.environment import Environment
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.faults import FaultCounts
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.runs.measured_results import (
    BenchmarkResult,
    BenchmarkSystem,
    EvaluateResult,
    SentencePair,
    VerifyResult,
)
from lingolite_cli.runs.record import RunManifest, StepRecord, Stop
from lingolite_cli.runs.results import ReportResult, StepResult
from lingolite_cli.runs.step_result import ArtifactSummary, CorpusSummary
from lingolite_cli.runs.translations import TranslationRecord, write_translations
from lingolite_cli.testing.tiny import LANGUAGES, SENTENCES, TRANSLATIONS

_SOURCES = (*SENTENCES, 'Press <b>"OK"</b> | `quit` & don\'t wait: *100 %* of {name}')
_REFERENCES = (*TRANSLATIONS, 'Tryk på <b>"OK"</b> | `quit` og vent ikke: *100 %* af {name}')
_FLOAT = ArtifactSummary(path="model", format="bundle", digest="1a" * 32, size_bytes=28_934_112)
_INT8 = ArtifactSummary(
    path="artifacts/int8", format="bundle-int8", digest="2b" * 32, size_bytes=7_512_006, scheme="dynamic-int8"
)
_CORPUS = CorpusSummary(name="test", digest="3c" * 32, num_samples=len(_SOURCES), languages=LANGUAGES)


def sample_stop(directory: Path) -> RunManifest:
    """The sample run as it would be had an error stopped it at its second step."""
    whole = sample_run(directory)
    stop = Stop(
        where="at `int8`",
        step="int8",
        seconds=0.5,
        error="LingoLiteError",
        message="a weight of `<b>encoder</b>` is infinite | or not a number",
        hint="take an earlier checkpoint",
    )
    return msgspec.structs.replace(whole, status="failed", steps=whole.steps[:1], stop=stop)


def sample_run(directory: Path, *, has_verdicts: bool = True) -> RunManifest:
    """Write a run's `translations/` into `directory`, and return its manifest.

    Args:
        directory: that of the run, which exists.
        has_verdicts: without them the run has one evaluation and no budget.
    """
    (directory / "translations").mkdir()
    steps = [_evaluated(directory, "baseline", _FLOAT, bleu=44.6)]
    if has_verdicts:
        steps += [
            _step("int8", "quantize", QuantizeResult(method="dynamic-int8", source=_FLOAT, artifact=_INT8)),
            _evaluated(directory, "shipped", _INT8, bleu=44.1),
            _step("verify", "verify", _verification()),
            _step("speed", "benchmark", _benchmark()),
        ]
    steps.append(_step("report", "report", ReportResult(reporters=["html"])))
    return RunManifest(
        name="sample",
        id="20260102-030405-abcd",
        status="broken budget" if has_verdicts else "done",
        started="2026-01-02T03:04:05+00:00",
        seconds=61.5,
        seed=17,
        recipe_path="recipes/sample.toml",
        recipe={"name": "sample", "steps": [{"id": step.id, "uses": step.uses} for step in steps]},
        environment=Environment(
            lingolite="0.1.0",
            python="3.11.7",
            platform="Linux",
            cpu="a processor",
            cpu_features=["avx2", "fma"],
            cores=2,
            threads=1,
            packages={"numpy": "2.0.0"},
        ),
        steps=steps,
    )


def _step(id: str, uses: str, result: StepResult) -> StepRecord:
    return StepRecord(id=id, uses=uses, status="done", seconds=1.5, key=None, plugins=[], inputs={}, result=result)


def _evaluated(directory: Path, id: str, artifact: ArtifactSummary, *, bleu: float) -> StepRecord:
    """A step and its translations: those of the references, but for the last sentence of a quantized system."""
    last = _REFERENCES[-1] if artifact is _FLOAT else ""
    records = [
        TranslationRecord(
            index=index,
            source=source,
            references=[_REFERENCES[index]],
            hypothesis=hypothesis,
            tokens=[8 + index, 2],
            score=-0.5 - index,
            is_truncated=False,
            is_finished=True,
        )
        for index, (source, hypothesis) in enumerate(zip(_SOURCES, (*_REFERENCES[:-1], last), strict=True))
    ]
    write_translations(directory / "translations" / f"{id}.jsonl", records)
    result = EvaluateResult(
        backend="cached",
        artifact=artifact,
        corpus=_CORPUS,
        decoding=DecodingOptions(),
        metrics={"bleu": Score(value=bleu, signature="nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0")},
        num_samples=len(records),
        num_truncated=0,
        num_unfinished=0,
        num_tokens=2 * len(records),
        translations=f"translations/{id}.jsonl",
        warnings=["this CPU has no VNNI"],
    )
    return _step(id, "evaluate", result)


def _verification() -> VerifyResult:
    return VerifyResult(
        reference="baseline",
        candidate="shipped",
        reference_artifact=_FLOAT,
        candidate_artifact=_INT8,
        differences=[
            MetricDifference(
                metric="bleu", reference=44.6, candidate=44.1, delta=-0.5, low=-1.1, high=0.1, num_sentences=8
            )
        ],
        parity=None,
        size_mb=_INT8.size_bytes / 1e6,
        size_ratio=_INT8.size_bytes / _FLOAT.size_bytes,
        verdicts=[
            _verdict("bleu_drop_max", 0.5, 0.5, "inconclusive", low=-0.1, high=1.1),
            _verdict("new_empty_max", 0.0, 1.0, "fail"),
            _verdict("parity_min", 0.95, None, "not measured"),
        ],
        worst=[
            SentencePair(
                index=len(_SOURCES) - 1,
                source=_SOURCES[-1],
                reference=_REFERENCES[-1],
                reference_hypothesis=_REFERENCES[-1],
                candidate_hypothesis="",
                delta=-100.0,
            )
        ],
        cpu_features=["avx2", "fma"],
        faults=[FaultCounts(kind="empty", reference=0, candidate=1, new=[len(_SOURCES) - 1])],
    )


def _verdict(budget: str, limit: float, seen: float | None, status: Any, **fields: Any) -> Verdict:
    return Verdict(budget=budget, limit=limit, seen=seen, status=status, why=f"{budget}: {status}", **fields)


def _benchmark() -> BenchmarkResult:
    systems = [
        BenchmarkSystem(
            name=name,
            backend="cached",
            artifact=artifact,
            load_seconds=0.5,
            cold_start_seconds=0.75,
            first_token_ms=3.5,
            peak_memory_mb=None,
            rows=[
                BenchmarkRow(
                    batch_size=1,
                    num_sentences=8,
                    num_tokens=16,
                    tokens_per_second=speed,
                    spread=0.1,
                    latency_p50_ms=9.0,
                    latency_p95_ms=19.0,
                    latency_p99_ms=21.0,
                    ratio=Ratio(median=speed / 300, low=speed / 310, high=speed / 290, is_noisy=False),
                )
            ],
        )
        for name, artifact, speed in (("float", _FLOAT, 300.0), ("int8", _INT8, 900.0))
    ]
    kept = _verdict("latency_p95_ms_max", 40.0, 19.0, "pass", low=18.0, high=20.0, rounds=6)
    return BenchmarkResult(threads=1, rounds=6, systems=systems, verdicts=[kept])

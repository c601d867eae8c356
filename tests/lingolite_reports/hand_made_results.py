"""Results of steps as the mobile recipe has them, made by hand: every part that a report shows is in one."""

from __future__ import annotations

from typing import Any

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket, Ratio
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.parity import (
    ConsistencyProbe,
    Divergence,
    LikelyCause,
    LogitParity,
    Parity,
    ParityBucket,
    ParitySentence,
)
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.runs.measured_results import (
    BenchmarkResult,
    BenchmarkSystem,
    EvaluateResult,
    SentencePair,
    VerifyResult,
)
from lingolite_cli.runs.record import PluginUse, StepRecord
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.step_result import ArtifactSummary, CorpusSummary

MODEL = ArtifactSummary(path="recipes/starter-en-da/model", format="bundle", digest="1a" * 32, size_bytes=28_934_112)
INT8 = ArtifactSummary(
    path="artifacts/int8", format="bundle-int8", digest="2b" * 32, size_bytes=7_512_006, scheme="dynamic-int8"
)
SHIPPED = ArtifactSummary(
    path="artifacts/onnx", format="onnx", digest="3c" * 32, size_bytes=7_801_550, scheme="dynamic-int8"
)
CORPUS = CorpusSummary(name="inputs.test", digest="4d" * 32, num_samples=1000, languages=("en", "da"))
SATURATION = "this CPU has no VNNI: MatMulInteger saturates here, and its figures are not those of a phone"


def step(id: str, uses: str, seconds: float, result: StepResult, *plugins: str) -> StepRecord:
    return StepRecord(
        id=id,
        uses=uses,
        status="cached" if uses == "quantize" else "done",
        seconds=seconds,
        key=None if uses == "benchmark" else "5e" * 32,
        plugins=[PluginUse(kind="backend", name=name, distribution="lingolite", version="0.1.0") for name in plugins],
        inputs={} if uses == "report" else {"model": "1a" * 32},
        result=result,
    )


def evaluation(backend: str, artifact: ArtifactSummary, bleu: float, chrf: float, **fields: Any) -> EvaluateResult:
    return EvaluateResult(
        backend=backend,
        artifact=artifact,
        corpus=CORPUS,
        decoding=DecodingOptions(),
        metrics={
            "bleu": Score(
                value=bleu,
                signature="nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
                details={"bleu_1": 61.25, "bleu_2": 40.5, "bp": 0.987654, "sys_len": 13001, "ref_len": 13163},
            ),
            "chrf": Score(value=chrf, signature="nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"),
        },
        num_samples=1000,
        num_truncated=0,
        num_unfinished=2,
        num_tokens=24_310,
        translations=f"translations/{backend}.jsonl",
        **fields,
    )


def bucket(first: int, last: int, num_tokens: int, mean: float) -> ParityBucket:
    return ParityBucket(
        first=first,
        last=last,
        num_tokens=num_tokens,
        max_difference=9 * mean,
        mean_difference=mean,
        kl_mean=mean / 50,
        top1_agreement=1 - mean / 10,
    )


def parity() -> Parity:
    return Parity(
        top1_agreement=0.9871,
        exact_match=0.893,
        num_tokens=24_310,
        max_logit_margin=0.4137,
        divergences=[Divergence(position=0, num_sentences=7), Divergence(position=3, num_sentences=100)],
        logits=LogitParity(
            num_sentences=256,
            num_tokens=5_767,
            max_logit=15.24,
            max_difference=0.8125,
            mean_difference=0.0412,
            kl_mean=0.000825,
            kl_p95=0.00267,
            kl_max=0.0249,
            top1_agreement=0.9934,
            by_position=[
                bucket(0, 0, 256, 0.04),
                bucket(1, 1, 256, 0.05),
                bucket(2, 2, 250, 0.1),
                bucket(3, 3, 50, 0.7),
            ],
            by_source_length=[bucket(1, 8, 300, 0.0), bucket(9, 16, 512, 0.09)],
            worst=[
                ParitySentence(
                    index=579,
                    num_source_tokens=19,
                    num_tokens=16,
                    max_difference=0.333,
                    kl_mean=0.00229,
                    worst_position=9,
                    first_divergence=None,
                )
            ],
        ),
        probes=[ConsistencyProbe(name="padding", num_rows=64, max_difference=0.0, kl_mean=0.0, kl_max=0.0)],
        causes=[
            LikelyCause(name="positions", summary="positions are off after the first", evidence="0.04 at 0, 0.7 at 3")
        ],
        not_measured=["single tokens: the tokenizer has no vocabulary to read"],
    )


VERDICTS = [
    Verdict(
        budget="bleu_drop_max",
        limit=0.5,
        seen=0.24,
        status="inconclusive",
        low=-0.09,
        high=0.61,
        why="bleu fell by 0.24 (loss -0.09 to 0.61 at 95% confidence), partly above the limit of 0.5; "
        "about 2,000 sentences would settle it if the loss stays as it is",
    ),
    Verdict(
        budget="size_mb_max",
        limit=12.0,
        seen=7.80155,
        status="pass",
        why="7.802 MB is within the limit of 12 MB",
    ),
    Verdict(budget="parity_min", limit=0.95, seen=0.9871, status="pass", why="0.9871 is within the limit of 0.95"),
]
"""One inconclusive, two within their limits."""

WORST = [
    SentencePair(
        index=411,
        source="Press <script>alert('x')</script> & wait | then `quit`.",
        reference="Tryk på <script>alert('x')</script> og vent | derefter »quit«.",
        reference_hypothesis="Tryk på <script>alert('x')</script> og vent | derefter `quit`.",
        candidate_hypothesis="Tryk på <script> og vent på dem | så `quit`.",
        delta=-21.4,
    ),
    SentencePair(
        index=17,
        source="Ask @maria whether #42 is *fixed* in the __main__ branch.",
        reference="Spørg @maria, om #42 er *rettet* i grenen __main__.",
        reference_hypothesis="Spørg @maria om #42 er *rettet* i grenen __main__.",
        candidate_hypothesis="Spørg @maria om #42 er fast i grenen __main__ og i grenen __main__.",
        delta=-12.25,
    ),
]
"""Their texts mean to be markup, of HTML and of Markdown."""


def verification() -> VerifyResult:
    return VerifyResult(
        reference="baseline",
        candidate="shipped",
        reference_artifact=MODEL,
        candidate_artifact=SHIPPED,
        differences=[
            MetricDifference(
                metric="bleu",
                reference=31.42,
                candidate=31.18,
                delta=-0.24,
                low=-0.61,
                high=0.09,
                p_value=0.1708,
                num_sentences=1000,
            ),
            MetricDifference(
                metric="chrf",
                reference=56.07,
                candidate=55.93,
                delta=-0.14,
                low=-0.33,
                high=0.05,
                num_sentences=1000,
            ),
        ],
        parity=parity(),
        size_mb=7.80155,
        size_ratio=SHIPPED.size_bytes / MODEL.size_bytes,
        verdicts=VERDICTS,
        worst=WORST,
        cpu_features=["avx2", "fma"],
        warnings=[SATURATION],
    )


def system(name: str, artifact: ArtifactSummary, *, speed: float, load_seconds: float) -> BenchmarkSystem:
    return BenchmarkSystem(
        name=name,
        backend=name,
        artifact=artifact,
        load_seconds=load_seconds,
        cold_start_seconds=1.4 * load_seconds,
        first_token_ms=9_000 / speed,
        peak_memory_mb=112.0 * load_seconds + 90.0 if name != "eager" else None,
        rows=[
            BenchmarkRow(
                batch_size=1,
                num_sentences=64,
                num_tokens=1540,
                tokens_per_second=speed,
                spread=0.034,
                latency_p50_ms=21_000 / speed,
                latency_p95_ms=48_000 / speed,
                latency_p99_ms=61_000 / speed,
                latency_quantiles_ms=[9_000 / speed, 21_000 / speed, 64_000 / speed],
                ratio=Ratio(median=speed / 212.5, low=speed / 220, high=speed / 205, is_noisy=name == "onnx"),
            ),
            BenchmarkRow(batch_size=32, num_sentences=64, num_tokens=1540, tokens_per_second=speed * 4.2, spread=0.021),
        ],
    )


def benchmark() -> BenchmarkResult:
    ratios = {16: (1.5, 1.42, 1.61), 64: (2.4, 2.2, 2.5), 128: (3.05, 2.9, 3.2), 200: (4.3, 4.1, 4.5)}
    return BenchmarkResult(
        threads=1,
        rounds=3,
        systems=[
            system("eager", MODEL, speed=212.5, load_seconds=2.1),
            system("cached", MODEL, speed=508.0, load_seconds=2.12),
            system("onnx", SHIPPED, speed=1904.0, load_seconds=0.41),
        ],
        buckets=[
            LengthBucket(
                num_tokens=length,
                system=name,
                milliseconds=5.5 * length / (ratio if name == "cached" else 1.0),
                ratio=ratio if name == "cached" else 1.0,
                low=low if name == "cached" else 1.0,
                high=high if name == "cached" else 1.0,
            )
            for length, (ratio, low, high) in ratios.items()
            for name in ("eager", "cached")
        ],
        verdicts=[
            Verdict(
                budget="latency_p95_ms_max",
                limit=20.0,
                seen=25.2101,
                status="fail",
                why="25.21 ms is outside the limit of 20 ms",
            )
        ],
    )

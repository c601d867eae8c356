"""Which cause a pattern of figures is given, and that none is named where all is well."""

from __future__ import annotations

import msgspec
import pytest

from lingolite_cli.artifact import Quantization
from lingolite_cli.evaluation.causes import (
    FLOAT_NOISE,
    HALF_NOISE,
    INT4_NOISE,
    INT8_NOISE,
    ROUNDING_NOISE,
    expected_noise,
    name_causes,
)
from lingolite_cli.evaluation.parity import (
    ConsistencyProbe,
    LengthLimits,
    LogitParity,
    Parity,
    ParityBucket,
    TokenDifference,
    VocabularyProbe,
)

NOISE = INT8_NOISE
QUIET = 0.001


def bucket(first: int, kl: float, *, width: int = 1, num_tokens: int = 40) -> ParityBucket:
    return ParityBucket(
        first=first,
        last=first + width - 1,
        num_tokens=num_tokens,
        max_difference=kl,
        mean_difference=kl,
        kl_mean=kl,
        top1_agreement=1.0,
    )


def logits(positions: list[float], lengths: list[float] | None = None) -> LogitParity:
    return LogitParity(
        num_sentences=40,
        num_tokens=40 * len(positions),
        max_logit=20.0,
        max_difference=0.5,
        mean_difference=0.04,
        kl_mean=sum(positions) / len(positions),
        kl_p95=max(positions),
        kl_max=max(positions),
        top1_agreement=0.99,
        by_position=[bucket(position, kl) for position, kl in enumerate(positions)],
        by_source_length=[
            bucket(1 + 8 * place, kl, width=8) for place, kl in enumerate(lengths or [QUIET, max(positions)])
        ],
        worst=[],
    )


def probe(name: str, kl: float = 0.0) -> ConsistencyProbe:
    return ConsistencyProbe(name=name, num_rows=40, max_difference=8 * kl, kl_mean=kl, kl_max=2 * kl)


VOCABULARY = VocabularyProbe(
    num_tokens=8000,
    kl_median=QUIET,
    kl_max=0.007,
    num_read=0,
    num_written=0,
    read=[],
    written=[],
    read_shift=0,
    written_shift=0,
    scale=1.0,
    scaled_kl_median=QUIET,
)
WELL = Parity(
    exact_match=0.9,
    num_tokens=1200,
    top1_agreement=0.99,
    max_logit_margin=0.1,
    logits=logits([QUIET] * 40),
    lengths=LengthLimits(positions=512, num_sources_cut=0, num_targets_beyond=0, longest=80, num_longest_unfinished=0),
    probes=[probe("padding"), probe("reorder"), probe("rows"), probe("repetition")],
    vocabulary=VOCABULARY,
)
CUT = msgspec.structs.replace(WELL.lengths, positions=32, num_sources_cut=3, num_targets_beyond=5)
SHORT = msgspec.structs.replace(WELL.lengths, longest=30, num_longest_unfinished=4)


def probed(**kls: float) -> dict:
    return {"probes": [probe(one.name, kls.get(one.name, 0.0)) for one in WELL.probes]}


def vocabulary(**changes) -> dict:
    return {"vocabulary": msgspec.structs.replace(VOCABULARY, **changes)}


def entry(identifier: int, *, kl: float) -> TokenDifference:
    return TokenDifference(id=identifier, piece=f"▁{identifier}", ratio=40.0, kl=kl)


PATTERNS = {
    "well": ({}, [], ""),
    "one token far off": ({"logits": logits([QUIET] * 20 + [0.02] + [QUIET] * 19)}, [], ""),
    "positions cut": ({"lengths": CUT}, ["truncation"], "3 sources cut to 32 tokens; 5 of the reference's"),
    "search cut": ({"lengths": SHORT}, ["truncation"], "4 of the longest translations, of 30 tokens, without an end"),
    "padding": (probed(padding=0.2), ["source-mask"], "KL 0.2 on average, a logit off by up to 1.6"),
    "reorder and rows": (probed(reorder=0.8, rows=3.0), ["stale-cache"], "KL 0.8 on average"),
    "rows": (probed(rows=3.0), ["row-order"], "KL 3 on average"),
    "padding and reorder": (probed(padding=0.2, reorder=0.8), ["source-mask", "stale-cache"], "KL 0.2"),
    "shifted": (
        {**vocabulary(read_shift=1, written_shift=-1, kl_median=3.0), "logits": logits([8.0] * 40)},
        ["token-table"],
        "ids are read as those of +1; ids are written as those of -1",
    ),
    "a row, read and written": (
        {
            **vocabulary(num_read=1, num_written=1, read=[entry(70, kl=4.0)], written=[entry(70, kl=4.0)]),
            "logits": logits([0.2] * 40),
        },
        ["embedding-row"],
        "far off when read: token 70 `▁70` (KL 4); when written: token 70 `▁70` (its logit 40 times as far",
    ),
    "a row within the noise": (vocabulary(num_read=1, read=[entry(70, kl=0.01)]), [], ""),
    "a row, written": (vocabulary(num_written=1, written=[entry(9, kl=0.0)]), ["embedding-row"], "when written"),
    "many rows of the embedding": (
        vocabulary(num_read=30, read=[entry(number, kl=4.0) for number in range(10)]),
        ["embedding-row"],
        "token 0 `▁0` (KL 4), token 1 `▁1` (KL 4), token 2 `▁2` (KL 4) and 27 more",
    ),
    "single tokens": (
        {**vocabulary(kl_median=0.5, scaled_kl_median=0.5), "logits": logits([0.5] * 40)},
        ["weights"],
        "KL 0.5 at the median of 8,000",
    ),
    "a factor": (
        {**vocabulary(kl_median=0.5, scale=2.0), "logits": logits([0.5] * 40)},
        ["output-scale"],
        "0.001 when that factor is taken out",
    ),
    "from the first token on": (
        {"logits": logits([0.4] * 40, [0.3, 0.4, 0.4])},
        ["source-positions"],
        "sentences have KL 0.4 at the first target token",
    ),
    "long sources": (
        {"logits": logits([0.1] * 40, [QUIET, QUIET, QUIET, 2.0, 2.0])},
        ["source-buffer"],
        "KL 0.001 for sources of up to 24 tokens, 2 for longer ones",
    ),
    "from the second token on": (
        {"logits": logits([QUIET] + [0.1] * 39)},
        ["target-positions"],
        "KL 0.001 up to target position 0, 0.1 from 1 on; one token again and again agrees with itself (KL 0)",
    ),
    "growing": (
        {"logits": logits([0.002 * 1.8**position for position in range(12)])},
        ["target-positions"],
        "KL 0.00895 up to target position 4, 0.406 from 5 on",
    ),
    "from the second token on, repeated ones as well": (
        {"logits": logits([QUIET] + [0.1] * 39), **probed(repetition=0.4)},
        ["cache"],
        "which must not change: KL 0.4",
    ),
    "beyond 32": (
        {"logits": logits([QUIET] * 32 + [3.0] * 8)},
        ["target-buffer"],
        "KL 0.001 up to target position 31, 3 from 32 on",
    ),
    "no logits": ({"logits": None, "vocabulary": None, "probes": [], "lengths": None}, [], ""),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_has_the_cause(pattern: str) -> None:
    changes, names, evidence = PATTERNS[pattern]
    causes = name_causes(msgspec.structs.replace(WELL, **changes), noise=NOISE)
    assert [cause.name for cause in causes] == names
    if causes:
        assert evidence in causes[0].evidence


def test_what_is_noise_for_integers_is_a_fault_for_floats() -> None:
    parity = msgspec.structs.replace(WELL, **probed(padding=0.001))
    assert name_causes(parity, noise=INT8_NOISE) == []
    assert "source-mask" in [cause.name for cause in name_causes(parity, noise=FLOAT_NOISE)]


@pytest.mark.parametrize(
    ("scheme", "noise"),
    [
        (None, FLOAT_NOISE),
        ("fp16", HALF_NOISE),
        ("bf16", HALF_NOISE),
        ("dynamic-int8", INT8_NOISE),
        ("gptq-int4", INT4_NOISE),
        ("somebody's own", INT4_NOISE),
    ],
)
def test_a_precision_excuses_noise_of_its_own(scheme: str | None, noise: float) -> None:
    quantization = Quantization(scheme) if scheme else None
    assert expected_noise(quantization) == expected_noise(quantization, Quantization("another")) == noise
    assert expected_noise(quantization, quantization) == (ROUNDING_NOISE if quantization else FLOAT_NOISE)

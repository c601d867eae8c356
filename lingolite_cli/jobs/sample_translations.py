"""A first look at whether an imported bundle translates.

Owns the sample translations and what they make doubtful. A wrong number of attention heads fits all shapes, and the
model then writes nonsense without an error anywhere; nothing but its translations can show it.
"""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.sample_sentences import sample_sentences
from lingolite_cli.jobs.context import JobContext

_UNSURE = 1.2
"""Nats a token. Of the starter's own greedy translations the mean is 0.5; with a wrong number of heads it is 1.6."""
_SURER = 0.5
"""Nats a token by which another number of heads must be better to be named."""
_MOST_TOKENS = 64
_TELLING = frozenset({"loops", "unfinished", "empty", "copies"})
_BACKEND = "cached"


class SampleTranslation(msgspec.Struct, frozen=True, kw_only=True):
    """What the model makes of a sentence.

    Attributes:
        languages: source and target language.
        source: the sentence.
        translation: by greedy search.
        nats: mean negative log-probability of its tokens.
        faults: kinds of `lingolite_cli.evaluation.faults` that it has.
    """

    languages: tuple[str, str]
    source: str
    translation: str
    nats: float
    faults: tuple[str, ...]


def translate_samples(context: JobContext, artifact: Artifact) -> tuple[SampleTranslation, ...]:
    """Sample sentences of the first language into the second, or the other way where the first has none."""
    known = artifact.manifest.languages
    pairs = [pair for pair in pairwise(known) for pair in (pair, pair[::-1])]
    pair = next((pair for pair in pairs if sample_sentences(pair[0])), None)
    if pair is None:
        return ()
    from lingolite_cli.decoding.options import DecodingOptions
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.evaluation.faults import TranslatedSentence, find_faults
    from lingolite_cli.tokenization.opening import open_tokenizer

    model = artifact.manifest.model
    # Without a length penalty the score of a hypothesis is its log-probability.
    options = DecodingOptions(max_length=min(_MOST_TOKENS, model.max_seq_len), length_penalty=0.0)
    sources = sample_sentences(pair[0])
    loaded = context.registry.resolve("backend", _BACKEND)
    with closing(loaded.open(artifact, threads=context.project.threads)) as backend:
        found = list(Translator(backend, open_tokenizer(artifact), model, pair, options=options).translate(sources))
    faults = find_faults(
        [TranslatedSentence(source, [], one.text, one.is_finished) for source, one in zip(sources, found, strict=True)]
    )
    return tuple(
        SampleTranslation(
            languages=pair,
            source=source,
            translation=one.text,
            nats=-one.score / max(len(one.tokens), 1),
            faults=kinds,
        )
        for source, one, kinds in zip(sources, found, faults, strict=True)
    )


def doubts_of(context: JobContext, artifact: Artifact, samples: tuple[SampleTranslation, ...]) -> list[str]:
    """Why the samples are implausible, and a number of heads with which they would not be."""
    if not samples:
        return []
    broken = [sample for sample in samples if _TELLING & set(sample.faults)]
    nats = _mean_nats(samples)
    if 2 * len(broken) < len(samples) and nats < _UNSURE:
        return []
    reasons = list(dict.fromkeys(kind for sample in broken for kind in sample.faults))
    if nats >= _UNSURE:
        reasons.append(f"the model is unsure of each token, with {nats:.1f} nats where trained models have less than 1")
    doubts = [
        f"the sample translations are implausible ({'; '.join(reasons)}): check that the tokenizer and the number of "
        "heads are those of the training"
    ]
    config = artifact.manifest.model
    for n_heads in _other_heads(config):
        n_kv_heads = config.n_kv_heads * n_heads // config.n_heads
        other = msgspec.structs.replace(config, n_heads=n_heads, n_kv_heads=n_kv_heads)
        tried = Artifact(artifact.path, msgspec.structs.replace(artifact.manifest, model=other))
        if _mean_nats(translate_samples(context, tried)) < nats - _SURER:
            doubts.append(f"with {n_heads} heads the same weights are much surer: pass --n-heads {n_heads}")
    return doubts


def _mean_nats(samples: tuple[SampleTranslation, ...]) -> float:
    return sum(sample.nats for sample in samples) / len(samples)


def _other_heads(config: Architecture) -> list[int]:
    """Numbers of heads, of common widths, that fit the same shapes."""
    kv_dim = config.n_kv_heads * config.head_dim
    widths = [width for width in (16, 32, 64, 80, 96, 128) if not config.d_model % width and not kv_dim % width]
    found = [config.d_model // width for width in widths]
    return [heads for heads in found if heads != config.n_heads and not heads % (heads * kv_dim // config.d_model)]

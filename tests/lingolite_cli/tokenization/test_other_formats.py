"""Artifacts whose tokenizer has other special ids and another frame than LingoLite's, translated by the host.

The reference is written here anew: sources are framed with SentencePiece alone, and each token is found by reading the
whole prefix again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import sentencepiece
import torch
from command_line import Outcome

from lingolite_cli.artifact import Artifact, Provenance, derive_artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translation, Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.cross_entropy import token_cross_entropy
from lingolite_cli.evaluation.parity_measurement import ParitySettings, ParityText, measure_parity
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.model import load_model
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import LANGUAGES, SENTENCES, tiny_bundle
from lingolite_cli.testing.tiny import TRANSLATIONS
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, Frame, SpecialIds, TokenizerDescription
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.training.reading import examples_of
from lingolite_cli.training.validation import mean_cross_entropy
from lingolite_cli.workers.pool import open_backend

Command = Callable[..., Outcome]

LENGTH = 20
LAST = 361
"""The last id of the tiny tokenizer where it has no `<s>`."""
BARRED = (LAST, *range(100, 180))


class Format(NamedTuple):
    """A description, and the pieces around a source and before a target that it means for English to Danish."""

    description: TokenizerDescription
    before: list[str]
    after: list[str]
    prefix: list[str]


FORMATS = {
    "only the target's language": Format(
        TokenizerDescription(
            ids=SpecialIds(pad=LAST + 1, start=7, end=0, unknown=1),
            frame=Frame(source_prefix=(TARGET_TAG,), source_suffix=("</s>",)),
        ),
        ["<da>"],
        ["</s>"],
        [],
    ),
    "no language, starts with padding": Format(
        TokenizerDescription(
            ids=SpecialIds(pad=LAST, start=LAST, end=0, unknown=1),
            frame=Frame(source_prefix=(), source_suffix=("</s>",)),
            never_generated=BARRED,
        ),
        [],
        ["</s>"],
        [],
    ),
    "starts with the end, then the target's language": Format(
        TokenizerDescription(
            ids=SpecialIds(pad=1, start=2, end=2, unknown=3),
            frame=Frame(source_prefix=(SOURCE_TAG,), source_suffix=("</s>",), target_prefix=(TARGET_TAG,)),
        ),
        ["<en>"],
        ["</s>"],
        ["<da>"],
    ),
}


class Plain:
    """The model of a bundle without any of the host's machinery."""

    def __init__(self, bundle: Artifact, format: Format) -> None:
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(bundle.tokenizer_path))
        self.end = format.description.ids.end
        self.first = [format.description.ids.start, *self.processor.PieceToId(format.prefix)]
        self.barred = list(format.description.never_generated)
        self.model = load_model(bundle)
        self.sources = [
            self.processor.PieceToId([*format.before, *self.processor.EncodeAsPieces(text), *format.after])
            for text in SENTENCES
        ]
        self.best = [self.greedy(source) for source in self.sources]

    @cached_property
    def best_of_beams(self) -> list[list[int]]:
        """Of each sentence."""
        return [self.beams(source, 2) for source in self.sources]

    def log_probabilities(self, source: list[int], target: list[int]) -> torch.Tensor:
        """[V] float64 of the token after `target`; -inf for one that must not be generated."""
        with torch.inference_mode():
            mask = torch.ones(1, len(source), dtype=torch.bool)
            logits = self.model(torch.tensor([source]), torch.tensor([[*self.first, *target]]), mask)[0, -1]
        found = logits.double().log_softmax(dim=0)
        found[self.barred] = -torch.inf
        return found

    def greedy(self, source: list[int]) -> list[int]:
        """The best token again and again."""
        target: list[int] = []
        while len(target) < LENGTH and self.end not in target:
            target.append(int(self.log_probabilities(source, target).argmax()))
        return target

    def beams(self, source: list[int], width: int) -> list[int]:
        """Beam search as in fairseq, with GNMT's length penalty."""
        beams: list[tuple[float, list[int]]] = [(0.0, [])]
        pool: list[tuple[float, list[int]]] = []
        for length in range(1, LENGTH + 1):
            candidates = [
                (score + float(gain), [*target, token])
                for score, target in beams
                for token, gain in enumerate(self.log_probabilities(source, target))
            ]
            candidates = sorted(candidates, key=lambda candidate: -candidate[0])[: 2 * width]
            pool += [candidate for candidate in candidates[:width] if candidate[1][-1] == self.end]
            beams = [candidate for candidate in candidates if candidate[1][-1] != self.end][:width]
            if len(pool) >= width:
                break
            if length == LENGTH:
                pool += beams
        return max(pool, key=lambda found: found[0] / ((5 + len(found[1])) / 6))[1]


@pytest.fixture(scope="module", params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    """Each format."""
    return FORMATS[request.param]


@pytest.fixture(scope="module")
def bundle(format: Format, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny bundle in that format."""
    return tiny_bundle(tmp_path_factory.mktemp("other") / "bundle", description=format.description)


@pytest.fixture(scope="module")
def plain(bundle: Artifact, format: Format) -> Plain:
    """Its model."""
    return Plain(bundle, format)


def exported(bundle: Artifact, path: Path, exporter: str, **options: str) -> Artifact:
    loaded = load_registry().resolve("exporter", exporter)
    with atomic_directory(path) as directory:
        product = loaded.create(options=options).export(bundle, directory)
        return derive_artifact(bundle, path, product, Provenance(operation=exporter), directory=directory)


def translated(artifact: Artifact, backend: str, *, beam_size: int = 1, workers: int = 1) -> list[Translation]:
    loaded = load_registry().resolve("backend", backend)
    options = DecodingOptions(beam_size=beam_size, max_length=LENGTH)
    served = open_backend(loaded, artifact, options={}, threads=1, workers=workers)
    with closing(served.backend):
        translator = Translator(
            served.backend,
            open_tokenizer(artifact),
            artifact.manifest.model,
            LANGUAGES,
            options=options,
            batch_size=3,
            capabilities=served.capabilities,
        )
        return list(translator.translate(SENTENCES))


def tokens_of(found: list[Translation]) -> list[list[int]]:
    return [list(each.tokens) for each in found]


def test_the_manifest_says_the_format(bundle: Artifact, format: Format) -> None:
    reopened = Artifact.open(bundle.path)
    assert reopened.manifest.tokenizer == reopened.manifest.tokenizer_description == format.description
    assert open_tokenizer(reopened).description == format.description


def test_sources_are_framed_as_described_and_targets_become_text(bundle: Artifact, plain: Plain) -> None:
    tokenizer = open_tokenizer(bundle)
    framed = [tokenizer.encode_source(text, LANGUAGES, max_length=48).ids for text in SENTENCES]
    assert framed == plain.sources
    assert tokenizer.languages == LANGUAGES
    body = tokenizer.encode(SENTENCES[0])
    assert tokenizer.decode([*plain.first, *body, plain.end]) == SENTENCES[0]
    typed = "a </s> of <pad> <da>"
    assert not tokenizer.source_control_ids & set(tokenizer.encode(typed))
    assert tokenizer.decode(tokenizer.encode(typed)) == typed
    with pytest.raises(LingoLiteError, match="does not know the language `sv`"):
        tokenizer.check_languages(("en", "sv"))


def test_barred_tokens_would_have_been_chosen(plain: Plain) -> None:
    """Otherwise the tests of translations would not see whether a search leaves them out."""
    if plain.barred:
        barred, plain.barred = plain.barred, []
        assert any(set(plain.greedy(source)) & set(barred) for source in plain.sources)
        plain.barred = barred


@pytest.mark.parametrize("backend", ["eager", "cached"])
def test_torch_translates_to_the_tokens_of_a_plain_loop(bundle: Artifact, plain: Plain, backend: str) -> None:
    assert tokens_of(translated(bundle, backend)) == plain.best
    assert any(target[-1] == plain.end for target in plain.best)
    found = translated(bundle, backend, beam_size=2)
    assert tokens_of(found) == plain.best_of_beams
    assert tokens_of(found) != plain.best
    assert [each.is_finished for each in found] == [each.tokens[-1] == plain.end for each in found]


def test_workers_translate_to_the_same(tmp_path: Path) -> None:
    format = FORMATS["starts with the end, then the target's language"]
    made = tiny_bundle(tmp_path / "bundle", description=format.description)
    assert tokens_of(translated(made, "cached", workers=2)) == Plain(made, format).best


def test_onnx_translates_to_the_tokens_of_a_plain_loop(bundle: Artifact, plain: Plain, tmp_path: Path) -> None:
    made = exported(bundle, tmp_path / "onnx", "onnx")
    assert made.manifest.tokenizer == bundle.manifest.tokenizer
    assert tokens_of(translated(made, "onnx")) == plain.best
    found = translated(made, "onnx", beam_size=2)
    assert tokens_of(found) == plain.best_of_beams


def test_ctranslate2_translates_to_the_same_or_says_what_it_cannot(
    bundle: Artifact, plain: Plain, format: Format, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2")
    made = exported(bundle, tmp_path / "ctranslate2", "ctranslate2")
    assert tokens_of(translated(made, "ctranslate2")) == plain.best
    if plain.barred or format.prefix:
        with pytest.raises(LingoLiteError, match=r"cannot (keep tokens from|search with beams after a forced prefix)"):
            translated(made, "ctranslate2", beam_size=2)
    else:
        found = translated(made, "ctranslate2", beam_size=2)
        assert tokens_of(found) == plain.best_of_beams


@pytest.mark.parametrize("capabilities", [frozenset(), frozenset({"score"})])
def test_cross_entropy_is_that_of_the_plain_model(bundle: Artifact, plain: Plain, capabilities: frozenset[str]) -> None:
    tokenizer, model = open_tokenizer(bundle), bundle.manifest.model
    plain.barred, barred = [], plain.barred
    targets = [[*plain.processor.EncodeAsIds(text), plain.end] for text in TRANSLATIONS]
    losses = [
        -float(plain.log_probabilities(source, target[:index])[target[index]])
        for source, target in zip(plain.sources, targets, strict=True)
        for index in range(len(target))
    ]
    plain.barred = barred
    backend = load_registry().resolve("backend", "cached").create(bundle, threads=1)
    with closing(backend):
        found = token_cross_entropy(
            backend,
            tokenizer,
            model,
            LANGUAGES,
            sources=SENTENCES,
            references=TRANSLATIONS,
            capabilities=capabilities,
            batch_size=3,
        )
    assert found == pytest.approx(np.mean(losses), rel=1e-5)
    if not plain.first[1:]:  # in training the prefix is learned like other tokens
        examples = examples_of(SENTENCES, TRANSLATIONS, tokenizer, languages=LANGUAGES, positions=48)
        assert mean_cross_entropy(load_model(bundle), examples) == pytest.approx(np.mean(losses), rel=1e-5)


def test_training_reads_from_the_start_token_and_learns_to_end(bundle: Artifact, plain: Plain) -> None:
    examples = examples_of(SENTENCES, TRANSLATIONS, open_tokenizer(bundle), languages=LANGUAGES, positions=48)
    order = np.argsort([len(target) for target in TRANSLATIONS])[::3]
    batch = examples.batch(order)
    for row, index in enumerate(order):
        target = [*plain.first[1:], *plain.processor.EncodeAsIds(TRANSLATIONS[index]), plain.end]
        padding = [examples.ids.pad] * (batch.labels.shape[1] - len(target))
        assert batch.labels[row].tolist() == [*target, *padding]
        assert batch.decoder_ids[row].tolist() == [plain.first[0], *target[:-1], *padding]
        assert batch.source_ids[row, : len(plain.sources[index])].tolist() == plain.sources[index]


def test_a_backend_is_at_parity_with_another(bundle: Artifact, plain: Plain) -> None:
    targets = [tuple(target) for target in plain.best]
    text = ParityText(
        reference_sources=plain.sources,
        candidate_sources=plain.sources,
        reference_tokens=targets,
        candidate_tokens=targets,
        candidate_positions=48,
        ids=open_tokenizer(bundle).decoding_ids(LANGUAGES),
        pieces=open_tokenizer(bundle).target_pieces,
    )
    registry = load_registry()
    eager, cached = (registry.resolve("backend", name).create(bundle, threads=1) for name in ("eager", "cached"))
    with closing(eager), closing(cached):
        parity = measure_parity(cached, text, reference=eager, settings=ParitySettings())
    assert parity.logits is not None
    assert parity.logits.kl_max < 1e-6
    assert all(probe.kl_max < 1e-6 for probe in parity.probes)
    if not plain.barred:
        assert parity.top1_agreement == 1.0


def test_a_model_and_a_tokenizer_that_pad_differently_are_refused(bundle: Artifact) -> None:
    manifest = bundle.path / "lingolite.json"
    whole = manifest.read_text()
    pad = bundle.manifest.model.pad_token_id
    manifest.write_text(whole.replace(f'"pad_token_id": {pad}', f'"pad_token_id": {pad - 1}'))
    try:
        with pytest.raises(LingoLiteError, match=f"the tokenizer pads with {pad}, and the model with {pad - 1}"):
            Artifact.open(bundle.path)
    finally:
        manifest.write_text(whole)

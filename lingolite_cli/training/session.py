"""A whole training: from a bundle or from nothing, and from text files, to a model and its bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.support import require_trainable
from lingolite_cli.artifact import Artifact, Provenance, write_manifest
from lingolite_cli.corpora.pairs import Text, TextReport
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.files.integrity import FileWatch
from lingolite_cli.model import MobileTranslationModel, load_model, save_bundle
from lingolite_cli.tokenization.opening import open_tokenizer, read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer
from lingolite_cli.training.checkpoint import CHECKPOINT_NAME, checkpoint_step
from lingolite_cli.training.examples import Examples
from lingolite_cli.training.options import TextOptions, TrainingOptions
from lingolite_cli.training.processes import Processes, join_processes
from lingolite_cli.training.reading import examples_of, read_examples
from lingolite_cli.training.text_cache import TextCache
from lingolite_cli.training.trainer import Status, Trainer, TrainingOutcome
from lingolite_cli.training.validation import mean_cross_entropy
from lingolite_cli.training.vocabulary import train_tokenizer


class DevText(msgspec.Struct, frozen=True):
    """Sources and one reference each, for the cross-entropy."""

    sources: list[str]
    references: list[str]


ModelFunction: TypeAlias = Callable[[MobileTranslationModel], MobileTranslationModel]


def _unchanged(model: MobileTranslationModel) -> MobileTranslationModel:
    return model


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained, on what, and how.

    Attributes:
        source: the bundle to start from; None for fresh random weights.
        config: the model's sizes; those of `source` where there is one.
        languages: source and target language.
        known_languages: all languages of the model.
        texts: to train on.
        text_cache: where they are kept as token ids.
        text: which pairs are good.
        options: of the training.
        seed: of initial weights, batches and dropout.
        threads: for torch.
        directory: for checkpoints, and for the tokenizer of a model that starts from nothing.
        score: the score of a bundle on the dev text, or the text itself for its cross-entropy; None without one.
        higher_is_better: of that score.
        observe: told after every step.
        report: told what each text had, before the first step.
        check_texts: raises where a text is not what it was at first; called before what was learnt of them is kept.
        prepare: what is trained, made from the model.
        convert: what is scored and kept, made from what was trained, which must not change.
    """

    source: Artifact | None
    config: Architecture
    languages: tuple[str, str]
    known_languages: tuple[str, ...]
    texts: Sequence[Text]
    text_cache: TextCache
    text: TextOptions
    options: TrainingOptions
    seed: int
    threads: int
    directory: Path
    score: Callable[[Artifact], float] | DevText | None
    higher_is_better: bool
    observe: Callable[[Status], None]
    report: Callable[[list[TextReport]], None]
    check_texts: Callable[[], None]
    prepare: ModelFunction = _unchanged
    convert: ModelFunction = _unchanged


TokenizerSource: TypeAlias = Artifact | Path
"""An artifact that has the tokenizer, or the file of one in LingoLite's own format."""


class Fitted(NamedTuple):
    """The converted model in eval mode, where its tokenizer is, and how its training ended."""

    model: MobileTranslationModel
    tokenizer: TokenizerSource
    outcome: TrainingOutcome


class LastCheckpoint(NamedTuple):
    """Where a training goes on: the file, and how many steps it has done."""

    path: Path
    step: int


def last_checkpoint(directory: Path) -> LastCheckpoint | None:
    """The checkpoint in `directory`; None where there is none that can be read."""
    step = checkpoint_step(directory)
    return None if step is None else LastCheckpoint(directory / CHECKPOINT_NAME, step)


def fit(session: Session) -> Fitted:
    """Train, or go on training.

    Raises:
        LingoLiteError: the model, text or checkpoint cannot be used, or the loss is not finite.
    """
    require_trainable(session.config, engine="a training")
    torch.set_num_threads(session.threads)
    return _fit(session, join_processes(session.options.device))


def _fit(session: Session, processes: Processes) -> Fitted:
    processes.require_shared(session.directory)
    tokenizer = _tokenizer(session, processes)
    model = session.prepare(_model(session))
    examples, reports = _examples(session, processes, tokenizer)
    session.report(reports)
    trainer = Trainer(
        model,
        examples,
        directory=session.directory,
        options=session.options,
        seed=session.seed,
        score=_score(session, tokenizer),
        higher_is_better=session.higher_is_better,
        scores_start=session.source is not None,
        observe=session.observe,
        processes=processes,
    )
    outcome = trainer.run()
    return Fitted(session.convert(model), tokenizer, outcome)


def write_bundle(fitted: Fitted, session: Session, out: Path, *, made_by: Provenance) -> Artifact:
    """Write what `fit` gave as the bundle `out`."""
    bundle = save_bundle(fitted.model, out, tokenizer=fitted.tokenizer, languages=session.known_languages)
    source = session.source.manifest if session.source else bundle.manifest
    manifest = msgspec.structs.replace(
        bundle.manifest,
        made_by=made_by,
        decoding=source.decoding,
        trained_on=source.trained_on,
        licence=source.licence,
    )
    return Artifact(out, write_manifest(out, manifest))


def _tokenizer(session: Session, processes: Processes) -> TokenizerSource:
    """The source's; or one trained on the texts, which a resumed training finds again."""
    if session.source is not None:
        return session.source
    path = session.directory / "tokenizer.model"
    if processes.is_first and not path.is_file():
        unfinished = path.with_suffix(".partial")
        train_tokenizer(
            session.texts, unfinished, languages=session.known_languages, vocab_size=session.config.vocab_size
        )
        session.check_texts()
        os.replace(unfinished, path)
    processes.agree(None)  # it is there for all
    return path


def _opened(tokenizer: TokenizerSource) -> Tokenizer:
    return open_tokenizer(tokenizer) if isinstance(tokenizer, Artifact) else read_tokenizer(tokenizer)


def _examples(session: Session, processes: Processes, tokenizer: TokenizerSource) -> tuple[Examples, list[TextReport]]:
    """The texts as ids. The first process tokenizes what is not kept yet, and the others find it."""
    if not processes.is_first:
        processes.agree(None)
    if isinstance(tokenizer, Artifact):
        files, digest = [tokenizer.file(name) for name in tokenizer.tokenizer_names], tokenizer.tokenizer_digest
    else:
        files, digest = [tokenizer], sha256_file(tokenizer)
    watch = FileWatch(files)
    found = read_examples(
        session.texts,
        _opened(tokenizer),
        tokenizer_digest=digest,
        languages=session.languages,
        positions=session.config.max_seq_len,
        options=session.text,
        cache=session.text_cache,
    )
    watch.check()
    session.check_texts()
    if processes.is_first:
        processes.agree(None)
    return found


def _model(session: Session) -> MobileTranslationModel:
    if session.source is None:
        torch.manual_seed(session.seed)
        return MobileTranslationModel.from_config(session.config)
    manifest = msgspec.structs.replace(session.source.manifest, model=session.config)
    return load_model(Artifact(session.source.path, manifest))


def _score(session: Session, tokenizer: TokenizerSource) -> Callable[[MobileTranslationModel], float] | None:
    if session.score is None:
        return None
    if isinstance(session.score, DevText):
        dev = examples_of(
            session.score.sources,
            session.score.references,
            _opened(tokenizer),
            languages=session.languages,
            positions=session.config.max_seq_len,
        )
        return lambda model: mean_cross_entropy(model, dev)
    score, path = session.score, session.directory / "dev-bundle"
    return lambda model: score(
        save_bundle(
            session.convert(model), path, tokenizer=tokenizer, languages=session.known_languages, overwrite=True
        )
    )

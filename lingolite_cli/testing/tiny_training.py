"""A training that takes a moment, for the contract of quantizers that train."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.quantizers import Training
from lingolite_cli.testing.tiny import LANGUAGES, SENTENCES, TRANSLATIONS
from lingolite_cli.training.options import TrainingOptions

if TYPE_CHECKING:
    from lingolite_cli.model import MobileTranslationModel
    from lingolite_cli.training.session import ModelFunction


def tiny_training(source: Artifact) -> Training:
    """Two steps on the sentences of the tiny bundle, the same each time."""

    def train(*, prepare: ModelFunction, convert: ModelFunction) -> MobileTranslationModel:
        from lingolite_cli.model import load_model
        from lingolite_cli.tokenization.opening import open_tokenizer
        from lingolite_cli.training.reading import examples_of
        from lingolite_cli.training.trainer import Trainer

        model = prepare(load_model(source))
        tokenizer = open_tokenizer(source)
        positions = source.manifest.model.max_seq_len
        examples = examples_of(SENTENCES, TRANSLATIONS, tokenizer, languages=LANGUAGES, positions=positions)
        options = TrainingOptions(learning_rate=1e-3, warmup_steps=1, max_steps=2, checkpoint_every=1)
        with TemporaryDirectory(prefix="lingolite-") as directory:
            Trainer(model, examples, directory=Path(directory), options=options).run()
        return convert(model)

    return train

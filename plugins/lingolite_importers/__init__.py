"""First-party importers: LingoLite checkpoints, Marian files, Hugging Face directories. Descriptors only."""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ImporterSpec
from lingolite_importers.options import CheckpointOptions, HuggingFaceOptions, MarianOptions

_REQUIRES = ("numpy", "sentencepiece")


@hookimpl
def lingolite_importers() -> Iterable[ImporterSpec]:
    """The importers `lingolite`, `marian` and `hugging-face`."""
    yield ImporterSpec(
        name="lingolite",
        summary="LingoLite checkpoints, written by torch.save",
        reads="a .pt file, with --tokenizer",
        factory="lingolite_importers.lingolite.checkpoint:CheckpointImporter",
        recognizer="lingolite_importers.recognition:is_checkpoint",
        options=CheckpointOptions,
        requires=_REQUIRES,
        capabilities=frozenset({"samples"}),
    )
    yield ImporterSpec(
        name="marian",
        summary="Marian's files: Firefox Translations students, OPUS-MT as it was trained",
        reads="a directory with a model .bin or .npz and its vocab.spm, or such a file",
        factory="lingolite_importers.marian.importer:MarianImporter",
        recognizer="lingolite_importers.recognition:is_marian",
        options=MarianOptions,
        requires=(*_REQUIRES, "yaml"),
        install="pip install pyyaml",
    )
    yield ImporterSpec(
        name="hugging-face",
        summary="Hugging Face directories: MarianMT, M2M100 and NLLB, T5, mT5 and MADLAD",
        reads="a directory with config.json and weights in safetensors or pytorch_model.bin",
        factory="lingolite_importers.hugging_face.importer:HuggingFaceImporter",
        recognizer="lingolite_importers.recognition:is_hugging_face",
        options=HuggingFaceOptions,
        requires=_REQUIRES,
    )

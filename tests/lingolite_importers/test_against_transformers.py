"""Imported Hugging Face directories compute what transformers computes, and read text as its tokenizers do.

Networks have random weights and small, pairwise distinct sizes. Tokenizers are asked with `split_special_tokens=True`:
control tokens that are typed are text there as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from lingolite_importers.hugging_face.importer import HuggingFaceImporter
from lingolite_importers.options import HuggingFaceOptions

from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import Artifact, Provenance
from lingolite_cli.importing.writing import write_imported
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.tokenization.foreign_texts import odd_texts, train_model

pytestmark = [pytest.mark.transformers, pytest.mark.filterwarnings("ignore")]
BART = {
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 64,
}


def pieces_of(model: bytes) -> list[str]:
    known = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [known.IdToPiece(id) for id in range(known.GetPieceSize())]


def write_list(path: Path, pieces: Sequence[str]) -> None:
    path.write_text(json.dumps({piece: id for id, piece in enumerate(pieces)}))


def marian(directory: Path, *, is_shared: bool = True, activation: str = "swish", **spm: Any) -> tuple[Any, Any]:
    import transformers

    own = {"unk_id": 1, "bos_id": -1, "eos_id": 0, "pad_id": -1}
    source, target = train_model(**own, **spm), train_model(**own, model_type="bpe", vocab_size=240)
    (directory / "source.spm").write_bytes(source)
    (directory / "target.spm").write_bytes(target)
    pieces, others = pieces_of(source)[2:], pieces_of(target)[2:]
    union = [*dict.fromkeys([*reversed(pieces), *others]), ">>por<<", ">>glg<<"]
    rows = 2 + (len(union) if is_shared else max(len(pieces), len(others))) + 1

    def listed(inner: Sequence[str]) -> list[str]:
        return ["</s>", "<unk>", *inner, *(f"unused{i}" for i in range(rows - 3 - len(inner))), "<pad>"]

    write_list(directory / "vocab.json", listed(union if is_shared else pieces))
    settings = {"source_lang": "eng", "target_lang": "por", "separate_vocabs": not is_shared}
    if not is_shared:
        write_list(directory / "target_vocab.json", listed(others))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    config = transformers.MarianConfig(
        **BART,
        vocab_size=rows,
        decoder_vocab_size=rows,
        activation_function=activation,
        scale_embedding=True,
        pad_token_id=rows - 1,
        eos_token_id=0,
        decoder_start_token_id=rows - 1,
        share_encoder_decoder_embeddings=is_shared,
    )
    tokenizer = transformers.MarianTokenizer(
        *(str(directory / name) for name in ("source.spm", "target.spm", "vocab.json")),
        **({} if is_shared else {"target_vocab_file": str(directory / "target_vocab.json"), "separate_vocabs": True}),
    )
    return transformers.MarianMTModel(config), tokenizer


def m2m100(directory: Path) -> tuple[Any, Any]:
    import transformers

    model = train_model(unk_id=3, bos_id=0, eos_id=2, pad_id=1, model_type="bpe")
    (directory / "sentencepiece.bpe.model").write_bytes(model)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *pieces_of(model)[4:]]
    write_list(directory / "vocab.json", pieces)
    files = str(directory / "vocab.json"), str(directory / "sentencepiece.bpe.model")
    config = transformers.M2M100Config(**BART, vocab_size=len(pieces) + 108)
    return transformers.M2M100ForConditionalGeneration(config), transformers.M2M100Tokenizer(*files, src_lang="en")


def nllb(directory: Path) -> tuple[Any, Any]:
    import transformers

    model = train_model(unk_id=0, bos_id=1, eos_id=2, pad_id=-1, model_type="bpe")
    (directory / "sentencepiece.bpe.model").write_bytes(model)
    tokenizer = transformers.NllbTokenizer(str(directory / "sentencepiece.bpe.model"), src_lang="eng_Latn")
    tokenizer.save_pretrained(directory)
    config = transformers.M2M100Config(**BART, vocab_size=len(pieces_of(model)) + 206, scale_embedding=False)
    return transformers.M2M100ForConditionalGeneration(config), tokenizer


def t5(
    directory: Path, *, projection: str = "relu", is_tied: bool = True, kind: str = "T5", **spm: Any
) -> tuple[Any, Any]:
    import transformers

    model = train_model(unk_id=2, bos_id=-1, eos_id=1, pad_id=0, byte_fallback=True, vocab_size=500, **spm)
    (directory / "spiece.model").write_bytes(model)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(pieces_of(model)) + 128,
        d_model=24,
        d_kv=10,
        d_ff=40,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=4,
        feed_forward_proj=projection,
        tie_word_embeddings=is_tied,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        decoder_start_token_id=0,
    )
    # mT5 and MADLAD have no sentinels beside those of their SentencePiece models.
    own = {} if kind == "T5" and not spm else {"extra_ids": 0}
    tokenizer = transformers.T5Tokenizer(str(directory / "spiece.model"), legacy=True, **own)
    if own:
        tokenizer.save_pretrained(directory)
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config), tokenizer


def added_tokens(directory: Path) -> tuple[Any, Any]:
    """M2M100 whose language tokens are told by `added_tokens.json` alone, as in older directories."""
    model, tokenizer = m2m100(directory)
    codes = [f"__{code}__" for code in tokenizer.lang_code_to_id]
    first = len(tokenizer.encoder)
    table = {code: first + place for place, code in enumerate(codes)}
    (directory / "added_tokens.json").write_text(json.dumps(table))
    return model, tokenizer


FAMILIES: dict[str, tuple[Any, dict[str, Any], tuple[str, str]]] = {
    "marian": (marian, {}, ("eng", "por")),
    "marian with bytes, relu": (
        marian,
        {"byte_fallback": True, "vocab_size": 500, "activation": "relu"},
        ("eng", "por"),
    ),
    "marian, two vocabularies": (marian, {"is_shared": False, "activation": "gelu"}, ("eng", "por")),
    "m2m100": (m2m100, {}, ("en", "pt")),
    "nllb": (nllb, {}, ("eng_Latn", "por_Latn")),
    "t5": (t5, {}, ("en", "pt")),
    "t5 v1.1": (t5, {"projection": "gated-gelu", "is_tied": False}, ("en", "pt")),
    "mt5": (t5, {"projection": "gated-gelu", "is_tied": False, "kind": "MT5"}, ("en", "pt")),
    "madlad": (
        t5,
        {"projection": "gated-gelu", "is_tied": False, "user_defined_symbols": ["<2pt>", "<2en>"]},
        ("en", "pt"),
    ),
    "m2m100, added_tokens.json": (added_tokens, {}, ("en", "pt")),
    "t5 gated and tied": (t5, {"projection": "gated-silu"}, ("en", "pt")),
}


def randomized(model: Any) -> Any:
    import torch

    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif "embed_positions" not in name:
                parameter.normal_(0, 0.3)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    return model.eval()


def bundle_of(directory: Path, out: Path, name: str) -> Artifact:
    options = (
        HuggingFaceOptions(languages="en-pt", text_prefix="")
        if name.startswith(("t5", "mt5"))
        else HuggingFaceOptions()
    )
    imported = HuggingFaceImporter(options=options).read(directory)
    return write_imported(imported, out, where=directory, made_by=Provenance(operation="import"), overwrite=False)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_ids_and_text_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    import torch

    make, settings, languages = FAMILIES[name]
    directory = tmp_path / "model"
    directory.mkdir()
    model, theirs = make(directory, **settings)
    randomized(model).save_pretrained(directory)
    bundle = bundle_of(directory, tmp_path / "bundle", name)
    architecture = bundle.manifest.model
    random = np.random.default_rng(0)
    source = random.integers(4, architecture.num_source_tokens, (2, 7))
    target, mask = random.integers(4, architecture.vocab_size, (2, 5)), np.ones((2, 7), np.bool_)
    mask[1, 5:], source[1, 5:] = False, architecture.pad_token_id
    with torch.no_grad():
        expected = model(
            input_ids=torch.from_numpy(source),
            attention_mask=torch.from_numpy(mask).long(),
            decoder_input_ids=torch.from_numpy(target),
        ).logits.numpy()
    reference = Reference(Weights.read(bundle))
    found = reference.decode(target, reference.encode(source, mask), mask)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()

    tokenizer = open_tokenizer(bundle)
    is_shared = settings.get("is_shared", True)
    before = ">>por<<" if name.startswith("marian") and is_shared else "<2pt> " if name == "madlad" else ""
    assert tokenizer.decoding_ids(languages).prefix == _forced(theirs, languages)
    for text in odd_texts(2000):
        ids = tokenizer.encode_source(text, languages, max_length=1 << 20).ids
        if not _is_command(text, before):
            assert ids == theirs(before + text, split_special_tokens=True)["input_ids"], text
        target_ids = tokenizer.encode_target(text)
        if not is_shared and not _is_command(text, before):
            assert [*target_ids, 0] == theirs(text_target=text, split_special_tokens=True)["input_ids"], text
        assert tokenizer.decode(target_ids) == theirs.decode(target_ids, skip_special_tokens=True), text


def _is_command(text: str, before: str) -> bool:
    """Whether transformers takes what is typed for a language token, which LingoLite never does; or whether there is no
    text, before which LingoLite puts nothing."""
    if before == "<2pt> ":
        return not text or before.strip() in text
    return not before and re.match(r">>.+<<", text) is not None


def _forced(theirs: Any, languages: tuple[str, str]) -> tuple[int, ...]:
    """What transformers is told to begin a target with."""
    if hasattr(theirs, "get_lang_id"):
        return (theirs.get_lang_id(languages[1]),)
    return (theirs.convert_tokens_to_ids(languages[1]),) if "Nllb" in type(theirs).__name__ else ()

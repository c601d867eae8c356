"""Small models in directories as `save_pretrained` writes them, without transformers: OPUS-MT, NLLB and M2M100."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from sentencepiece import SentencePieceProcessor

from tests.lingolite_cli.tokenization.foreign_texts import train_model

D_MODEL, D_FF, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 32, 64, 4, 2, 1


def write_opus_mt(
    directory: Path, *, is_shared: bool = True, tags: Sequence[str] = (), **config: Any
) -> dict[str, np.ndarray]:
    """Write an OPUS-MT model with `model.safetensors`; its tensors.

    Args:
        directory: to make.
        is_shared: one vocabulary and embedding; else source and target have their own.
        tags: target languages, each of which has a token `>>tag<<`.
        config: further entries of `config.json`.
    """
    directory.mkdir(parents=True)
    own = {"unk_id": 1, "bos_id": -1, "eos_id": 0, "pad_id": -1}
    models = train_model(**own), train_model(**own, model_type="bpe", vocab_size=240)
    inner = []
    for name, model in zip(("source.spm", "target.spm"), models, strict=True):
        (directory / name).write_bytes(model)
        known = SentencePieceProcessor(model_proto=model)
        inner.append([known.IdToPiece(id) for id in range(2, known.GetPieceSize())])
    sides = [list(dict.fromkeys([*inner[1], *inner[0]]))] if is_shared else inner
    rows = 3 + len(tags) + max(map(len, sides))
    names = ("vocab.json", "target_vocab.json")
    for name, pieces in zip(names, sides, strict=False):
        fill = [f"unused{index}" for index in range(rows - 3 - len(tags) - len(pieces))]
        listed = ["</s>", "<unk>", *pieces, *fill, *(f">>{tag}<<" for tag in tags), "<pad>"]
        (directory / name).write_text(json.dumps({piece: id for id, piece in enumerate(listed)}))
    settings = {"source_lang": "en", "target_lang": "pt", "separate_vocabs": not is_shared}
    _write(directory / "tokenizer_config.json", {**settings, "tokenizer_class": "MarianTokenizer"})
    _write(directory / "config.json", {**_configuration(rows, is_shared=is_shared), **config})
    tensors = _tensors(rows, is_shared=is_shared)
    save_file(tensors, directory / "model.safetensors")
    return tensors


def write_nllb(directory: Path, *, languages: Sequence[str]) -> None:
    """Write an NLLB model of these languages with `model.safetensors`, language tokens in `added_tokens_decoder`."""
    directory.mkdir(parents=True)
    model = train_model(unk_id=0, bos_id=1, eos_id=2, pad_id=-1, model_type="bpe")
    first = SentencePieceProcessor(model_proto=model).GetPieceSize() + 1
    _write_m2m_100(directory, model, "NllbTokenizer", first, [*languages, "<mask>"])


def write_m2m100(directory: Path, *, languages: Sequence[str]) -> None:
    """The same of M2M100, whose ids are in `vocab.json`."""
    directory.mkdir(parents=True)
    model = train_model(unk_id=3, bos_id=0, eos_id=2, pad_id=1, model_type="bpe")
    known = SentencePieceProcessor(model_proto=model)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(known.IdToPiece(id) for id in range(4, known.GetPieceSize()))]
    _write(directory / "vocab.json", {piece: id for id, piece in enumerate(pieces)})
    _write_m2m_100(directory, model, "M2M100Tokenizer", len(pieces), [f"__{language}__" for language in languages])


def _write_m2m_100(directory: Path, model: bytes, tokenizer: str, first: int, added: Sequence[str]) -> None:
    """What both have; `added` are tokens from the id `first` on."""
    (directory / "sentencepiece.bpe.model").write_bytes(model)
    told = {str(first + index): {"content": token} for index, token in enumerate(added)}
    _write(directory / "tokenizer_config.json", {"tokenizer_class": tokenizer, "added_tokens_decoder": told})
    rows = first + len(added)
    own = {"model_type": "m2m_100", "activation_function": "relu", "bad_words_ids": None, "num_beams": 1}
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    _write(directory / "config.json", {**_configuration(rows, is_shared=True), **own, **special})
    tensors = _tensors(rows, is_shared=True)
    del tensors["final_logits_bias"]
    random = np.random.default_rng(5)
    for stack in ("encoder", "decoder"):
        tensors[f"model.{stack}.layer_norm.weight"] = random.uniform(0.5, 1.5, D_MODEL).astype(np.float32)
        tensors[f"model.{stack}.layer_norm.bias"] = random.normal(0, 0.1, D_MODEL).astype(np.float32)
    save_file(tensors, directory / "model.safetensors")


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table))


def _configuration(rows: int, *, is_shared: bool) -> dict[str, Any]:
    return {
        "model_type": "marian",
        "vocab_size": rows,
        "decoder_vocab_size": rows,
        "d_model": D_MODEL,
        "encoder_layers": ENCODER_LAYERS,
        "decoder_layers": DECODER_LAYERS,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "encoder_ffn_dim": D_FF,
        "decoder_ffn_dim": D_FF,
        "max_position_embeddings": 64,
        "activation_function": "swish",
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": is_shared,
        "tie_word_embeddings": True,
        "pad_token_id": rows - 1,
        "eos_token_id": 0,
        "decoder_start_token_id": rows - 1,
        "bad_words_ids": [[rows - 1]],
        "num_beams": 2,
    }


def _tensors(rows: int, *, is_shared: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    found: dict[str, np.ndarray] = {}

    def linear(name: str, width: int, height: int) -> None:
        found[f"{name}.weight"] = random.normal(0, 0.3, (height, width))
        found[f"{name}.bias"] = random.normal(0, 0.1, height)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = random.uniform(0.5, 1.5, D_MODEL)
        found[f"{name}.bias"] = random.normal(0, 0.1, D_MODEL)

    for stack, depth in (("encoder", ENCODER_LAYERS), ("decoder", DECODER_LAYERS)):
        for index in range(depth):
            layer = f"model.{stack}.layers.{index}"
            for name in ("self_attn", "encoder_attn")[: 1 if stack == "encoder" else 2]:
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    linear(f"{layer}.{name}.{part}", D_MODEL, D_MODEL)
                norm(f"{layer}.{name}_layer_norm")
            linear(f"{layer}.fc1", D_MODEL, D_FF)
            linear(f"{layer}.fc2", D_FF, D_MODEL)
            norm(f"{layer}.final_layer_norm")
    embeddings = ["shared"] if is_shared else ["encoder.embed_tokens", "decoder.embed_tokens"]
    for name in embeddings:
        found[f"model.{name}.weight"] = random.normal(0, 0.3, (rows, D_MODEL))
        found[f"model.{name}.weight"][-1] = 0.0
    found["final_logits_bias"] = random.normal(0, 0.3, (1, rows))
    return {name: values.astype(np.float32) for name, values in found.items()}

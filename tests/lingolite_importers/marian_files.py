"""Small models in Marian's files, written byte by byte, and what Marian computes with them: what the importer of Marian
files is tested with."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.lingolite_cli.tokenization.foreign_texts import train_model

FLOAT32, INTGEMM8, CHARS = 0x404, 0x4101, 0x101
D_MODEL, D_FF, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 32, 64, 4, 2, 1


def configuration(num_pieces: int, **changes: Any) -> dict[str, Any]:
    """`special:model.yml` of a student."""
    return {
        "type": "transformer",
        "dim-emb": D_MODEL,
        "dim-vocabs": [num_pieces, num_pieces],
        "enc-depth": ENCODER_LAYERS,
        "dec-depth": DECODER_LAYERS,
        "dec-cell": "ssru",
        "transformer-heads": HEADS,
        "transformer-dim-ffn": D_FF,
        "transformer-ffn-activation": "relu",
        "transformer-preprocess": "",
        "transformer-postprocess": "dan",
        "transformer-decoder-autoreg": "rnn",
        "tied-embeddings-all": True,
        **changes,
    }


def attention_settings(**changes: Any) -> dict[str, Any]:
    """What `configuration` is told for a decoder with self-attention, as OPUS-MT is trained."""
    return {"transformer-decoder-autoreg": "self-attention", "transformer-ffn-activation": "swish", **changes}


def student(num_pieces: int, *, seed: int = 2, is_recurrent: bool = True) -> dict[str, np.ndarray]:
    """Random float parameters under Marian's names, matrices as [in, out]; one embedding for everything."""
    random = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {"Wemb": random.normal(0, 0.3, (num_pieces, D_MODEL))}

    def block(name: str, matrices: dict[str, tuple[int, int]], biases: dict[str, int], norm: str) -> None:
        found.update({f"{name}_{part}": random.normal(0, 0.3, shape) for part, shape in matrices.items()})
        found.update({f"{name}_{part}": random.normal(0, 0.3, (1, size)) for part, size in biases.items()})
        found[f"{name}_{norm}_ln_scale"] = random.uniform(0.5, 1.5, (1, D_MODEL))
        found[f"{name}_{norm}_ln_bias"] = random.normal(0, 0.3, (1, D_MODEL))

    square = (D_MODEL, D_MODEL)
    attention = {f"W{part}": square for part in "qkvo"}, {f"b{part}": D_MODEL for part in "qkvo"}, "Wo"
    feed_forward = {"W1": (D_MODEL, D_FF), "W2": (D_FF, D_MODEL)}, {"b1": D_FF, "b2": D_MODEL}, "ffn"
    for layer in range(1, ENCODER_LAYERS + 1):
        block(f"encoder_l{layer}_self", *attention)
        block(f"encoder_l{layer}_ffn", *feed_forward)
    for layer in range(1, DECODER_LAYERS + 1):
        if is_recurrent:
            block(f"decoder_l{layer}_rnn", {"W": square, "Wf": square}, {"bf": D_MODEL}, "ffn")
        else:
            block(f"decoder_l{layer}_self", *attention)
        block(f"decoder_l{layer}_context", *attention)
        block(f"decoder_l{layer}_ffn", *feed_forward)
    found["decoder_ff_logit_out_b"] = random.normal(0, 0.3, (1, num_pieces))
    return {name: values.astype(np.float32) for name, values in found.items()}


def with_two_vocabularies(
    parameters: dict[str, np.ndarray], num_source_pieces: int, *, is_tied: bool = True
) -> dict[str, np.ndarray]:
    """The same with an embedding of its own for sources, and an output projection of its own unless it is tied."""
    random = np.random.default_rng(6)
    found = {name: values for name, values in parameters.items() if name != "Wemb"}
    found["encoder_Wemb"] = random.normal(0, 0.3, (num_source_pieces, D_MODEL)).astype(np.float32)
    found["decoder_Wemb"] = parameters["Wemb"]
    if not is_tied:
        shape = parameters["Wemb"].shape[::-1]
        found["decoder_ff_logit_out_W"] = random.normal(0, 0.3, shape).astype(np.float32)
    return found


def _embedded(rows: np.ndarray) -> np.ndarray:
    """[S, D], scaled embeddings with Marian's positions: all sines, then all cosines."""
    rate = 10000.0 ** (-np.arange(D_MODEL // 2) / (D_MODEL // 2 - 1))
    angles = np.arange(len(rows))[:, None] * rate
    return rows * np.sqrt(D_MODEL) + np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def marian_logits(
    parameters: dict[str, np.ndarray], source: np.ndarray, target: np.ndarray, *, activation: str
) -> np.ndarray:
    """[T + 1, V], what Marian computes for one source [S] before each of `target` [T] and after the last.

    Written from Marian's names alone; the decoder begins with a zero embedding.
    """
    p = {name: values.astype(np.float64) for name, values in parameters.items()}
    of_source, of_target = p.get("encoder_Wemb", p.get("Wemb")), p.get("decoder_Wemb", p.get("Wemb"))

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return scaled * p[f"{name}_ln_scale"] + p[f"{name}_ln_bias"]

    def attention(name: str, x: np.ndarray, read: np.ndarray, *, is_causal: bool = False) -> np.ndarray:
        def heads(values: np.ndarray, part: str) -> np.ndarray:
            projected = values @ p[f"{name}_W{part}"] + p[f"{name}_b{part}"]
            return projected.reshape(len(values), HEADS, -1).swapaxes(0, 1)

        query, key, value = heads(x, "q"), heads(read, "k"), heads(read, "v")
        scores = query @ key.swapaxes(1, 2) / np.sqrt(D_MODEL // HEADS)
        if is_causal:
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        joined = (weights / weights.sum(axis=-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(x), -1)
        return normed(x + joined @ p[f"{name}_Wo"] + p[f"{name}_bo"], f"{name}_Wo")

    def feed_forward(name: str, x: np.ndarray) -> np.ndarray:
        inner = x @ p[f"{name}_W1"] + p[f"{name}_b1"]
        inner = np.maximum(inner, 0) if activation == "relu" else inner / (1 + np.exp(-inner))
        return normed(x + inner @ p[f"{name}_W2"] + p[f"{name}_b2"], f"{name}_ffn")

    def recurrent(name: str, x: np.ndarray) -> np.ndarray:
        forget = 1 / (1 + np.exp(-(x @ p[f"{name}_Wf"] + p[f"{name}_bf"])))
        cell, cells = np.zeros(D_MODEL), []
        for gate, candidate in zip(forget, x @ p[f"{name}_W"], strict=True):
            cell = gate * cell + (1 - gate) * candidate
            cells.append(np.maximum(cell, 0))
        return normed(x + np.array(cells), f"{name}_ffn")

    encoded = _embedded(of_source[source])
    for layer in range(1, ENCODER_LAYERS + 1):
        encoded = attention(f"encoder_l{layer}_self", encoded, encoded)
        encoded = feed_forward(f"encoder_l{layer}_ffn", encoded)
    x = _embedded(np.concatenate([np.zeros((1, D_MODEL)), of_target[target]]))
    for layer in range(1, DECODER_LAYERS + 1):
        if f"decoder_l{layer}_rnn_W" in p:
            x = recurrent(f"decoder_l{layer}_rnn", x)
        else:
            x = attention(f"decoder_l{layer}_self", x, x, is_causal=True)
        x = attention(f"decoder_l{layer}_context", x, encoded)
        x = feed_forward(f"decoder_l{layer}_ffn", x)
    projection = p.get("decoder_ff_logit_out_W", of_target.T)
    return x @ projection + p["decoder_ff_logit_out_b"]


def write_container(
    path: Path, parameters: dict[str, np.ndarray], settings: dict[str, Any], *, multiplier: float | None = None
) -> Path:
    """Write a `.bin`; with a multiplier, matrices as intgemm8 and an alpha of 21 beside each."""
    items: list[tuple[str, int, tuple[int, ...], bytes]] = []
    for name, values in parameters.items():
        is_matrix = values.shape[0] > 1
        if multiplier is None or not is_matrix:
            items.append((name, FLOAT32, values.shape, values.tobytes()))
            continue
        integers = np.clip(np.rint(values * multiplier), -127, 127).astype(np.int8)
        stored = integers if "Wemb" in name else integers.T
        items.append((name, INTGEMM8, values.shape, stored.tobytes() + struct.pack("<f", multiplier)))
        alpha = "none" if name in ("Wemb", "decoder_Wemb") else name
        items.append((f"{alpha}_QuantMultA", FLOAT32, (1, 1), struct.pack("<f", 21.0)))
    text = yaml.safe_dump(settings).encode() + b"\0"
    items.append(("special:model.yml", CHARS, (len(text),), text))
    padded = [(name, kind, shape, data + b"\0" * (-len(data) % 256)) for name, kind, shape, data in items]
    header = struct.pack("<QQ", 1, len(padded))
    for name, kind, shape, data in padded:
        header += struct.pack("<4Q", len(name.encode()) + 1, kind, len(shape), len(data))
    header += b"".join(name.encode() + b"\0" for name, *_ in padded)
    header += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in padded)
    padding = -(len(header) + 8) % 256
    path.write_bytes(header + struct.pack("<Q", padding) + b"\0" * padding + b"".join(item[3] for item in padded))
    return path


def write_shortlist(path: Path, num_pieces: int, *, first: int = 5) -> Path:
    """Write a `lex.*.s2t.bin`: each source token brings the two target tokens after it."""
    lists = [[(token + step) % num_pieces for step in (1, 2)] for token in range(num_pieces)]
    offsets = np.arange(0, 2 * num_pieces + 1, 2, dtype="<u8")
    ids = np.array(lists, "<u4").ravel()
    header = struct.pack("<6Q", 0xF11A48D5013417F5, 0, first, 2, num_pieces + 1, len(ids))
    path.write_bytes(header + offsets.tobytes() + ids.tobytes())
    return path


def write_npz(path: Path, parameters: dict[str, np.ndarray], settings: dict[str, Any]) -> Path:
    """Write an `.npz` as marian-train does."""
    text = np.frombuffer(yaml.safe_dump(settings).encode() + b"\0", np.int8)
    np.savez(path, **parameters, **{"special:model.yml": text})
    return path


def write_student(directory: Path, *, multiplier: float | None = None, **changes: Any) -> Path:
    """A directory as Firefox publishes it."""
    directory.mkdir(parents=True)
    spm = train_model(unk_id=1, bos_id=-1, eos_id=0, pad_id=-1, vocab_size=300)
    from sentencepiece import SentencePieceProcessor

    num_pieces = SentencePieceProcessor(model_proto=spm).GetPieceSize()
    (directory / "vocab.enpt.spm").write_bytes(spm)
    write_container(
        directory / "model.enpt.intgemm.alphas.bin",
        student(num_pieces),
        configuration(num_pieces, **changes),
        multiplier=multiplier,
    )
    write_shortlist(directory / "lex.50.50.enpt.s2t.bin", num_pieces)
    (directory / "config.intgemm8bitalpha.yml").write_text("beam-size: 1\nmax-length-factor: 2.5\n")
    return directory

"""Replays the goldens of this directory: python run_offline.py [DIRECTORY] [--json FILE]

Needs Python 3.10 or newer, numpy and the runtime that `device.json` names; no LingoLite and no network. Owns the frame
around sources and greedy search with a cache, as in `LingoLite.kt` and `LingoLite.swift`. Exits with 1 if a file or a
sentence is not what it should be.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pieces import PieceModel


class AppTokenizer:
    """Framed ids of sources, and text of generated ids, as `device.json` describes them."""

    def __init__(self, directory: Path, described: dict[str, Any]) -> None:
        self.described = described
        self.models = {
            side: PieceModel((directory / described[side]["model"]).read_bytes()) for side in ("source", "target")
        }
        names = {side: described[side]["pieces"] for side in ("source", "target")}
        self.lists = {
            side: [piece.encode() for piece in json.loads((directory / name).read_text("utf-8"))]
            for side, name in names.items()
            if name is not None
        }
        self.ids = {side: {piece: id for id, piece in enumerate(pieces)} for side, pieces in self.lists.items()}
        self.spelled = {int(id): ids for id, ids in described["source"]["spelled"].items()}

    def encode(self, text: str, pair: dict[str, Any]) -> tuple[list[int], bool]:
        """A framed source, and whether there is anything inside the frame."""
        prefix, suffix = pair["source_prefix"], pair["source_suffix"]
        body: list[int] = []
        num_before = 0
        if text.strip():
            num_before = len(self._ids(pair["text_prefix"])) if pair["text_prefix"] else 0
            ids = self._ids(pair["text_prefix"] + text)
            body = ids[:num_before] + [own for id in ids[num_before:] for own in self.spelled.get(id, [id])]
        room = self.described["max_length"] - len(prefix) - len(suffix)
        return prefix + body[:room] + suffix, len(body) > num_before

    def decode(self, ids: list[int]) -> str:
        """Text of target ids."""
        side, model = self.described["target"], self.models["target"]
        controls = set(side["controls"])
        kept = [id for id in ids if id not in controls]
        if "target" in self.lists:
            text: str = model.decode([self.lists["target"][id] for id in kept]).replace("\u2581", " ")
        else:
            text = model.decode([model.pieces[id - side["moved"]] for id in kept])
        return text.strip() if self.described["strips"] else text

    def _ids(self, text: str) -> list[int]:
        side, model = self.described["source"], self.models["source"]
        found = model.encode(text)
        if "source" in self.lists:
            return [self.ids["source"].get(piece, side["unknown"]) for piece, _ in found]
        return [side["unknown"] if id == model.unknown else id + side["moved"] for _, id in found]


class AppOnnxRuntime:
    """Graphs in ONNX Runtime."""

    def __init__(self, directory: Path, graphs: list[str], *, settings: dict[str, str], threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        for name, value in settings.items():
            options.add_session_config_entry(name, value)
        self.version = f"onnxruntime {ort.__version__}"
        self.sessions = {name: ort.InferenceSession(str(directory / name), options) for name in graphs}

    def run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name."""
        session = self.sessions[graph]
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


class AppLiteRuntime:
    """Signatures of `model.tflite` in LiteRT."""

    def __init__(self, directory: Path, graphs: list[str], *, settings: dict[str, str], threads: int) -> None:
        from ai_edge_litert import interpreter

        assert not settings, "LiteRT has no settings"
        self.version = f"ai-edge-litert {version('ai-edge-litert')}"
        self.model = interpreter.Interpreter(str(directory / "model.tflite"), num_threads=threads)
        self.signatures = {name: self.model.get_signature_runner(name) for name in graphs}

    def run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name."""
        return dict(self.signatures[graph](**inputs))


RUNTIMES: dict[str, Callable[..., Any]] = {"onnx": AppOnnxRuntime, "litert": AppLiteRuntime}
X86 = ("x86_64", "amd64", "i686", "x86")
TYPES = {"int64": np.int64, "int32": np.int32, "float32": np.float32, "bool": np.bool_}


class AppDecoder:
    """One sentence on its way through the decoder: what it keeps between calls, and the inputs of the next one."""

    def __init__(self, graphs: dict[str, Any], runtime: Any, source: list[int]) -> None:
        self.graphs, self.runtime = graphs, runtime
        self.position = 0
        encoder = graphs["encoder"]
        self.fixed = {"source_ids": np.array(source), "source_mask": np.ones(len(source))}
        inputs = {one["name"]: self._input(one) for one in encoder["inputs"]}
        self.cross = runtime.run(encoder["run"], inputs)
        self.past = {one["past"]: np.zeros(one["shape"], np.float32) for one in graphs["state"]}

    def step(self, token: int) -> Any:
        """Logits of the token after `token`."""
        self.fixed["tokens"] = np.array([token])
        grown = [one for one in self.graphs["state"] if one["is_placed"]]
        if grown and self.position >= self.past[grown[0]["past"]].shape[grown[0]["axis"]]:
            self._grow(grown)
        decoder = self.graphs["decoder"]
        outputs = self.runtime.run(decoder["run"], {one["name"]: self._input(one) for one in decoder["inputs"]})
        for one in self.graphs["state"]:
            if not one["is_placed"]:
                self.past[one["past"]] = outputs[one["present"]]
                continue
            place: list[Any] = [slice(None)] * len(one["shape"])
            place[one["axis"]] = slice(self.position, self.position + 1)
            self.past[one["past"]][tuple(place)] = outputs[one["present"]]
        self.position += 1
        return outputs[decoder["logits"]][0]

    def _grow(self, grown: list[dict[str, Any]]) -> None:
        for one in grown:
            rows = [size if axis != one["axis"] else self.graphs["growth"] for axis, size in enumerate(one["shape"])]
            both = [self.past[one["past"]], np.zeros(rows, np.float32)]
            self.past[one["past"]] = np.concatenate(both, axis=one["axis"])

    def _input(self, one: dict[str, Any]) -> Any:
        """The array of an input, by its role."""
        role = one["role"]
        if role == "cross":
            return self.cross[one["name"]]
        if role == "past":
            return self.past[one["name"]]
        if role == "source_mask" and one["type"] != "bool":
            values = np.zeros(len(self.fixed["source_mask"]))
        elif role in self.fixed:
            values = self.fixed[role]
        else:
            values = self._positions(role)
        return values.astype(TYPES[one["type"]]).reshape(one["shape"])

    def _positions(self, role: str) -> Any:
        if role == "position":
            return np.array([self.position])
        grown = next(one for one in self.graphs["state"] if one["is_placed"])
        places = np.arange(self.past[grown["past"]].shape[grown["axis"]] + 1)
        is_last = places == places[-1]
        if role == "distances":
            return np.where(is_last, 0, np.maximum(self.position - places, 0))
        return np.where((places < self.position) | is_last, 0.0, self.graphs["masked"])


class AppTranslator:
    """Greedy search over the graphs of a directory."""

    def __init__(self, directory: Path, *, has_settings: bool, threads: int) -> None:
        self.device = json.loads((directory / "device.json").read_text("utf-8"))
        self.tokenizer = AppTokenizer(directory, self.device["tokenizer"])
        self.graphs = self.device["graphs"]
        names = [self.graphs[part]["run"] for part in ("encoder", "decoder")]
        needs_settings = has_settings and platform.machine().lower() in X86
        settings = self.device["settings"] if needs_settings else {}
        self.runtime = RUNTIMES[self.device["engine"]](directory, names, settings=settings, threads=threads)

    def translate(self, text: str, source: str, target: str) -> dict[str, Any]:
        """Ids of the framed source, generated tokens and their text."""
        pairs = self.device["tokenizer"]["pairs"]
        pair = next(pair for pair in pairs if (pair["source"], pair["target"]) == (source, target))
        ids, has_text = self.tokenizer.encode(text, pair)
        tokens = list(self._search(ids, pair["target_prefix"])) if has_text else []
        return {"source": text, "ids": ids, "tokens": tokens, "text": self.tokenizer.decode(tokens)}

    def _search(self, source: list[int], forced: list[int]) -> Iterator[int]:
        tokenizer, decoding = self.device["tokenizer"], self.device["decoding"]
        decoder = AppDecoder(self.graphs, self.runtime, source)
        last = tokenizer["start"]
        for token in forced:
            decoder.step(last)
            last = token
        for length in range(1, self._limit(len(source)) + 1):
            logits = np.array(decoder.step(last))
            logits[tokenizer["never_generated"]] = -np.inf
            if length <= decoding["min_length"]:
                logits[tokenizer["end"]] = -np.inf
            last = int(logits.argmax())  # the smaller id on a tie
            yield last
            if last == tokenizer["end"]:
                return

    def _limit(self, num_source_tokens: int) -> int:
        decoding = self.device["decoding"]
        factor = decoding.get("max_length_factor")
        if factor is None:
            return int(decoding["max_length"])
        return int(min(decoding["max_length"], max(1, decoding["min_length"], int(factor * num_source_tokens))))


def changed_files(directory: Path) -> list[str]:
    """Files that `SHA256SUMS` lists and that are missing or other ones."""
    found = []
    for line in (directory / "SHA256SUMS").read_text("utf-8").splitlines():
        digest, name = line.split("  ", 1)
        path = directory / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            found.append(name)
    return found


def main() -> int:
    """Replay, and say what differs."""
    parser = argparse.ArgumentParser(description="Replays the goldens of a directory for a device.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write what was found there.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="Without the settings that x86 may need.")
    arguments = parser.parse_args()
    changed = changed_files(arguments.directory)
    for name in changed:
        print(f"missing or changed: {name}", file=sys.stderr)
    if changed:
        return 1
    goldens = json.loads((arguments.directory / "golden.json").read_text("utf-8"))
    translator = AppTranslator(arguments.directory, has_settings=not arguments.plain, threads=arguments.threads)
    languages = goldens["source_language"], goldens["target_language"]
    started = time.process_time()
    found = [translator.translate(golden["source"], *languages) for golden in goldens["sentences"]]
    seconds = time.process_time() - started
    if arguments.json is not None:
        result = {"runtime": translator.runtime.version, "seconds": seconds, "sentences": found}
        arguments.json.write_text(json.dumps(result), "utf-8")
    same = 0
    for golden, replayed in zip(goldens["sentences"], found, strict=True):
        different = [what for what in ("ids", "tokens", "text") if golden[what] != replayed[what]]
        same += not different
        for what in different[:1]:
            print(f"{golden['source']!r}: {what}: {replayed[what]!r}, not {golden[what]!r}", file=sys.stderr)
    print(f"{same} of {len(found)} goldens replayed with {translator.runtime.version}")
    return 0 if same == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())

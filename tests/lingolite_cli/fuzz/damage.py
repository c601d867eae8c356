"""Damages artifacts by a seed, opens and runs them, and prints what came of each: a process of its own, as it may die.

Usage: python damage.py ARTIFACT BACKEND SCRATCH FIRST_SEED COUNT files|manifest
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

MANIFEST = "lingolite.json"
STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    63,
    1000,
    2**31,
    2**63,
    10**9,
    10**30,
    0.5,
    1e308,
    "",
    "x",
    "../../etc/passwd",
    "a" * 5000,
    "\u202e\x1b[31m",
    "<0x41>",
    [],
    [[]],
    {},
    {"x": 1},
    ["en", "da"],
    list(range(100)),
]


def damage_bytes(data: bytes, chance: random.Random) -> bytes:
    """Flip bits, cut, double, blank or exchange a part; headers are as likely as what they head."""
    changed = bytearray(data)
    if not changed:
        return b"x"
    kind = chance.choice(["bits", "cut", "grow", "blank", "full", "repeat", "exchange"])
    reach = len(changed) if chance.random() < 0.5 else min(len(changed), 400)
    start = chance.randrange(reach)
    length = chance.choice([1, 2, 4, 8, 64, 500])
    if kind == "bits":
        for _ in range(length):
            changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del changed[start:]
    elif kind == "grow":
        changed[start:start] = bytes(chance.randrange(256) for _ in range(length))
    elif kind in ("blank", "full"):
        changed[start : start + length] = (b"\0" if kind == "blank" else b"\xff") * len(changed[start : start + length])
    elif kind == "repeat":
        changed[start:start] = changed[start : start + length]
    else:
        other = chance.randrange(reach)
        changed[start : start + length], changed[other : other + length] = (
            changed[other : other + length],
            changed[start : start + length],
        )
    return bytes(changed)


def damage_value(value: Any, chance: random.Random) -> Any:
    """One place in a JSON document replaced, removed, added or renamed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        changed = dict(value)
        kind = chance.random()
        if kind < 0.7:
            changed[key] = damage_value(value[key], chance)
        elif kind < 0.85:
            del changed[key]
        else:
            changed[chance.choice(["x", key + "x", "", "a" * 3000, "../x"])] = changed.pop(key)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.7:
        changed_list = list(value)
        place = chance.randrange(len(value))
        changed_list[place] = damage_value(value[place], chance)
        return changed_list if chance.random() < 0.8 else changed_list + value
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.5:
        return value + chance.choice([-1, 1, 2, value, -value, 10**9])
    return chance.choice(STRANGE)


def damage_file(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    if path.suffix == ".json" and chance.random() < 0.7:
        path.write_text(json.dumps(damage_value(json.loads(data), chance)), encoding="utf-8", errors="surrogatepass")
    else:
        path.write_bytes(damage_bytes(data, chance))


def digest_anew(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST).read_bytes())
    for name, entry in manifest["files"].items():
        data = (directory / name).read_bytes()
        entry["size_bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    (directory / MANIFEST).write_text(json.dumps(manifest))


def damage(source: Path, target: Path, seed: int, what: str) -> str:
    """A damaged copy; what was damaged."""
    chance = random.Random(f"{source.name} {what} {seed}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    if what == "manifest":
        manifest = target / MANIFEST
        if chance.random() < 0.2:
            manifest.write_bytes(damage_bytes(manifest.read_bytes(), chance))
        else:
            manifest.write_text(json.dumps(damage_value(json.loads(manifest.read_bytes()), chance)))
        return MANIFEST
    name = chance.choice(sorted(file.name for file in target.iterdir() if file.name != MANIFEST))
    before = (target / name).read_bytes()
    while (target / name).read_bytes() == before:
        damage_file(target / name, chance)
    if what == "files":
        digest_anew(target)
    return name


def outcome(directory: Path, backend: str) -> str:
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.decoding.options import DecodingOptions
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.errors import LingoLiteError
    from lingolite_cli.plugins.registry import load_registry
    from lingolite_cli.tokenization.opening import open_tokenizer

    try:
        artifact = Artifact.open(directory)
        tokenizer = open_tokenizer(artifact)
        engine = load_registry().resolve("backend", backend).open(artifact, threads=1)
        with closing(engine):
            capabilities = load_registry().resolve("backend", backend).spec.capabilities
            translator = Translator(
                engine,
                tokenizer,
                artifact.manifest.model,
                ("en", "da"),
                options=DecodingOptions(max_length=6),
                capabilities=capabilities,
            )
            return f"ran: {[found.text for found in translator.translate(['The boat is small.', '☃ <tgt> no'])]}"
    except LingoLiteError as error:
        if len(error.message) > 2000:
            return f"BUG: a message of {len(error.message)} characters: {error.message[:300]}"
        return f"refused: {error.message[:150]}"
    except Exception as error:
        import traceback

        return f"BUG: {type(error).__name__}: {error}\n{traceback.format_exc()}"


def main(source: str, backend: str, scratch: str, first: str, count: str, what: str) -> None:
    for seed in range(int(first), int(first) + int(count)):
        name = damage(Path(source), Path(scratch), seed, what)
        print(json.dumps({"begin": seed, "file": name}), flush=True)
        before = time.perf_counter()
        found = outcome(Path(scratch), backend)
        print(json.dumps({"end": seed, "outcome": found, "seconds": time.perf_counter() - before}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The cache of finished steps: one directory per key, written atomically and verified when read.

Owns keys and entries. A key is the SHA-256 of a canonical description of the work; an entry that was damaged
since, or that is another key's, is not an error but a miss. Artifacts lie apart from the entries, each once, under its
digest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact, is_corpus
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import partial_directory, publish_directory, write_atomic
from lingolite_cli.files.digests import canonical_json, sha256_file, sha256_json
from lingolite_cli.files.lease import sweep_dead
from lingolite_cli.files.lock import exclusive
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.translations import TRANSLATIONS_NAME

ENTRY_NAME = "entry.json"
ARTIFACT_NAME = "artifact"
STEPS = "steps"
TEXTS = "texts"
ARTIFACTS = "artifacts"


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entry.json`: what a finished step left.

    Attributes:
        key: of the work. An entry that lies under another key is none.
        host: digest of LingoLite's code that did the work; other code has other keys.
        result: of the work.
        files: SHA-256 of each file beside the entry.
        artifact: digest of the artifact that was made, which lies among the cache's artifacts.
        digest: of result, files and artifact.
    """

    key: str
    host: str
    result: StepResult
    files: dict[str, str]
    artifact: str | None
    digest: str


class CachedStep(msgspec.Struct, frozen=True):
    """A finished step in the cache.

    Attributes:
        directory: of its own files.
        entry: what is known of it.
        artifact_path: the artifact that the step made; others that made the same one have it too.
    """

    directory: Path
    entry: CacheEntry
    artifact_path: Path | None = None


class StepCache:
    """Finished steps under one directory.

    Args:
        root: made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def state_root(self) -> Path:
        """Where work that takes long keeps its state, so that it can resume after it was killed."""
        return self.root / "state"

    @property
    def texts_root(self) -> Path:
        """Where texts to train on are kept as token ids; see `lingolite_cli.training.text_cache`."""
        return self.root / TEXTS

    def find(self, key: str) -> CachedStep | None:
        """The entry for `key`, when it is whole and is that key's."""
        directory = self._directory(key)
        try:
            entry = read_entry(directory)
            artifact = None
            if entry.artifact is not None:
                artifact = open_made(self._artifact(entry.artifact))
            # Hashes every file again: a damaged entry must be a miss, never a wrong result.
            is_whole = (
                _keeps_promises(entry) and _describe(directory, entry.result, key=key, artifact=artifact) == entry
            )
        except (OSError, ValueError, RecursionError, LingoLiteError):
            return None
        return CachedStep(directory, entry, artifact.path if artifact is not None else None) if is_whole else None

    def find_artifact(self, digest: str) -> Path | None:
        """The kept artifact of that digest, when it is whole.

        Args:
            digest: as a manifest names it: anything but SHA-256 in hex is nothing that is kept here.
        """
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            return None
        path = self._artifact(digest)
        try:
            return Artifact.open(path).path if path.is_dir() else None
        except LingoLiteError:  # a damaged one is a miss
            return None

    def store(
        self, key: str, work: Callable[[Path], StepResult], *, instead_of: CachedStep | None = None
    ) -> CachedStep:
        """Do `work` in a fresh directory and keep what it wrote there, together with its result.

        An entry that another run stored meanwhile stays, and is returned: both go on with the same. So does one that is
        the same as the new one, for another run may be reading it. An artifact that the cache has already is not kept
        twice.

        Args:
            key: of the work.
            work: writes into the directory that it is given.
            instead_of: the entry that is to be replaced.
        """
        final = self._directory(key)
        with partial_directory(final) as directory:
            # As it will be read: a whole number in a float field would otherwise give two digests.
            result = msgspec.json.decode(msgspec.json.encode(work(directory)), type=StepResult)
            made = directory / ARTIFACT_NAME
            artifact = open_made(made) if made.is_dir() else None
            entry = _describe(directory, result, key=key, artifact=artifact)
            # Only publishing is locked. Two runs may do the same work at once; both go on with the first one stored.
            with self.locked():
                stored = self.find(key)
                if stored is not None and (stored.entry == entry or stored != instead_of):
                    return stored
                place = self._keep_artifact(artifact) if artifact is not None else None
                (directory / ENTRY_NAME).write_bytes(canonical_json(entry))
                publish_directory(directory, final)
        return CachedStep(final, entry, place)

    def _keep_artifact(self, made: Artifact | CorpusArtifact) -> Path:
        """Take an artifact out of the directory that it was made in, unless the same is kept already."""
        place = self._artifact(made.digest)
        try:
            is_kept = open_made(place).digest == made.digest
        except LingoLiteError:
            is_kept = False
        if is_kept:
            shutil.rmtree(made.path)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            publish_directory(made.path, place)
        return place

    def sweep(self) -> None:
        """Remove what killed processes left half-written."""
        for part in (STEPS, ARTIFACTS, TEXTS):
            for group in (self.root / part).glob("*"):
                sweep_dead(group)
        for state in self.state_root.glob("*/*"):
            sweep_dead(state)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While the block lasts, no other process changes what is in the cache."""
        with exclusive(self.root / "steps.lock"):
            yield

    @contextmanager
    def explaining_losses(self) -> Iterator[None]:
        """Explain a file that disappears from the cache during a run: another run replaced it, or it was removed.

        Raises:
            LingoLiteError: instead of the `FileNotFoundError`.
        """
        try:
            yield
        except FileNotFoundError as error:
            if error.filename is None or not Path(error.filename).is_relative_to(self.root):
                raise
            raise LingoLiteError(
                f"{error.filename} is gone: it was removed from the cache, or replaced by another run",
                hint="run the same command again: what is still there is not done again",
            ) from error

    def remember(self, recipe: str, step: str, description: dict[str, Any]) -> None:
        """Keep the description of a step's last work, so that the next plan can say what changed."""
        write_atomic(self._last(recipe, step), canonical_json(description))

    def recall(self, recipe: str, step: str) -> dict[str, Any] | None:
        """The description that `remember` kept."""
        try:
            found: dict[str, Any] = msgspec.json.decode(self._last(recipe, step).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        return found

    def _directory(self, key: str) -> Path:
        return self.root / STEPS / key[:2] / key

    def _artifact(self, digest: str) -> Path:
        return self.root / ARTIFACTS / digest[:2] / digest

    def _last(self, recipe: str, step: str) -> Path:
        return self.root / "last" / recipe / f"{step}.json"


class FollowerCache(StepCache):
    """The cache of a process that follows another one: it reads the same entries, and writes to a directory of its own.

    Args:
        root: the cache of the process that is followed.
        elsewhere: where this one's entries go.
    """

    def __init__(self, root: Path, *, elsewhere: Path) -> None:
        super().__init__(root)
        self._elsewhere = StepCache(elsewhere)

    def store(
        self, key: str, work: Callable[[Path], StepResult], *, instead_of: CachedStep | None = None
    ) -> CachedStep:
        """As `StepCache.store`, into the directory of its own."""
        return self._elsewhere.store(key, work, instead_of=instead_of)

    def remember(self, recipe: str, step: str, description: dict[str, Any]) -> None:
        """As `StepCache.remember`, into the directory of its own."""
        self._elsewhere.remember(recipe, step, description)


def open_made(path: Path) -> Artifact | CorpusArtifact:
    """What a step made, every file of it compared with its manifest: an artifact, or a corpus.

    Raises:
        LingoLiteError: it is damaged.
    """
    return CorpusArtifact.open(path, verify=True) if is_corpus(path) else Artifact.open(path)


def _describe(
    directory: Path, result: StepResult, *, key: str, artifact: Artifact | CorpusArtifact | None
) -> CacheEntry:
    names = sorted(file.name for file in directory.iterdir() if file.is_file() and file.name != ENTRY_NAME)
    files = {name: sha256_file(directory / name) for name in names}
    parts: dict[str, Any] = {"result": msgspec.to_builtins(result), "files": files}
    if artifact is not None:
        parts["artifact"] = artifact.digest
    return CacheEntry(
        key=key,
        host=host_digest(),
        result=result,
        files=files,
        artifact=artifact.digest if artifact is not None else None,
        digest=sha256_json(parts),
    )


def _keeps_promises(entry: CacheEntry) -> bool:
    """Whether an entry has what its result says: the artifact that was made, the translations that were scored."""
    made = entry.result.made
    if (made.digest if made is not None else None) != entry.artifact:
        return False
    return not isinstance(entry.result, EvaluateResult) or TRANSLATIONS_NAME in entry.files


def step_key(description: dict[str, Any]) -> str:
    """SHA-256 of the canonical description of a step's work."""
    return sha256_json(description)


def changes(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """The first differences between two descriptions, in one line."""
    if before is None:
        return "never run here"
    written = msgspec.json.decode(canonical_json(now))  # `before` was read from JSON, which knows no tuples
    found = list(_differences(before, written, ""))
    return "; ".join(found[:3]) if found else "its entry is gone from the cache"


def _differences(before: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _differences(old, new, f"{path}[{index}]")
    elif before != now:
        yield f"{path} changed from {_short(before)} to {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) > 40 else text


def read_entry(directory: Path) -> CacheEntry:
    """The entry in a directory, unverified.

    Raises:
        OSError: there is none.
        ValueError: it is no entry of this version.
    """
    return msgspec.json.decode((directory / ENTRY_NAME).read_bytes(), type=CacheEntry)


@lru_cache
def host_digest() -> str:
    """SHA-256 over the code of LingoLite, which is a part of each key."""
    return source_digest("lingolite_cli")


def source_digest(module: str) -> str:
    """SHA-256 over the Python files of the package that `module` is in, so that changed code is run again."""
    spec = find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()

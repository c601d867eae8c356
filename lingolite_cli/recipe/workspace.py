"""What a step may use while it runs: open artifacts, corpora, the results of earlier steps, and its plugins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lingolite_cli.artifact import CORPUS, Artifact
from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.corpus import Corpus, read_corpus
from lingolite_cli.files.digests import sha256_file, sha256_json
from lingolite_cli.files.integrity import FileWatch
from lingolite_cli.files.text import text_digest
from lingolite_cli.recipe.cache import CachedStep, StepCache, host_digest, open_made
from lingolite_cli.recipe.file_digests import forget_digests
from lingolite_cli.recipe.scope import Plan, PluginChoice
from lingolite_cli.runs.step_result import ArtifactSummary, CorpusSummary
from lingolite_cli.training.text_cache import TextCache


class Workspace:
    """The state of one run.

    Args:
        plan: what is run.
        console: where progress is shown.
        cache: where long work keeps its state, so that it can resume after it was killed, and texts as token ids.
        is_fresh: whether such states are ignored.

    Attributes:
        finished: the steps that are done, by id.
        digests: of each input and each finished step, by reference. Keys of later steps contain them.
    """

    def __init__(self, plan: Plan, console: Console, *, cache: StepCache, is_fresh: bool = False) -> None:
        self.plan = plan
        self.console = console
        self.state_root = cache.state_root
        self.text_cache = TextCache(cache.texts_root, host=host_digest(), is_fresh=is_fresh)
        self.is_fresh = is_fresh
        self.finished: dict[str, CachedStep] = {}
        self.digests: dict[str, str] = {}
        self._corpora: dict[str, Corpus] = {}
        self._made: dict[str, Artifact] = {}
        self._watch = FileWatch(())

    @property
    def threads(self) -> int:
        """Threads for every engine."""
        return self.plan.threads

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.plan.recipe.seed

    def read_inputs(self) -> None:
        """Compute the digests of all inputs of the recipe."""
        plan = self.plan
        self._watch = FileWatch(path for paths in self._watched().values() for path in paths)
        for reference in (*plan.models, *plan.corpora, *plan.pairs, *plan.shortlists, *plan.collections):
            self.digests[reference] = self.input_digest(reference)

    def finish(self, step: str, outcome: CachedStep) -> None:
        """Note that a step is finished, so that later ones can use its outcome."""
        self.finished[step] = outcome
        self._made.pop(step, None)
        self.digests[step] = self.input_digest(step)

    def artifact(self, reference: str) -> Artifact:
        """The artifact of an input or a finished step."""
        if reference in self.plan.models:
            return self.plan.models[reference]
        if reference not in self._made:
            path = self.finished[reference].artifact_path
            assert path is not None, f"step {reference} made no artifact"
            # The cache verified it when it was found or stored.
            self._made[reference] = Artifact.open(path, verify=False)
        return self._made[reference]

    def collection(self, reference: str) -> CorpusArtifact:
        """The corpus of an input or a finished step."""
        if reference in self.plan.collections:
            return self.plan.collections[reference]
        path = self.finished[reference].artifact_path
        assert path is not None, f"step {reference} made no corpus"
        return CorpusArtifact.open(path)

    def check_artifacts(self) -> None:
        """Make sure, before a result is kept, that the artifacts of this run are still what its keys say.

        Engines open some of their files late, and a result that was computed with others would be found under the
        digest of these for good.

        Raises:
            LingoLiteError: a file was changed while it was used.
        """
        for artifact in (*self.plan.models.values(), *self.plan.collections.values(), *self._made.values()):
            if not artifact.is_undisturbed():
                artifact.verify()

    def check_untouched(self, references: Iterable[str]) -> None:
        """Make sure that inputs that are read late, texts to train on and shortlists, are what they were at first.

        Raises:
            LingoLiteError: a file was changed, perhaps for a moment: other content may have been read under its digest.
        """
        watched = self._watched()
        self._watch.check(path for reference in references for path in watched.get(reference, ()))

    def _watched(self) -> dict[str, list[Path]]:
        plan = self.plan
        pairs = {reference: spec.paths(plan.root) for reference, spec in plan.pairs.items()}
        return {**pairs, **{reference: [path] for reference, path in plan.shortlists.items()}}

    def open_backend(self, choice: PluginChoice, artifact: Artifact) -> Any:
        """The engine behind a planned backend, in this process."""
        return choice.loaded.open(artifact, options=choice.options, threads=self.threads)

    def corpus(self, reference: str) -> Corpus:
        """A text input, read once per run."""
        if reference not in self._corpora:
            spec = self.plan.corpora[reference]
            name = reference.removeprefix("inputs.")
            self._corpora[reference] = read_corpus(spec, name=name, root=self.plan.root)
        return self._corpora[reference]

    def input_digest(self, reference: str) -> str:
        """Digest of what `reference` names: an artifact, a text, or the whole outcome of a finished step."""
        if reference in self.plan.corpora:
            return self.corpus(reference).digest
        if reference in self.plan.pairs:
            return self._pairs_digest(reference)
        if reference in self.plan.shortlists:
            return sha256_file(self.plan.shortlists[reference])
        if reference in self.plan.collections:
            return self.plan.collections[reference].digest
        if reference in self.plan.models:
            return self.plan.models[reference].digest
        entry = self.finished[reference].entry
        return entry.digest if entry.artifact is None else entry.artifact

    def digests_now(self, references: Iterable[str]) -> dict[str, str]:
        """The digests of inputs and finished steps as their files are on disk at this moment.

        A text to evaluate on is in memory, and what was read then is what its digest says.

        Raises:
            LingoLiteError: a file of an artifact was changed or removed.
        """
        forget_digests()
        return {reference: self._digest_now(reference) for reference in references}

    def _digest_now(self, reference: str) -> str:
        if reference in self.plan.models:
            return Artifact.open(self.plan.models[reference].path).digest
        if reference in self.plan.collections:
            return CorpusArtifact.open(self.plan.collections[reference].path).digest
        made = self.finished[reference].artifact_path if reference in self.finished else None
        return self.input_digest(reference) if made is None else open_made(made).digest

    def _pairs_digest(self, reference: str) -> str:
        """Digest of the whole files: which of their rows are good is only found in training."""
        spec = self.plan.pairs[reference]
        files = [text_digest(path) for path in spec.paths(self.plan.root)]
        return sha256_json({"files": files, "short_share": spec.short_share})

    def create(self, choice: PluginChoice, *arguments: Any, **keywords: Any) -> Any:
        """Make the object behind a planned plugin."""
        return choice.loaded.create(*arguments, options=choice.options, **keywords)


def summarize_collection(corpus: CorpusArtifact) -> ArtifactSummary:
    """The summary of a corpus in shards for a record, as `summarize_artifact` of a model."""
    return ArtifactSummary(path="", format=CORPUS, digest=corpus.digest, size_bytes=corpus.size_bytes)


def summarize_artifact(artifact: Artifact) -> ArtifactSummary:
    """The summary of an artifact for a record, without its path: that is known when the run is recorded."""
    quantization = artifact.manifest.quantization
    return ArtifactSummary(
        path="",
        format=artifact.manifest.format,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        scheme=quantization.scheme if quantization else None,
    )


def summarize_corpus(corpus: Corpus, *, num_samples: int, languages: tuple[str, str]) -> CorpusSummary:
    """The summary of a corpus for a record."""
    return CorpusSummary(name=corpus.name, digest=corpus.digest, num_samples=num_samples, languages=languages)

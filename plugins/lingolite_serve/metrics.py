"""The metrics of a server, for Prometheus.

Owns the names and buckets of metrics; each server has a registry of its own.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder

from lingolite_cli.environment import VERSION
from lingolite_cli.evaluation.faults import FAULTS
from lingolite_cli.serving.batcher import BatchReport
from lingolite_cli.serving.sample import SampledRequest, SampleLog
from lingolite_cli.serving.service import TranslationService

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SENTENCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ServerMetrics:
    """Counts requests, batches and faults.

    Args:
        service: what is served.
        log: where requests are recorded, if anywhere.
    """

    def __init__(self, service: TranslationService, log: SampleLog | None) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "lingolite_requests", "Requests by what became of them", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "lingolite_request_seconds",
            "Arrival to answer, of translated requests",
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "lingolite_queue_seconds", "Wait for a batch, longest of a request", buckets=_SECONDS, registry=registry
        )
        self._sentences = Counter("lingolite_sentences", "Sentences of translated requests", registry=registry)
        self._tokens = Counter("lingolite_tokens", "Source and target tokens of batches", ["side"], registry=registry)
        self._faults = Counter(
            "lingolite_faults", "Sentences whose translation has a fault", ["kind"], registry=registry
        )
        self._batch_sentences = Histogram(
            "lingolite_batch_sentences", "Sentences of a batch", buckets=_SENTENCES, registry=registry
        )
        self._batch_seconds = Histogram(
            "lingolite_batch_seconds", "Sending to a worker to its answer", buckets=_SECONDS, registry=registry
        )
        for kind in FAULTS:
            self._faults.labels(kind)
        waiting = Gauge("lingolite_waiting_sentences", "Sentences that wait for a batch", registry=registry)
        waiting.set_function(lambda: service.batcher.num_waiting)
        batches = Gauge("lingolite_batches_in_progress", "Batches that are with the workers", registry=registry)
        batches.set_function(lambda: service.batcher.num_batches)
        if log is not None:
            lost = Gauge("lingolite_sample_log_lost_lines", "Lines that could not be written", registry=registry)
            lost.set_function(lambda: log.num_lost)
        Info("lingolite_server", "What is served", registry=registry).info({"model": service.model, "version": VERSION})
        service.batcher.watch(self._batch)

    def request(self, sample: SampledRequest) -> None:
        """Count a request that has its answer."""
        self._requests.labels(sample.outcome).inc()
        if sample.outcome != "done":
            return
        self._seconds.observe(sample.latency_ms / 1000)
        self._waited.observe(sample.waited_ms / 1000)
        self._sentences.inc(len(sample.sentences))
        for sentence in sample.sentences:
            for kind in sentence.faults:
                self._faults.labels(kind).inc()

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the form that a client accepts, and the name of that form."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _batch(self, batch: BatchReport) -> None:
        self._batch_sentences.observe(batch.num_sentences)
        self._batch_seconds.observe(batch.seconds)
        self._tokens.labels("source").inc(batch.num_source_tokens)
        self._tokens.labels("target").inc(batch.num_target_tokens)

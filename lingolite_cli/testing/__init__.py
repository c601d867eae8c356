"""Contracts that the authors of plugins run against their plugins, with pytest.

Subclass one, name the plugin, and pytest runs the whole suite:

    from lingolite_cli.testing import BackendContract

    class TestMine(BackendContract):
        plugin = "mine"

What the plugin declares must pass; what it does not declare is skipped, with the reason.
"""

from lingolite_cli.testing.backend_contract import BackendContract
from lingolite_cli.testing.executor_contract import ExecutorContract
from lingolite_cli.testing.exporter_contract import ExporterContract
from lingolite_cli.testing.importer_contract import ImporterContract
from lingolite_cli.testing.metric_contract import MetricContract
from lingolite_cli.testing.quantizer_contract import QuantizerContract
from lingolite_cli.testing.reporter_contract import ReporterContract
from lingolite_cli.testing.sample_run import sample_run
from lingolite_cli.testing.server_contract import ServerContract
from lingolite_cli.testing.tiny import LANGUAGES, SENTENCES, tiny_bundle, tiny_tokenizer

__all__ = [
    "LANGUAGES",
    "SENTENCES",
    "BackendContract",
    "ExecutorContract",
    "ExporterContract",
    "ImporterContract",
    "MetricContract",
    "QuantizerContract",
    "ReporterContract",
    "ServerContract",
    "sample_run",
    "tiny_bundle",
    "tiny_tokenizer",
]

"""A plugin whose engine is an extra that is not installed: what users are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import lingolite_coreml
import lingolite_ctranslate2
import lingolite_litert
import pytest

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins import registry
from lingolite_cli.plugins.manager import LoadedModule, Origin, PluginHost
from lingolite_cli.plugins.registry import Health, Registry


@pytest.mark.parametrize(
    ("plugin", "name", "missing"),
    [(lingolite_ctranslate2, "ctranslate2", "ctranslate2"), (lingolite_litert, "litert", "ai_edge_litert")],
    ids=["ctranslate2", "litert"],
)
def test_a_missing_engine_is_unavailable_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, plugin: Any, name: str, missing: str
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda module: None if module == missing else object())
    specs: list[tuple[str, Any]] = [("backend", spec) for spec in plugin.lingolite_backends()]
    specs += [("exporter", spec) for spec in plugin.lingolite_exporters()]
    module = LoadedModule(Origin(name, "lingolite", "1", plugin.__name__), tuple(specs))
    plugins = Registry(cast("PluginHost", SimpleNamespace(modules=[module])))
    assert [(entry.health, entry.reason) for entry in plugins.entries] == [(Health.UNAVAILABLE, f"needs {missing}")] * 2
    with pytest.raises(LingoLiteError, match=f"backend `{name}` cannot be used: unavailable") as error:
        plugins.resolve("backend", name)
    assert error.value.hint == f'run `pip install "lingolite[{name}]"`'
    assert error.value.exit_code == ExitCode.PLUGIN


def test_an_engine_of_another_system_is_unavailable_by_the_systems_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: object())
    monkeypatch.setattr("sys.platform", "linux")
    specs: list[tuple[str, Any]] = [("backend", spec) for spec in lingolite_coreml.lingolite_backends()]
    module = LoadedModule(Origin("coreml", "lingolite", "1", "lingolite_coreml"), tuple(specs))
    plugins = Registry(cast("PluginHost", SimpleNamespace(modules=[module])))
    with pytest.raises(LingoLiteError, match="`coreml` cannot be used: unavailable: works on macOS only") as error:
        plugins.resolve("backend", "coreml")
    assert "pip install" not in (error.value.hint or "")
    assert plugins.backends_for("coreml") == ["coreml-reference"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert Registry(plugins.host).backends_for("coreml") == ["coreml", "coreml-reference"]


def test_the_engine_to_install_is_named_and_not_one_of_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.platform", "linux")
    specs: list[tuple[str, Any]] = [("backend", spec) for spec in lingolite_coreml.lingolite_backends()]
    module = LoadedModule(Origin("coreml", "lingolite", "1", "lingolite_coreml"), tuple(specs))
    plugins = Registry(cast("PluginHost", SimpleNamespace(modules=[module])))
    assert plugins.backends_for("coreml") == [], "what only reads records is not taken for an engine"
    error = plugins.no_backend("coreml")
    assert "`coreml-reference`, which does, needs coremltools" in error.message
    assert error.hint == 'run `pip install "lingolite[coreml]"`'

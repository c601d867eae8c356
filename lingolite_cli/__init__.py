"""LingoLite: from a trained translation model to a file that a phone can run, proven on the way.

The names below are imported when they are first used, so that `import lingolite_cli` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lingolite_cli.workers import telemetry

if TYPE_CHECKING:
    from lingolite_cli.api import evaluate_model, export_full_model, translate, translate_stream
    from lingolite_cli.model import (
        MobileTranslationModel,
        apply_dynamic_quantization,
        apply_static_quantization,
        convert_qat_model,
        load_bundle,
        prepare_model_for_qat,
        save_bundle,
    )

    __version__: str

telemetry.switch_off()  # here, because no engine is imported before this package is

__all__ = [
    "MobileTranslationModel",
    "apply_dynamic_quantization",
    "apply_static_quantization",
    "convert_qat_model",
    "evaluate_model",
    "export_full_model",
    "load_bundle",
    "prepare_model_for_qat",
    "save_bundle",
    "translate",
    "translate_stream",
]

_API_NAMES = {"evaluate_model", "export_full_model", "translate", "translate_stream"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("lingolite_cli.environment").VERSION
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _API_NAMES:
        return getattr(import_module("lingolite_cli.api"), name)
    extras = import_module("lingolite_cli.plugins.extras")
    extras.require(extras.TORCH, what=f"`lingolite_cli.{name}`")
    return getattr(import_module("lingolite_cli.model"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""The backend `device`: the model files of a device bundle, in the engine of the format that they have.

Owns the choice of that engine alone: `eval`, `verify` and `bench` run the very files that ship.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import Loaded, load_registry
from lingolite_device.details import carried_artifact
from lingolite_device.options import DeviceBackendOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.plugins.interfaces import State


class DeviceBackend:
    """Runs a device bundle; see `lingolite_cli.plugins.interfaces.Backend`.

    Args:
        artifact: made by the exporter `device`.
        options: the backend inside.
        threads: for the engine.

    Attributes:
        warnings: those of the backend inside.

    Raises:
        LingoLiteError: the bundle is packed, or no installed backend runs what is inside.
    """

    def __init__(self, artifact: Artifact, *, options: DeviceBackendOptions, threads: int) -> None:
        inner = carried_artifact(artifact)
        self._engine = _engine(inner.manifest.format, options).open(inner, threads=threads)
        self.warnings: Sequence[str] = getattr(self._engine, "warnings", ())

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: DeviceBackendOptions) -> Arithmetic:
        """How the engine inside computes; see `lingolite_cli.plugins.interfaces.DeclaredBackend`.

        Raises:
            LingoLiteError: the backend of that engine does not declare the capability `arithmetic`.
        """
        inner = carried_artifact(artifact)
        loaded = _engine(inner.manifest.format, options)
        if "arithmetic" not in loaded.spec.capabilities:
            raise LingoLiteError(
                f"backend `{loaded.spec.name}` does not say how it computes", hint="verify without its bundle"
            )
        factory: Any = loaded.load_factory()
        found: Arithmetic = factory.arithmetic(inner, bundle, loaded.options())
        return found

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_device.data import data_differences  # imports templates, which running a bundle does not need

        inner = carried_artifact(artifact)
        loaded = load_registry().backend_running(inner.manifest.format, None)
        factory: Any = loaded.load_factory()
        carried = factory.data_differences(inner, bundle) if "data" in loaded.spec.capabilities else []
        return [*data_differences(artifact, bundle), *carried]

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> State:
        """See `Backend`."""
        return self._engine.encode(source_ids, source_mask)

    def step(self, state: State, tokens: IntArray) -> FloatArray:
        """See `Backend`."""
        logits: FloatArray = self._engine.step(state, tokens)
        return logits

    def select(self, state: State, rows: IntArray) -> State:
        """See `Backend`."""
        return self._engine.select(state, rows)

    def close(self) -> None:
        """See `Backend`."""
        self._engine.close()


def _engine(format: str, options: DeviceBackendOptions) -> Loaded:
    return load_registry().backend_running(format, options.backend)

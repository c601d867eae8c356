"""What of an architecture an engine has, and the refusal of what it lacks, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import LingoLiteError


def require_supported(
    architecture: Architecture, supported: Mapping[str, Collection[object]], *, engine: str, hint: str
) -> None:
    """Refuse an architecture that an engine cannot compute.

    Args:
        architecture: of the model.
        supported: by field of `Architecture`, the values that the engine has; for `positions` their kinds. A field that
            is not named may have any value.
        engine: what to call it.
        hint: what to do.

    Raises:
        LingoLiteError: naming the fields and values that it lacks.
    """
    values = msgspec.to_builtins(msgspec.structs.asdict(architecture))
    values["positions"] = values["positions"]["kind"]
    lacking = [f"{name} {_shown(values[name])}" for name, known in supported.items() if values[name] not in known]
    if lacking:
        raise LingoLiteError(f"{engine} does not have this architecture: it lacks {', '.join(lacking)}", hint=hint)


def require_trainable(architecture: Architecture, *, engine: str) -> None:
    """Refuse an architecture that training does not have.

    Raises:
        LingoLiteError: naming what it lacks.
    """
    # PyTorch computes recurrent units token after token, in Python: right for translation, and no way to train.
    require_supported(
        architecture,
        {"decoder_recurrence": ("attention",)},
        engine=engine,
        hint="train a model whose decoder has self-attention; this one can be quantized after training",
    )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

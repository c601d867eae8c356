"""The contract of backends, put together from its parts."""

from __future__ import annotations

from lingolite_cli.testing.backend_declarations import DeclarationsContract
from lingolite_cli.testing.backend_logits import LogitsContract
from lingolite_cli.testing.backend_searches import SearchContract
from lingolite_cli.testing.backend_sharing import SharingContract


class BackendContract(LogitsContract, SearchContract, SharingContract, DeclarationsContract):
    """Everything that the host relies on in a backend.

    Attributes:
        tolerance: largest absolute difference between logits that should be the same number.
        rounding: for a backend that rounds activations to integers, where a difference in the last bit can move a
            value by a whole step: how far the logits of such a sentence may be apart. `CLOSE_SHARE` of the sentences
            must keep to `tolerance`, and of the translations to each token. 0 for other backends.
        reference: a backend whose logits this one must give with the same weights, or None; an engine that gives no
            logits is held to its translations.
        reference_tolerance: largest absolute difference to its logits, or to its scores.
    """

"""What is known of a runtime's arithmetic before it translates."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')

from lingolite_litert import probe  # noqa: E402
from lingolite_litert.details import LitertDetails, Rounding  # noqa: E402
from lingolite_litert.probe_model import probe_file  # noqa: E402


def _details(activations: Rounding) -> LitertDetails:
    return LitertDetails(
        max_seq_len=8, weights="int8", activations=activations, min_runtime_version="2.18.0", litert_version="2.3.0"
    )


def test_the_stored_model_is_the_one_that_is_described() -> None:
    stored = probe.files("lingolite_litert").joinpath(probe.MODEL).read_bytes()
    assert stored == probe_file(), "write it anew: python -m lingolite_litert.probe_model"


def test_the_probe_tells_xnnpack_from_the_runtimes_own_operators() -> None:
    assert probe.rounding_of("xnnpack") == "per-row asymmetric"
    assert probe.rounding_of("none") == "per-row symmetric"
    assert "in XNNPACK here" in probe.diagnosis()


@pytest.mark.parametrize(
    ("activations", "delegate", "said"),
    [
        ("float32", "none", None),
        ("per-row symmetric", "xnnpack", None),
        ("per-row asymmetric", "xnnpack", None),
        ("per-row symmetric", "none", "1/127 coarser"),
        ("per-row asymmetric", "none", "several times as long"),
    ],
)
def test_users_are_warned_where_another_arithmetic_runs(activations: Rounding, delegate: str, said: str | None) -> None:
    found = probe.warnings_of(_details(activations), delegate)
    assert len(found) == (said is not None)
    assert all(said in warning for warning in found if said)

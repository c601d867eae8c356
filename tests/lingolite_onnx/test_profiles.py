"""Profiles are declared once, and what they declare is there and is called as it is declared."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints

import pytest
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.options import OnnxExportOptions
from lingolite_onnx.profiles import PROFILES, CheckGraphs, DescribeGraphs, OpenRunner, Profile, WriteGraphs

PARTS = {
    "write_graphs": WriteGraphs,
    "check_graphs": CheckGraphs,
    "describe_graphs": DescribeGraphs,
    "open_runner": OpenRunner,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_each_part_of_a_profile_takes_what_it_is_called_with(profile: Profile, part: str) -> None:
    """mypy cannot see that: parts are imported by name, so that whoever runs graphs loads no builder."""
    asked = list(inspect.signature(PARTS[part].__call__).parameters.values())[1:]
    found = list(inspect.signature(getattr(profile, part)).parameters.values())
    assert [(parameter.name, parameter.kind, parameter.annotation) for parameter in found] == [
        (parameter.name, parameter.kind, parameter.annotation) for parameter in asked
    ]


@pytest.mark.parametrize("where", [OnnxExportOptions, OnnxExportDetails])
def test_options_and_manifests_know_each_profile_by_its_name(where: type) -> None:
    assert set(get_args(get_type_hints(where)["profile"])) == set(PROFILES)

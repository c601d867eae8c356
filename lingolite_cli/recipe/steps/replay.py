"""`replay`: the goldens of what ships, on this machine and on emulated processors."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import field

from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.emulation.platforms import (
    NATIVE,
    PLATFORMS,
    find_platform,
    missing_part,
    missing_system,
    processor,
    require_emulation,
)
from lingolite_cli.emulation.replaying import (
    PlatformReplay,
    is_replayable,
    replay_goldens,
    replay_goldens_by,
    replaying_backend,
    requirements_of,
    what_it_lacks,
)
from lingolite_cli.environment import cpu_features
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.measured_results import ReplayResult

_BUDGET = "goldens_min"
_NO_SCRIPT = "has no script that replays its goldens on Linux"
_NO_SCRIPT_HINT = "export ONNX or LiteRT files in the format `device`"
_INSTALL = "`lingolite plugins show {}` says how to install it; or set if_prepared"


class ReplayStep(Step, tag="replay", frozen=True, kw_only=True):
    """Replay the goldens of an artifact: of a device bundle by its own script, of a page in Chromium.

    `platforms` are `native`, `arm64` and `x86-without-vnni`. The last two are emulated, and prepared by
    `lingolite verify DIR --on PLATFORM --prepare`. With `if_prepared`, those that are not are left out, and the report
    says so; so it is where the browser of a page is not there. Every golden must be equal on every platform, unless
    `budget` has another `goldens_min`.
    """

    model: str
    platforms: tuple[str, ...] = (NATIVE,)
    if_prepared: bool = False
    budget: dict[str, float] = field(default_factory=lambda: {_BUDGET: 1.0})


class PlannedReplay(PlannedStep, frozen=True, kw_only=True):
    """A `replay` step, and why some of its platforms are left out."""

    step: ReplayStep
    left_out: dict[str, str]
    backend: PluginChoice | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact."""
        return (self.step.model,)

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The backend that runs the artifact's own code, where no script does."""
        return () if self.backend is None else (self.backend,)


def _check(step: ReplayStep, scope: Scope) -> PlannedReplay:
    """Refuse an unknown platform, one that is not prepared, and an artifact without goldens."""
    format = scope.artifact_format(step, "model", step.model)
    entry = replaying_backend(scope.registry, format)
    if entry is None and step.model in scope.models and not is_replayable(scope.models[step.model].manifest):
        raise scope.error(step, "model", f"`{step.model}` {_NO_SCRIPT}", hint=_NO_SCRIPT_HINT)
    if not step.platforms:
        raise scope.error(step, "platforms", "there is nothing to replay on", hint=f"name one, such as {NATIVE}")
    scope.check_budget(step, step.budget, known=[_BUDGET])
    left_out = {}
    for name in step.platforms:
        if name not in PLATFORMS:
            raise scope.error(step, "platforms", f"there is no `{name}`", hint=did_you_mean(name, PLATFORMS))
        if entry is not None and name != NATIVE:
            only = f"backend `{entry.name}` replays artifacts of format {format} on {NATIVE} only"
            raise scope.error(step, "platforms", only, hint=f"leave out `{name}`")
        why = _why_not(name) if entry is None else what_it_lacks(entry)
        if why is not None and not step.if_prepared:
            prepare = f"run `lingolite verify DIR --on {name} --prepare`, or set if_prepared"
            raise scope.error(step, "platforms", why, hint=prepare if entry is None else _INSTALL.format(entry.name))
        if why is not None:
            left_out[name] = why
    backend = None
    if entry is not None and not left_out:
        backend = scope.plugin(step, "model", kind="backend", name=entry.name, options={})
    return PlannedReplay(
        step=step,
        left_out=left_out,
        backend=backend,
        options={"left_out": left_out, "cpu_features": cpu_features() if NATIVE in step.platforms else []},
        judgement={"budget": step.budget},
        summary=f"the goldens of {step.model} on {', '.join(step.platforms)}",
    )


def _why_not(name: str) -> str | None:
    """Why a platform is not ready, as far as it is known before the artifact is there."""
    one = find_platform(name)
    try:
        if one.emulator is not None:
            require_emulation(name)
    except LingoLiteError as error:
        return error.message
    missing = missing_system(one)
    return None if missing is None else f"platform `{name}` is not prepared: {missing}"


def _run(planned: PlannedReplay, workspace: Workspace, directory: Path) -> ReplayResult:
    """Replay."""
    step = planned.step
    artifact = workspace.artifact(step.model)
    is_run = any(name not in planned.left_out for name in step.platforms)
    if is_run and planned.backend is None and not is_replayable(artifact.manifest):
        raise LingoLiteError(f"step `{step.id}`: `{step.model}` {_NO_SCRIPT}", hint=_NO_SCRIPT_HINT)
    found = []
    with workspace.console.progress(step.id, total=len(step.platforms)) as progress:
        for name in progress.track(step.platforms):
            one = find_platform(name)
            why = planned.left_out.get(name)
            if why is None and planned.backend is not None:
                found.append(replay_goldens_by(planned.backend.loaded, artifact))
                continue
            if why is None and (missing := missing_part(one, requirements_of(artifact))) is not None:
                why = f"platform `{name}` is not prepared: {missing}"
                if not step.if_prepared:
                    raise LingoLiteError(why, hint=f"run `lingolite verify DIR --on {name} --prepare`")
            if why is None:
                found.append(replay_goldens(artifact, one))
            else:
                found.append(PlatformReplay(platform=name, processor=processor(one), why_not=why))
    return ReplayResult(artifact=summarize_artifact(artifact), platforms=found, verdicts=[])


def _judge(planned: PlannedReplay, workspace: Workspace, result: ReplayResult) -> ReplayResult:
    """Every platform that was run counts; the worst is judged. Where none was, there is nothing to judge."""
    if all(one.why_not is not None for one in result.platforms):
        return result
    shares = [one.num_equal / one.num_goldens for one in result.platforms if one.num_goldens]
    measured = MeasuredFigures(goldens=min(shares, default=None))
    verdicts = judge_all(planned.step.budget, BUDGETS, measured, allow_inconclusive=False)
    return msgspec.structs.replace(result, verdicts=verdicts)


KIND = StepKind(table=ReplayStep, result=ReplayResult, check=_check, run=_run, judge=_judge)

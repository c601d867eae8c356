"""What starting the command costs, told by the modules that it imports and not by a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment

HEAVY = (
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "sentencepiece",
    "sacrebleu",
    "safetensors",
    "matplotlib",
    "jinja2",
    "starlette",
    "uvicorn",
)

SCRIPT = """
import sys
from lingolite_cli.app import main
try:
    main()
except SystemExit as end:
    code = end.code
sys.stderr.write("\\n" + " ".join(["imported", *(name for name in {names!r} if name in sys.modules)]))
sys.exit(code)
"""


def imported(*arguments: str, cwd: Path, echo: Path, names: tuple[str, ...]) -> list[str]:
    """Which of the modules `names` a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(names=names), *arguments],
        cwd=cwd,
        env=environment([echo]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout
    return done.stderr.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("plugins", "list"),
        ("plugins", "show", "cached"),
        ("translate", "--help"),
        ("serve", "--help"),
        ("monitor", "--help"),
        ("inspect", "model", "--json"),
        ("recipes", "check", "recipes/small.toml"),
        ("recipes", "show", "recipes/small.toml"),
        ("run", "--plan", "--json", "recipes/small.toml"),
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(project: Path, echo: Path, arguments: tuple[str, ...]) -> None:
    assert imported(*arguments, cwd=project, echo=echo, names=(*HEAVY, "rich")) == []


def test_a_plan_needs_a_table_and_no_engine(project: Path, echo: Path) -> None:
    names = (*HEAVY, "rich")
    assert imported("run", "--plan", "recipes/small.toml", cwd=project, echo=echo, names=names) == ["rich"]


def test_a_run_without_torch_imports_no_torch(project: Path, echo: Path) -> None:
    """Also the proof that the script would notice."""
    found = imported("run", "recipes/small.toml", cwd=project, echo=echo, names=("torch", "numpy", "onnxruntime"))
    assert found == ["numpy"]


def test_importing_the_package_costs_nothing() -> None:
    script = (
        f"import sys, lingolite_cli; print(*(name for name in {(*HEAVY, 'typer', 'msgspec')} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


def test_the_python_api_needs_no_command_line(project: Path) -> None:
    """`import lingolite_cli.api`, and a translation, leave Typer and click alone."""
    script = (
        "import sys\n"
        "import lingolite_cli.api\n"
        "assert lingolite_cli.api.translate('She reads.', backend='cached', max_length=8)\n"
        "print(*(name for name in ('typer', 'click', 'rich', 'lingolite_cli.commands') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == []


def test_the_root_of_the_package_holds_ten_modules() -> None:
    """Everything else has a room: see docs/architecture.md."""
    root = Path(__file__).resolve().parent.parent / "lingolite_cli"
    modules = {path.stem for path in root.glob("*.py")} - {"__init__"}
    assert modules == {
        *("__main__", "api", "app", "arrays", "artifact"),
        *("console", "environment", "errors", "schema", "settings"),
    }


def test_help_imports_no_command_but_the_one_that_is_asked(project: Path, echo: Path) -> None:
    """Nor what commands work with: kinds of step, plugins, the cache."""
    names = (
        *(f"lingolite_cli.commands.{name}" for name in ("run", "translate", "verify", "bench", "history")),
        *("lingolite_cli.recipe.kinds", "lingolite_cli.execution.runner", "lingolite_cli.plugins.registry", "msgspec"),
    )
    assert imported("--help", cwd=project, echo=echo, names=names) == []
    own = {"lingolite_cli.commands.translate", "lingolite_cli.plugins.registry", "msgspec"}
    assert set(imported("translate", "--help", cwd=project, echo=echo, names=names)) == own

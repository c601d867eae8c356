"""The kinds of step, one file each, which declares its kind as `KIND`.

To add a kind, write three files:

1. `lingolite_cli/recipe/steps/NAME.py`: the step's table (a `Step` with the tag NAME), what it is once it passed its
   checks (a `PlannedStep` with what it uses, by name), its check, its work, what judges it if it has budgets, and
   `KIND = StepKind(...)`, which `lingolite_cli.recipe.kinds` finds by itself. Torch, numpy and engines are imported
   inside functions that do the work.
2. `lingolite_cli/runs/made_results.py` or `measured_results.py`: the result, with the same tag. Its place in the union
   `StepResult` is in `results.py`.
3. `lingolite_cli/views`: what is shown of the result at the end of a run.

Recipes, `[defaults.NAME]`, cache, locks, history and the records of runs need nothing more. What several kinds share,
or what is too large for one file, is in `lingolite_cli.recipe.work`.
"""

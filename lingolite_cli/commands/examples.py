"""Examples below the help of each command, and the guide to read on in."""

from __future__ import annotations

from typing import NamedTuple


class Examples(NamedTuple):
    """What stands below a command's help: command lines without `lingolite`, and the name of a guide."""

    lines: tuple[str, ...]
    guide: str


EXAMPLES = {
    "": Examples(("init --starter demo", "run mobile", 'translate "Good morning."'), "recipes"),
    "run": Examples(
        (
            "run mobile",
            "run recipes/mobile.toml --plan",
            "run mobile --set shipped.beam_size=4",
            "run mobile --matrix int8.method=dynamic-int8,fp16 --workers 2",
        ),
        "recipes",
    ),
    "eval": Examples(("eval", "eval --source test.en --target test.da --json", "eval --test-set wmt22"), "recipes"),
    "quantize": Examples(
        ("quantize --method dynamic-int8 --out int8", "quantize --search --budget chrf_drop_max=0.5 --out mixed"),
        "quantization",
    ),
    "export": Examples(
        ("export --model int8 --out onnx", "export --model int8 --format ctranslate2 --out ct2"), "onnx"
    ),
    "shortlist": Examples(("shortlist --text train.tsv --out shortlist.safetensors",), "performance"),
    "verify": Examples(("verify onnx", "verify onnx --budget bleu_drop_max=0.5 --budget size_mb_max=10"), "proof"),
    "verify-lock": Examples(("verify-lock mobile",), "recipes"),
    "compare": Examples(("compare model int8", "compare runs/mobile/latest old.jsonl --json"), "recipes"),
    "history": Examples(("history", "history --since 30d --plot history.html"), "history"),
    "history show": Examples(("history show 3f2a",), "history"),
    "history import": Examples(("history import ../other/runs/mobile/latest",), "history"),
    "bench": Examples(("bench --system onnx --system onnx@dynamic-int8", "bench --num-sentences 256"), "performance"),
    "translate": Examples(
        ('translate "Good morning."', "translate --file film.srt --output film.da.srt", "translate < notes.txt"),
        "translation",
    ),
    "corpus": Examples(("corpus import train.tsv --languages en-da --out corpus", "corpus show corpus"), "corpora"),
    "corpus show": Examples(("corpus show corpus", "corpus show corpus --lines 0 --json"), "corpora"),
    "corpus import": Examples(
        (
            "corpus import train.tsv --languages en-da --out corpus",
            "corpus import news.en.gz --languages en --licence CC0-1.0 --out news",
        ),
        "corpora",
    ),
    "corpus export": Examples(("corpus export corpus train.tsv.gz", "corpus export corpus text.en text.da"), "corpora"),
    "corpus filter": Examples(
        ("corpus filter corpus --out clean", "corpus filter corpus --filter numbers,duplicates --out clean"), "corpora"
    ),
    "corpus sample": Examples(("corpus sample corpus --lines 1000 --out sample",), "corpora"),
    "corpus split": Examples(("corpus split corpus --part dev=1000 --part test=1000 --out parts",), "corpora"),
    "serve": Examples(("serve onnx --workers 2", "serve onnx --sample-log served.jsonl"), "serving"),
    "monitor": Examples(
        (
            "monitor served.jsonl --run runs/mobile/latest",
            "monitor served.jsonl --budget served_latency_p95_ms_max=500",
        ),
        "serving",
    ),
    "train": Examples(("train starter", "train recipes/starter.toml --resume"), "training"),
    "import": Examples(("import model_best.pt --tokenizer tokenizer/ --out model",), "training"),
    "init": Examples(("init --starter demo", "init --model model --test test.tsv"), "recipes"),
    "doctor": Examples(("doctor", "doctor --json"), "troubleshooting"),
    "inspect": Examples(("inspect model", "inspect onnx --json"), "plugins"),
    "docs": Examples(("docs", "docs recipes"), "recipes"),
    "recipes": Examples(("recipes list",), "recipes"),
    "recipes list": Examples(("recipes list", "recipes list --json"), "recipes"),
    "recipes check": Examples(("recipes check mobile",), "recipes"),
    "recipes show": Examples(("recipes show mobile",), "recipes"),
    "plugins": Examples(("plugins list",), "plugins"),
    "plugins list": Examples(("plugins list", "plugins list --json"), "plugins"),
    "plugins show": Examples(("plugins show onnx",), "plugins"),
    "plugins check": Examples(("plugins check onnx",), "plugins"),
    "plugins new": Examples(("plugins new wordcount --kind metric",), "plugins"),
    "cache": Examples(("cache show",), "recipes"),
    "cache show": Examples(("cache show",), "recipes"),
    "cache prune": Examples(("cache prune", "cache prune --older-than 30"), "recipes"),
}
"""By the words of the command."""


def examples_of(command: str) -> str:
    """The text below the help of a command, such as `lingolite recipes check`; empty for one of other programs."""
    found = EXAMPLES.get(command.partition(" ")[2])
    if found is None:
        return ""
    return "\n".join(
        ["Examples:", *(f"  lingolite {line}" for line in found.lines), f"\nGuide: lingolite docs {found.guide}\n"]
    )

"""Translations by the package `bergamot` 0.4.5, for `students.py`; runs in the CPython 3.10 that its wheel is for.

    python3.10 bergamot_worker.py bergamot/_bergamot.cpython-310-x86_64-linux-gnu.so MODEL_DIRECTORY

Each line of stdin is a JSON list of batches, each a list of lines; each line of stdout the CPU seconds that they took.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

CONFIGURATION = """
models: [{model}]
vocabs: [{vocabulary}, {vocabulary}]
shortlist: [{shortlist}, false]
beam-size: 1
normalize: 1.0
word-penalty: 0
max-length-break: 128
mini-batch-words: 1024
workspace: 128
max-length-factor: 2.5
skip-cost: true
gemm-precision: int8shiftAlphaAll
"""


def main() -> None:
    library, directory = sys.argv[1], Path(sys.argv[2])
    spec = importlib.util.spec_from_file_location("_bergamot", library)
    assert spec is not None
    assert spec.loader is not None
    bergamot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bergamot)
    patterns = {"model": "model.*.bin", "vocabulary": "vocab.*.spm", "shortlist": "lex.*.bin"}
    files = {name: next(directory.glob(pattern)) for name, pattern in patterns.items()}
    service = bergamot.Service(bergamot.ServiceConfig(numWorkers=1))
    model = service.modelFromConfig(CONFIGURATION.format(**files))
    for request in sys.stdin:
        start = time.process_time()
        for batch in json.loads(request):
            service.translate(model, bergamot.VectorString(batch), bergamot.ResponseOptions())
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()

"""A LiteRT file in the runtime alone, as in an app: greedy search with numpy, and nothing of LingoLite.

    python tests/benchmarks/litert_alone.py exported/model.tflite 4 17 6 912 2 5 9

Translates the source of the given ids, and prints what it cost as JSON: CPU time to open the file and to give the first
token, and the peak memory of the process. The start token is 1 and the end token 2, as in the starter.
"""

import json
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

GROWTH, HIDDEN, MOST = 32, -30000.0, 100
START, END = 1, 2


def main() -> None:
    begin = time.process_time()
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
    source = np.array([sys.argv[2:]], np.int32)
    cross = interpreter.get_signature_runner("encode")(source_ids=source)
    decode = interpreter.get_signature_runner("decode")
    shapes = {name: one["shape"] for name, one in decode.get_input_details().items() if name.startswith("past_")}
    past = {name: np.zeros((1, shape[1], GROWTH, shape[3]), np.float32) for name, shape in shapes.items()}
    tokens, first_ms = [START], 0.0
    while len(tokens) <= MOST and tokens[-1] != END:
        position = len(tokens) - 1
        capacity = -(-(position + 1) // GROWTH) * GROWTH
        past = {name: np.pad(one, ((0, 0), (0, 0), (0, capacity - one.shape[2]), (0, 0))) for name, one in past.items()}
        mask = np.full((1, 1, 1, capacity + 1), HIDDEN, np.float32)
        mask[..., :position] = mask[..., -1] = 0
        found = decode(
            tokens=np.array(tokens[-1:], np.int32),
            position=np.array([position], np.int32),
            source_mask=np.zeros((1, 1, 1, source.shape[1]), np.float32),
            target_mask=mask,
            **cross,
            **past,
        )
        for name, one in past.items():
            one[:, :, position] = found[name.replace("past", "new")][:, :, 0]
        tokens.append(int(found["logits"][0].argmax()))
        first_ms = first_ms or 1000 * (time.process_time() - begin)
    status = open("/proc/self/status", encoding="ascii").read()
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    print(json.dumps({"first_ms": round(first_ms, 1), "peak_mb": round(peak_mb, 1), "tokens": tokens[1:]}))


if __name__ == "__main__":
    main()

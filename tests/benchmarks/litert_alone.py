"""A LiteRT file in the runtime alone, as in an app: greedy search with numpy, and nothing of LingoLite.

    python tests/benchmarks/litert_alone.py exported/model.tflite 4 17 6 912 2 5 9
    python tests/benchmarks/litert_alone.py exported/model.tflite --weight-cache weights.xnnpack 4 17 6 912 2 5 9

Translates the source of the given ids, and prints what it cost as JSON: CPU time to open the file, to encode and to
give the first token, that of a fixed piece of work, by which machines and their load compare, and the peak memory of
the process. With `--weight-cache` the file is opened by `CompiledModel`, which keeps the weights as XNNPACK arranged
them in a file of that name, and reads them from there where it exists. The start token is 1 and the end token 2, as in
the starter.
"""

import argparse
import json
import time

import numpy as np

GROWTH, HIDDEN, MOST = 32, -30000.0, 100
START, END = 1, 2
LOOPS = 200_000


class Interpreted:
    """The file in `Interpreter`, which arranges the weights at the first call."""

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=path, num_threads=1)
        self._runners = {name: interpreter.get_signature_runner(name) for name in ("encode", "decode")}

    def run(self, signature, inputs):
        return self._runners[signature](**inputs)

    def outputs(self, signature):
        return self._runners[signature].get_output_details()


class Compiled:
    """The file in `CompiledModel`, which arranges the weights when it is made."""

    def __init__(self, path, cache):
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.cpu_options import CpuOptions
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
        from ai_edge_litert.options import Options

        cpu = CpuOptions(num_threads=1, xnnpack_weight_cache_path=cache)
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=cpu)
        self._model = CompiledModel.from_file(path, options=options)
        self._shapes = {}

    def run(self, signature, inputs):
        fed, given = {}, {}
        for name, array in inputs.items():
            if self._shapes.get((signature, name)) != array.shape:
                self._model.resize_input_tensor_by_name(signature, name, array.shape)
                self._shapes[signature, name] = array.shape
        for name, array in inputs.items():
            fed[name] = self._model.create_input_buffer_by_name(signature, name)
            fed[name].write(np.ascontiguousarray(array))
        for name in self.outputs(signature):
            given[name] = self._model.create_output_buffer_by_name(signature, name)
        self._model.run_by_name(signature, fed, given)
        return {name: self._array(one) for name, one in given.items()}

    def outputs(self, signature):
        return self._model.get_signature_list()[signature]["outputs"]

    @staticmethod
    def _array(buffer):
        shape = buffer.get_tensor_details()["shape"]
        return np.asarray(buffer.read(int(np.prod(shape)), np.float32)).reshape(shape)


def translate(model, ids, clock):
    """Target tokens; `clock` is told when the source is encoded and when the first token is there."""
    source = np.array([ids], np.int32)
    cross = model.run("encode", {"source_ids": source})
    clock("encode_ms")
    past = {}
    tokens = [START]
    while len(tokens) <= MOST and tokens[-1] != END:
        position = len(tokens) - 1
        capacity = -(-(position + 1) // GROWTH) * GROWTH
        if not past:
            kept = [name for name in model.outputs("decode") if name.startswith("new_")]
            heads, width = next(iter(cross.values())).shape[1::2]
            past = {name.replace("new", "past"): np.zeros((1, heads, capacity, width), np.float32) for name in kept}
        past = {name: np.pad(one, ((0, 0), (0, 0), (0, capacity - one.shape[2]), (0, 0))) for name, one in past.items()}
        mask = np.full((1, 1, 1, capacity + 1), HIDDEN, np.float32)
        mask[..., :position] = mask[..., -1] = 0
        inputs = {
            "tokens": np.array(tokens[-1:], np.int32),
            "position": np.array([position], np.int32),
            "source_mask": np.zeros((1, 1, 1, source.shape[1]), np.float32),
            "target_mask": mask,
        }
        found = model.run("decode", {**inputs, **cross, **past})
        for name, one in past.items():
            one[:, :, position] = found[name.replace("past", "new")][:, :, 0]
        tokens.append(int(found["logits"][0].argmax()))
        if position == 0:
            clock("token_ms")
    return tokens[1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("ids", type=int, nargs="+")
    parser.add_argument("--weight-cache")
    given = parser.parse_args()
    # To open a file is not to import the runtime.
    if given.weight_cache:
        from ai_edge_litert import compiled_model, options  # noqa: F401
    else:
        from ai_edge_litert import interpreter  # noqa: F401
    times, last = {}, time.process_time()

    def clock(name):
        nonlocal last
        now = time.process_time()
        times[name], last = 1000 * (now - last), now

    model = Compiled(given.file, given.weight_cache) if given.weight_cache else Interpreted(given.file)
    clock("open_ms")
    tokens = translate(model, given.ids, clock)
    status = open("/proc/self/status", encoding="ascii").read()
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    start_ms = sum(times.values())
    last = time.process_time()
    total = 0
    for number in range(LOOPS):
        total += number
    clock("fixed_ms")
    figures = {name: round(value, 2) for name, value in (*times.items(), ("start_ms", start_ms), ("peak_mb", peak_mb))}
    print(json.dumps({**figures, "tokens": tokens}))


if __name__ == "__main__":
    main()

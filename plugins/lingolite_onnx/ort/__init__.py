"""The ORT profile (`profile=optimized`): graphs of ONNX Runtime's own operators, and their runner."""

"""The optimized profile: graphs of ONNX Runtime's own operators, and the runner that keeps their buffers bound."""

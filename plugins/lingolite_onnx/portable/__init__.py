"""The portable profile: graphs of standard ONNX operators, and the runner that drives them."""

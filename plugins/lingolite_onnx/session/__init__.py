"""ONNX Runtime sessions, and what the machine they run on does to them."""

"""Search, batching and streaming, once for every backend."""

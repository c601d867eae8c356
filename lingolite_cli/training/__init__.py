"""Training: pre-training, fine-tuning and their data, optimization, checkpoints and outcome."""

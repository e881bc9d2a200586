"""Trained networks as files that run without this project: ONNX models and StableHLO programs."""

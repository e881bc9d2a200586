"""The project's networks and training steps written in PyTorch, to be measured against.

They are written from `anon_jax/nets`, `anon_jax/losses` and `anon_jax/steps`, one file a network
and one a stage, as somebody who knows PyTorch would write them: pictures are NCHW tensors whose
memory is channels-last, optimizers are fused, randomness comes from PyTorch's own generator.
tests/test_twins.py gives both sides the same parameters and compares outputs and whole updates.
Nothing in here imports JAX.
"""

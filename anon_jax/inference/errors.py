"""The error of commands that use trained networks; in a file of its own, which imports nothing."""


class InferenceError(ValueError):
  """A run, a checkpoint or a folder that cannot be used for what it was asked for."""

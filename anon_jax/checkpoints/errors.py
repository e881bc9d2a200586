"""What goes wrong with checkpoints."""


class CheckpointError(ValueError):
  """A checkpoint that cannot be used for what it was asked for, or could not be written."""


class DamagedError(CheckpointError):
  """A checkpoint whose files are not those that were written.

  Attributes:
    found: the message without the way out.
  """

  def __init__(self, found: str, way_out: str):
    super().__init__(f'{found}; {way_out}.')
    self.found = found

"""The one error of the data layer."""


class DatasetError(ValueError):
  """Raw or prepared data are missing, broken or not laid out as documented.

  The message is one line: what was given, what was expected, and the way out.
  """

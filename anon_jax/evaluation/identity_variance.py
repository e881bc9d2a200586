"""How much the identity of one track varies: a new face should stay the same new face."""

import numpy as np


class IdentityVariance:
  """Mean of 1 - cosine between a track's embeddings and their mean, in constant memory.

  With unit vectors e and their mean m, the cosines of all e to m have the mean |m|: it is enough to
  add the vectors up.
  """

  def __init__(self) -> None:
    self._sum: np.ndarray | None = None
    self.frames = 0

  def add(self, embeddings: np.ndarray) -> None:
    """Takes embeddings of the track by any recogniser, [d] or [n, d], of any length but 0.

    Raises:
      ValueError: one of them has no length, or another number of dimensions.
    """
    rows = np.atleast_2d(np.asarray(embeddings, np.float64))
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    known = rows.shape[1:] if self._sum is None else self._sum.shape
    if rows.ndim != 2 or rows.shape[1:] != known:
      raise ValueError(f'embeddings have shape {rows.shape}; expected [n, {known[0]}].')
    if not (np.isfinite(lengths) & (lengths > 0)).all():
      raise ValueError('an embedding is not finite, or has no length; leave that frame out.')
    total = (rows / lengths).sum(0)
    self._sum = total if self._sum is None else self._sum + total
    self.frames += len(rows)

  def result(self) -> float:
    """Returns the variance, in [0, 1]; NaN without frames."""
    if self._sum is None or not self.frames:
      return float('nan')
    return max(0.0, 1 - float(np.linalg.norm(self._sum)) / self.frames)

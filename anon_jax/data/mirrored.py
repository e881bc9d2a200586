"""A second view of each picture, for data sets with one picture of everybody."""

from typing import Any

import numpy as np

from anon_jax.data import joints


class WithMirrorImages:
  """Each example of a source, followed by its mirror image: two views of one identity.

  Args:
    source: prepared examples with identities.
  """

  def __init__(self, source: Any):
    self._source = source

  def __len__(self) -> int:
    return 2 * len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = dict(self._source[int(index) // 2])
    if index % 2:
      if 'joints' in example:
        example['joints'] = joints.mirrored(example['joints'], example['image'].shape[1])
      for name in ('image', 'map'):
        example[name] = np.ascontiguousarray(example[name][:, ::-1])
    return example

  def __repr__(self) -> str:
    return f'mirrored {self._source!r}'

  def identity_labels(self) -> np.ndarray:
    """Returns the identity of each example, int64 [n]."""
    return np.repeat(self._source.identity_labels(), 2)

"""Cross-entropy of semantic maps, for data sets that label some of the classes only."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.data import semantic

# Data set -> {its label: the project's classes that the label may stand for}. What is not named
# stands for itself.
#   fasseg  skin takes in neck and ears; brows that touch the hair are labelled hair. The few faces
#           whose brows are skin are left as they are: a skin that may be brows everywhere would
#           leave brows in profiles, which no other data set shows, without any correction.
MERGED: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType(
  {
    'fasseg': MappingProxyType({'skin': ('skin', 'neck'), 'hair': ('hair', 'brows')}),
  }
)


def allowed_classes(merged: Mapping[str, Sequence[str]]) -> np.ndarray:
  """Builds the table of the classes that each label may stand for.

  Args:
    merged: label -> classes, by the names of `semantic.CLASSES`; a label that is not named stands
      for itself.

  Returns:
    bool [classes, classes]: row = label, column = class.

  Raises:
    ValueError: an unknown name, or a label that stands for no class.
  """
  table = np.eye(semantic.NUM_CLASSES, dtype=bool)
  for label, classes in merged.items():
    for name in (label, *classes):
      if name not in semantic.CLASSES:
        raise ValueError(f'{name!r} is no class; choose of {", ".join(semantic.CLASSES)}.')
    if not classes:
      raise ValueError(f'Label {label!r} stands for no class; name one at least.')
    table[semantic.CLASSES.index(label)] = np.isin(semantic.CLASSES, classes)
  return table


def cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  allowed: jax.Array | np.ndarray | None = None,
  class_weights: jax.Array | np.ndarray | None = None,
) -> jax.Array:
  """Mean negative log-likelihood of the labelled pixels.

  The probability of a label is the sum of the probabilities of the classes that it may stand for:
  a data set that calls the neck skin asks for skin or neck, whichever S finds.

  Args:
    logits: float [b, h, w, c].
    labels: integers [b, h, w] below c, or `semantic.IGNORE` where nobody labelled the pixel: such
      pixels do not count.
    allowed: bool [c, c], or one such table for each example [b, c, c], from `allowed_classes`;
      None: each label stands for itself. Rows without any class are not for use.
    class_weights: float [c], weight of a pixel by its label; None: all alike.

  Returns:
    A float32 scalar: the weighted mean over all labelled pixels of the batch; 0 if there is none.

  Raises:
    ValueError: shapes that do not go together.
  """
  classes = logits.shape[-1]
  _check_shapes(logits, labels, allowed, class_weights)
  # all zero where a pixel is not labelled
  one_hot = jax.nn.one_hot(labels, classes, dtype=jnp.float32)  # [b h w c]
  if allowed is None:
    admitted = one_hot
  else:
    table = jnp.broadcast_to(jnp.asarray(allowed, jnp.float32), (len(logits), classes, classes))
    admitted = jnp.einsum('bhwl,blc->bhwc', one_hot, table)
  labelled = one_hot.sum(axis=-1) > 0
  # An unlabelled pixel admits every class: its likelihood is 1 and its gradient 0, not NaN.
  admitted = (admitted > 0) | ~labelled[..., None]
  scores = logits.astype(jnp.float32)
  likelihood = jax.nn.logsumexp(jnp.where(admitted, scores, -jnp.inf), axis=-1)
  loss = jax.nn.logsumexp(scores, axis=-1) - likelihood  # [b h w]
  weights = jnp.ones(classes) if class_weights is None else jnp.asarray(class_weights, jnp.float32)
  weight = one_hot @ weights
  total = weight.sum()
  return jnp.sum(loss * weight) / jnp.where(total > 0, total, 1.0)


def _check_shapes(
  logits: jax.Array,
  labels: jax.Array,
  allowed: jax.Array | np.ndarray | None,
  class_weights: jax.Array | np.ndarray | None,
) -> None:
  batch, classes = logits.shape[0], logits.shape[-1]
  if logits.shape[:-1] != labels.shape:
    raise ValueError(f'Logits have shape {logits.shape}, labels {labels.shape}.')
  tables = ((classes, classes), (batch, classes, classes))
  if allowed is not None and allowed.shape not in tables:
    raise ValueError(f'`allowed` has shape {allowed.shape}; expected one of {tables}.')
  if class_weights is not None and class_weights.shape != (classes,):
    raise ValueError(f'`class_weights` has shape {class_weights.shape}; expected {(classes,)}.')

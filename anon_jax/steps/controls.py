"""Whose face A is asked for, and with whose real faces I compares it (paper 3.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from anon_jax.losses import metric_learning


class Controls(NamedTuple):
  """The control identities of a batch.

  Attributes:
    control: int32 [b], the class that A is asked for.
    own: bool [b], where that is the source's own.
  """

  control: jax.Array
  own: jax.Array


class Partners(NamedTuple):
  """Rows of real faces to compare with, int32 [b] each.

  Attributes:
    same: a real face of the wanted class; another row than the anchor's own where there is one.
    different: a real face of another class.
  """

  same: jax.Array
  different: jax.Array


def draw_controls(
  key: jax.Array, classes: jax.Array, identities: int, own_rows: jax.Array
) -> Controls:
  """Draws control identities among those whose real faces are in the batch.

  Args:
    key: a random key.
    classes: int32 [b], the sources' classes; `identities` different ones, in any order.
    identities: how many, 2 or more.
    own_rows: int32 scalar, how many rows get their source's own class; which ones is drawn.

  Returns:
    The controls; where a row's is not its own, each other identity is equally likely.
  """
  shift_key, order_key = jax.random.split(key)
  present = jnp.unique(classes, size=identities)
  shift = jax.random.randint(shift_key, classes.shape, 1, identities)
  other = present[(jnp.searchsorted(present, classes) + shift) % identities]
  rank = jnp.argsort(jnp.argsort(jax.random.uniform(order_key, classes.shape)))
  own = rank < own_rows
  return Controls(jnp.where(own, classes, other), own)


def draw_partners(key: jax.Array, wanted: jax.Array, classes: jax.Array) -> Partners:
  """Draws for each anchor a real face of its class and one of another.

  Args:
    key: a random key.
    wanted: int32 [b], the anchors' classes; each of them occurs in `classes`.
    classes: int32 [b], the real faces' classes, two or more different ones.
  """
  same_key, different_key = jax.random.split(key)
  count = classes.shape[0]
  same = wanted[:, None] == classes[None, :]
  # An anchor's own row comes last: its map is the one that A was given.
  scores = jax.random.uniform(same_key, (count, count)) - jnp.eye(count)
  others = jax.random.uniform(different_key, (count, count))
  return Partners(
    jnp.argmax(jnp.where(same, scores, -2.0), axis=1),
    jnp.argmax(jnp.where(same, -2.0, others), axis=1),
  )


def contrast(anchors: jax.Array, reals: jax.Array, partners: Partners, margin: float) -> jax.Array:
  """Contrastive loss of anchors [b, d] with both their partners among `reals` [b, d]: a scalar."""
  near, far = reals[partners.same], reals[partners.different]
  same = jnp.arange(2 * len(anchors)) < len(anchors)
  first, second = jnp.concatenate([anchors, anchors]), jnp.concatenate([near, far])
  return metric_learning.contrastive(first, second, same, margin)

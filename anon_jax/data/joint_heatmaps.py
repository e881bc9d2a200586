"""Heatmaps of joints, made on the device: 54 numbers a person travel, instead of 18 pictures."""

import jax
import jax.numpy as jnp

# Below this OpenPose itself draws no joint.
LEAST_CONFIDENCE = 0.05


def heatmaps(joints: jax.Array, height: int, width: int, sigma: float) -> jax.Array:
  """Draws each joint as a Gaussian with a peak of 1 at its place.

  A joint with a confidence of at most `LEAST_CONFIDENCE` gives a map of zeros, and so does every
  joint of a body without joints.

  Args:
    joints: float32 [b, joints, 3] of x, y in pixels and confidence.
    height: of the maps.
    width: of the maps.
    sigma: standard deviation in pixels.

  Returns:
    float32 [b, height, width, joints] in [0, 1]; pixel i has its centre at i + 0.5.
  """
  joints = joints.astype(jnp.float32)
  columns = _bell(joints[..., 0], width, sigma)
  rows = _bell(joints[..., 1], height, sigma) * _seen(joints[..., 2])[..., None]
  # A Gaussian is the product of one along each axis.
  return rows.transpose(0, 2, 1)[:, :, None, :] * columns.transpose(0, 2, 1)[:, None, :, :]


def _bell(places: jax.Array, length: int, sigma: float) -> jax.Array:
  """[b, joints] -> [b, joints, length]."""
  centres = jnp.arange(length, dtype=jnp.float32) + 0.5
  return jnp.exp(-0.5 * ((centres[None, None, :] - places[..., None]) / sigma) ** 2)


def _seen(confidence: jax.Array) -> jax.Array:
  return (confidence > LEAST_CONFIDENCE).astype(jnp.float32)

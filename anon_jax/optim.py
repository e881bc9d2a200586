"""Optimizers, their updates, and the running average of parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from anon_jax.state import Net

_LOWEST_RATE = 0.01  # of the rate, where a cosine ends


def adam(
  learning_rate: float, b1: float, b2: float, decay_steps: int = 0, accumulate: int = 1
) -> optax.GradientTransformation:
  """Adam (paper 4.1: .5, .999; generator 1e-4, discriminator 4e-4).

  Args:
    learning_rate: at the first step.
    b1: decay of the gradient's average.
    b2: decay of its square's.
    decay_steps: steps over which the rate falls to a hundredth by a cosine; 0 keeps it.
    accumulate: steps whose gradients are averaged for one update; those between change nothing.
  """
  rate: optax.ScalarOrSchedule = learning_rate
  if decay_steps:
    updates = max(decay_steps // accumulate, 1)
    rate = optax.cosine_decay_schedule(learning_rate, updates, _LOWEST_RATE)
  optimizer = optax.adam(rate, b1=b1, b2=b2, eps=1e-8)
  if accumulate == 1:  # its state is the file format of all runs without
    return optimizer
  return optax.MultiSteps(optimizer, accumulate).gradient_transformation()


def new_net(params: Any, optimizer: optax.GradientTransformation) -> Net:
  """Pairs parameters with a fresh optimizer state."""
  return Net(params, optimizer.init(params))


def update(net: Net, grads: Any, optimizer: optax.GradientTransformation) -> Net:
  """Returns the network after one optimizer update."""
  updates, opt_state = optimizer.update(grads, net.opt_state, net.params)
  return Net(optax.apply_updates(net.params, updates), opt_state)


def copy(params: Any) -> Any:
  """Copies parameters into buffers of their own: donation refuses a buffer held twice."""
  return jax.tree.map(jnp.copy, params)


def update_average(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
  """Moves a running average towards `params`.

  The decay is warmed up as min(decay, (1 + step) / (10 + step)), so that the average forgets the
  random start.

  Args:
    average: the average so far.
    params: the parameters after this update.
    step: int32 scalar, updates applied before this one.
    decay: in [0, 1).

  Returns:
    The new average.
  """
  done = step.astype(jnp.float32)
  weight = 1 - jnp.minimum(decay, (1 + done) / (10 + done))
  return jax.tree.map(lambda a, p: a + weight * (p - a), average, params)


def norm(tree: Any) -> jax.Array:
  """Returns the L2 norm over all leaves, float32."""
  return optax.tree.norm(tree).astype(jnp.float32)

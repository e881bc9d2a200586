"""An attacker who trains: features of pictures are mapped so that one person's lie together."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from anon_jax import compiling
from anon_jax.losses.metric_learning import proxy_nca

Project = Callable[[np.ndarray], np.ndarray]
_DIMENSIONS, _HIDDEN = 128, 256
_STEPS, _BATCH, _RATE, _DECAY = 400, 256, 1e-3, 1e-2
_DROPPED = 0.3


def train(features: np.ndarray, labels: np.ndarray, seed: int) -> Project:
  """Trains a network of two layers by Proxy-NCA.

  It runs beside a skip connection, so that it begins as a linear map; features are brought to mean
  0 and variance 1, some of them are dropped in each step, and the weights decay.

  Args:
    features: float [n, d], of people whom nobody looks for later.
    labels: int [n], who is shown.
    seed: of the parameters and the batches.

  Returns:
    float [m, d] -> unit vectors, float32 [m, 128].

  Raises:
    ValueError: shapes that do not fit, or fewer than two people.
  """
  people, classes = np.unique(labels, return_inverse=True)
  if len(people) < 2 or len(features) != len(labels):
    raise ValueError(f'{len(features)} pictures of {len(people)} people; give two or more.')
  mean, deviation = features.mean(0), features.std(0) + 1e-6
  size = features.shape[1]
  inner, skip, proxies, steps = jax.random.split(jax.random.key(seed), 4)
  params = {
    'in': jax.random.normal(inner, (size, _HIDDEN)) / np.sqrt(size),
    'out': jnp.zeros((_HIDDEN, _DIMENSIONS)),
    'skip': jax.random.normal(skip, (size, _DIMENSIONS)) / np.sqrt(size),
    'proxies': jax.random.normal(proxies, (len(people), _DIMENSIONS)),
  }
  optimizer = optax.adamw(optax.cosine_decay_schedule(_RATE, _STEPS), weight_decay=_DECAY)

  def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array, key: jax.Array) -> jax.Array:
    kept = jax.random.bernoulli(key, 1 - _DROPPED, x.shape) / (1 - _DROPPED)
    return proxy_nca(_mapped(params, x * kept), params['proxies'], y)

  @compiling.jit
  def step(
    params: dict[str, jax.Array], state: optax.OptState, x: jax.Array, y: jax.Array, key: jax.Array
  ) -> tuple[dict[str, jax.Array], optax.OptState]:
    gradients = jax.grad(loss)(params, x, y, key)
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state  # type: ignore[return-value]

  state, rng = optimizer.init(params), np.random.default_rng(seed)
  scaled = ((features - mean) / deviation).astype(np.float32)
  for number in range(_STEPS):
    rows = rng.integers(0, len(scaled), _BATCH)
    key = jax.random.fold_in(steps, number)
    params, state = step(params, state, scaled[rows], classes[rows], key)

  def project(rows: np.ndarray) -> np.ndarray:
    found = np.full((len(rows), _DIMENSIONS), np.nan, np.float32)
    there = np.isfinite(rows).all(axis=1)
    scaled = jnp.asarray((rows[there] - mean) / deviation, jnp.float32)
    mapped = np.asarray(_mapped(params, scaled))
    found[there] = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    return found

  return project


def _mapped(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
  return x @ params['skip'] + jax.nn.relu(x @ params['in']) @ params['out']

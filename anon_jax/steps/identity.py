"""Stage `identity`: IdentityNet by Proxy-NCA on real faces (paper 3.3; Movshovitz-Attias 2017)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import optim, proxy
from anon_jax.losses import metric_learning
from anon_jax.nets import anonymization
from anon_jax.nets.embedding import normalise
from anon_jax.nets.identity import IdentityNet
from anon_jax.proxy import to_signed
from anon_jax.state import Net, TrainState
from anon_jax.steps.stage import Batch, Metrics, Stage


@dataclasses.dataclass(frozen=True)
class IdentityOptions:
  """Plain numbers of the stage.

  Attributes:
    image_size: side of the crops in pixels; of crops that are not square their height.
    identities: number of training identities; each has a proxy.
    foreground_only: whether I sees the foreground alone.
    proxy_scale: length given to the proxies.
    label_smoothing: share of the label given to other identities.
    positive_in_denominator: which of the two forms of Proxy-NCA.
    identity_lr: Adam's rate for I.
    proxy_lr: Adam's rate for the proxies.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    decay_steps: steps over which the rates fall to a hundredth by a cosine; 0 keeps them.
    accumulate: steps whose gradients are averaged for one update.
    ema_decay: decay of I's running average.
    aspect: height of a crop over its width.
  """

  image_size: int
  identities: int
  foreground_only: bool = True
  proxy_scale: float = metric_learning.PROXY_SCALE
  label_smoothing: float = metric_learning.LABEL_SMOOTHING
  positive_in_denominator: bool = True
  identity_lr: float = 1e-3
  proxy_lr: float = 1e-2
  adam_b1: float = 0.9
  adam_b2: float = 0.999
  decay_steps: int = 0
  accumulate: int = 1
  ema_decay: float = 0.999
  aspect: int = 1


def make_identity_stage(net: IdentityNet, options: IdentityOptions) -> Stage:
  """Builds the stage.

  Args:
    net: I.
    options: plain numbers.

  Returns:
    A stage whose batches hold `image` uint8 [b, s, s, 3], `map` uint8 [b, s, s] and, in training,
    `identity_class` int32 [b]. `predict` gives `embedding` float32 [b, d] beside the pictures.
  """
  task = _Identify(net, options)
  return Stage(
    name='identity',
    init=task.init,
    step=task.step,
    predict=task.predict,
    columns=('picture', 'input'),
  )


_CENTRING = 0.9  # decay of the running mean and variance of projections
_LEAST_VARIANCE = 1e-6


class _Identify:
  """The pure functions of the stage.

  Embeddings of faces have much in common at first, and descending from there makes them all alike
  before it tells any apart. So the loss sees projections less the batch's mean and divided by its
  deviation, and the averaged I, which sees faces one by one, has the running averages of both
  folded into its last layer.
  """

  def __init__(self, net: IdentityNet, options: IdentityOptions):
    o = options
    self._net, self._o = net, o
    self._net_tx = optim.adam(o.identity_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)
    self._proxy_tx = optim.adam(o.proxy_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)

  def init(self, key: jax.Array) -> TrainState:
    o = self._o
    root, net_key, proxy_key = jax.random.split(key, 3)
    crop = jnp.zeros((1, o.image_size, o.image_size // o.aspect, 3))
    params = self._net.init(net_key, crop)['params']
    table = normalise(jax.random.normal(proxy_key, (o.identities, self._net.dimensions)))
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets={
        'identity': optim.new_net(params, self._net_tx),
        'proxies': optim.new_net({'table': table}, self._proxy_tx),
        'centring': Net(_new_centring(self._net.dimensions), ()),
      },
      ema={'identity': optim.copy(params)},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    o = self._o
    net, proxies = state.nets['identity'], state.nets['proxies']
    inputs = self._inputs(batch)

    def loss_of(params: Any, table: jax.Array) -> tuple[jax.Array, Any]:
      projections: Any = self._net.apply({'params': params}, inputs, method='project')
      found = _mean_and_variance(projections)
      embeddings = normalise(
        (projections - found['mean']) * jax.lax.rsqrt(found['variance'] + _LEAST_VARIANCE)
      )
      loss = metric_learning.proxy_nca(
        embeddings,
        table,
        batch['identity_class'],
        positive_in_denominator=o.positive_in_denominator,
        proxy_scale=o.proxy_scale,
        label_smoothing=o.label_smoothing,
      )
      return loss, (embeddings, found)

    graded = jax.value_and_grad(loss_of, argnums=(0, 1), has_aux=True)
    (loss, (embeddings, found)), (grads, d_table) = graded(net.params, proxies.params['table'])
    # the mean takes the bias away again: its gradient is rounding, which Adam would magnify
    grads['embedding']['bias'] = jnp.zeros_like(grads['embedding']['bias'])
    nearest = jnp.argmax(embeddings @ normalise(proxies.params['table']).T, axis=-1)
    net = optim.update(net, grads, self._net_tx)
    proxies = optim.update(proxies, {'table': d_table}, self._proxy_tx)
    centring = optim.update_average(state.nets['centring'].params, found, state.step, _CENTRING)
    ema = optim.update_average(
      state.ema['identity'], _folded(net.params, centring), state.step, o.ema_decay
    )
    metrics = {
      'loss': loss,
      'accuracy': jnp.mean((nearest == batch['identity_class']).astype(jnp.float32)),
      'grad_norm': optim.norm(grads),
    }
    new_state = state.replace(
      step=state.step + 1,
      nets={'identity': net, 'proxies': proxies, 'centring': Net(centring, ())},
      ema={'identity': ema},
    )
    return new_state, metrics

  def predict(self, state: TrainState, batch: Batch) -> dict[str, jax.Array]:
    inputs = self._inputs(batch)
    embeddings: Any = self._net.apply({'params': state.ema['identity']}, inputs)
    return {'embedding': embeddings, 'picture': to_signed(batch['image']), 'input': inputs}

  def _inputs(self, batch: Batch) -> jax.Array:
    images = to_signed(batch['image'])
    if not self._o.foreground_only:
      return images
    return anonymization.masked(images, proxy.foreground_mask(batch['map']))


def _new_centring(dimensions: int) -> dict[str, jax.Array]:
  return {'mean': jnp.zeros((1, dimensions)), 'variance': jnp.ones((1, dimensions))}


def _mean_and_variance(projections: jax.Array) -> dict[str, jax.Array]:
  return {
    'mean': projections.mean(axis=0, keepdims=True),
    'variance': projections.var(axis=0, keepdims=True),
  }


def _folded(params: Any, centring: dict[str, jax.Array]) -> Any:
  """Returns I's parameters with the centring of projections in its last layer."""
  last = params['embedding']
  scale = jax.lax.rsqrt(centring['variance'] + _LEAST_VARIANCE)
  bias = (last['bias'] - centring['mean'][0]) * scale[0]
  return {**params, 'embedding': {'kernel': last['kernel'] * scale, 'bias': bias}}

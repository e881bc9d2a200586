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
from anon_jax.state import TrainState
from anon_jax.steps.harmonize import to_signed
from anon_jax.steps.stage import Batch, Metrics, Stage


@dataclasses.dataclass(frozen=True)
class IdentityOptions:
  """Plain numbers of the stage.

  Attributes:
    image_size: side of the crops in pixels.
    identities: number of training identities; each has a proxy.
    foreground_only: whether I sees the foreground alone.
    proxy_scale: length given to the proxies.
    label_smoothing: share of the label given to other identities.
    positive_in_denominator: which of the two forms of Proxy-NCA.
    identity_lr: Adam's rate for I.
    proxy_lr: Adam's rate for the proxies.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    ema_decay: decay of I's running average.
  """

  image_size: int
  identities: int
  foreground_only: bool = True
  proxy_scale: float = metric_learning.PROXY_SCALE
  label_smoothing: float = metric_learning.LABEL_SMOOTHING
  positive_in_denominator: bool = True
  identity_lr: float = 5e-4
  proxy_lr: float = 1e-3
  adam_b1: float = 0.9
  adam_b2: float = 0.999
  ema_decay: float = 0.999


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


class _Identify:
  """The pure functions of the stage."""

  def __init__(self, net: IdentityNet, options: IdentityOptions):
    o = options
    self._net, self._o = net, o
    self._net_tx = optim.adam(o.identity_lr, o.adam_b1, o.adam_b2)
    self._proxy_tx = optim.adam(o.proxy_lr, o.adam_b1, o.adam_b2)

  def init(self, key: jax.Array) -> TrainState:
    o = self._o
    root, net_key, proxy_key = jax.random.split(key, 3)
    params = self._net.init(net_key, jnp.zeros((1, o.image_size, o.image_size, 3)))['params']
    table = normalise(jax.random.normal(proxy_key, (o.identities, self._net.dimensions)))
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets={
        'identity': optim.new_net(params, self._net_tx),
        'proxies': optim.new_net({'table': table}, self._proxy_tx),
      },
      ema={'identity': optim.copy(params)},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    o = self._o
    net, proxies = state.nets['identity'], state.nets['proxies']
    inputs = self._inputs(batch)

    def loss_of(params: Any, table: jax.Array) -> tuple[jax.Array, jax.Array]:
      embeddings: Any = self._net.apply({'params': params}, inputs)
      loss = metric_learning.proxy_nca(
        embeddings,
        table,
        batch['identity_class'],
        positive_in_denominator=o.positive_in_denominator,
        proxy_scale=o.proxy_scale,
        label_smoothing=o.label_smoothing,
      )
      return loss, embeddings

    graded = jax.value_and_grad(loss_of, argnums=(0, 1), has_aux=True)
    (loss, embeddings), (grads, d_table) = graded(net.params, proxies.params['table'])
    nearest = jnp.argmax(embeddings @ normalise(proxies.params['table']).T, axis=-1)
    net = optim.update(net, grads, self._net_tx)
    proxies = optim.update(proxies, {'table': d_table}, self._proxy_tx)
    ema = optim.update_average(state.ema['identity'], net.params, state.step, o.ema_decay)
    metrics = {
      'loss': loss,
      'accuracy': jnp.mean((nearest == batch['identity_class']).astype(jnp.float32)),
      'grad_norm': optim.norm(grads),
    }
    new_state = state.replace(
      step=state.step + 1, nets={'identity': net, 'proxies': proxies}, ema={'identity': ema}
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

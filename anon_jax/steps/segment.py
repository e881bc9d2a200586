"""Stage `segment`: SegmentationNet on crops with semantic maps (paper 3.1)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import optim
from anon_jax.data import semantic
from anon_jax.losses.segmentation import cross_entropy
from anon_jax.nets import segmentation
from anon_jax.nets.segmentation import SegmentationNet
from anon_jax.proxy import to_signed
from anon_jax.state import TrainState
from anon_jax.steps.augmentation import augment
from anon_jax.steps.stage import Batch, Metrics, Stage

# Stream of randomness in a step.
_AUGMENTATION_STREAM = 0
_PARTS = ('brows', 'eyes', 'nose', 'mouth')


@dataclasses.dataclass(frozen=True)
class SegmentOptions:
  """Plain numbers of the stage.

  Attributes:
    image_size: side of the crop in pixels.
    learning_rate: Adam's rate for S.
    decay_steps: steps over which the rate falls to a hundredth by a cosine; 0 keeps it.
    accumulate: steps whose gradients are averaged for one update.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    ema_decay: decay of S's running average.
    parts_weight: weight of pixels of brows, eyes, nose and mouth; the others have 1.
    colour: strength of the changes of colour and blur, in [0, 1].
    occluded: share of pictures that an object covers in part.
  """

  image_size: int
  learning_rate: float = 1e-3
  decay_steps: int = 0
  accumulate: int = 1
  adam_b1: float = 0.9
  adam_b2: float = 0.999
  ema_decay: float = 0.999
  parts_weight: float = 2.0
  colour: float = 0.3
  occluded: float = 0.3


def make_segment_stage(
  net: SegmentationNet, options: SegmentOptions, allowed: np.ndarray | None = None
) -> Stage:
  """Builds the stage.

  Args:
    net: S.
    options: plain numbers.
    allowed: bool [origins, c, c], for each data set of the mixture the classes that its labels may
      stand for (`losses.segmentation.allowed_classes`); None: one origin, each for itself.

  Returns:
    A stage whose batches hold `image` uint8 [b, s, s, 3], `map` uint8 [b, s, s] and `origin` int32
    [b]. Its `predict` gives the grid's columns and `classes` uint8 [b, s, s].
  """
  if allowed is None:
    allowed = np.eye(semantic.NUM_CLASSES, dtype=bool)[None]
  task = _Segment(net, options, allowed)
  return Stage(
    name='segment',
    init=task.init,
    step=task.step,
    predict=task.predict,
    columns=('picture', 'label', 'prediction'),
  )


class _Segment:
  """The pure functions of the stage."""

  def __init__(self, net: SegmentationNet, options: SegmentOptions, allowed: np.ndarray):
    self._net, self._o, self._allowed = net, options, allowed
    o = options
    self._tx = optim.adam(o.learning_rate, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)
    self._class_weights = np.array(
      [o.parts_weight if name in _PARTS else 1.0 for name in semantic.CLASSES], np.float32
    )

  def init(self, key: jax.Array) -> TrainState:
    root, net_key = jax.random.split(key)
    side = self._o.image_size
    params = self._net.init(net_key, jnp.zeros((1, side, side, 3)))['params']
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets={'segmenter': optim.new_net(params, self._tx)},
      ema={'segmenter': optim.copy(params)},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    o = self._o
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), _AUGMENTATION_STREAM)
    images, labels = augment(key, to_signed(batch['image']), batch['map'], o.colour, o.occluded)
    allowed = jnp.asarray(self._allowed)[batch['origin']]  # [b c c]

    def loss_of(params: Any) -> tuple[jax.Array, jax.Array]:
      logits: Any = self._net.apply({'params': params}, images)
      return cross_entropy(logits, labels, allowed, self._class_weights), logits

    net = state.nets['segmenter']
    (loss, logits), grads = jax.value_and_grad(loss_of, has_aux=True)(net.params)
    net = optim.update(net, grads, self._tx)
    ema = optim.update_average(state.ema['segmenter'], net.params, state.step, o.ema_decay)
    metrics = {
      's_loss': loss,
      's_accuracy': _accuracy(segmentation.segment(logits), labels, allowed),
      's_grad_norm': optim.norm(grads),
    }
    new_state = state.replace(step=state.step + 1, nets={'segmenter': net}, ema={'segmenter': ema})
    return new_state, metrics

  def predict(self, state: TrainState, batch: Batch) -> dict[str, jax.Array]:
    images = to_signed(batch['image'])
    logits: Any = self._net.apply({'params': state.ema['segmenter']}, images)
    classes = segmentation.segment(logits)
    return {
      'picture': images,
      'label': _coloured(batch['map']),
      'prediction': _coloured(classes),
      'classes': classes,
    }


def _coloured(maps: jax.Array) -> jax.Array:
  """Turns classes into the colours of `semantic.PALETTE`, float32 [b, s, s, 3] in [-1, 1]."""
  return to_signed(jnp.asarray(semantic.PALETTE)[maps])


def _accuracy(classes: jax.Array, labels: jax.Array, allowed: jax.Array) -> jax.Array:
  """Share of labelled pixels whose class their label may stand for, float32."""
  known = labels != semantic.IGNORE
  row = jnp.where(known, labels, 0).astype(jnp.int32)
  example = jnp.arange(labels.shape[0])[:, None, None]
  right = allowed[example, row, classes.astype(jnp.int32)] & known
  return right.sum(dtype=jnp.float32) / jnp.maximum(known.sum(dtype=jnp.float32), 1.0)

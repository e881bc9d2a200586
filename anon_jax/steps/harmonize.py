"""Stage `harmonize`: HarmonizationNet on the proxy task (paper 3.2, eq. 2 and 3)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import optim, proxy
from anon_jax.losses import adversarial, perceptual, reconstruction
from anon_jax.nets import harmonization
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.perceptual import PerceptualNet
from anon_jax.proxy import to_signed
from anon_jax.state import TrainState
from anon_jax.steps import collapse
from anon_jax.steps.stage import Batch, Metrics, Stage

# Streams of randomness in a step; samples have a key of their own.
_PROXY_STREAM = 0
_SAMPLE_SEED = 20220


@dataclasses.dataclass(frozen=True)
class HarmonizeOptions:
  """Plain numbers of the stage.

  Attributes:
    image_size: side of the target in pixels; of one that is not square its height.
    upscale: target side over input side.
    sigma_fraction: blur of the appearance condition as a share of the side, or of the height.
    feather: rim inside the mask, in pixels, over which H fades in.
    likeness: of recoloured foregrounds to painted faces.
    adversarial_weight: weight of the LSGAN term of eq. 2.
    perceptual_weight: weight of the perceptual term.
    l1_weight: weight of the L1 term.
    generator_lr: Adam's rate for H.
    discriminator_lr: Adam's rate for D_H.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    decay_steps: steps over which the rates fall to a hundredth by a cosine; 0 keeps them.
    accumulate: steps whose gradients are averaged for one update.
    ema_decay: decay of H's running average.
    aspect: height of the target over its width.
  """

  image_size: int
  upscale: int = 1
  sigma_fraction: float = 0.07
  feather: int = 2
  likeness: proxy.Likeness = proxy.AS_IN_THE_PAPER
  adversarial_weight: float = 1.0
  perceptual_weight: float = 10.0
  l1_weight: float = 10.0
  generator_lr: float = 1e-4
  discriminator_lr: float = 4e-4
  adam_b1: float = 0.5
  adam_b2: float = 0.999
  decay_steps: int = 0
  accumulate: int = 1
  ema_decay: float = 0.999
  aspect: int = 1


def fit(picture: jax.Array, side: int) -> jax.Array:
  """Enlarges [b, h, w, c] to the height `side` where the inputs are smaller than the target."""
  b, height, width, channels = picture.shape
  if height == side:
    return picture
  return jax.image.resize(picture, (b, side, width * side // height, channels), 'bilinear')


def make_harmonize_stage(
  generator: HarmonizationNet,
  discriminator: MultiScaleDiscriminator,
  options: HarmonizeOptions,
  perceptual_net: PerceptualNet | None = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  Args:
    generator: H.
    discriminator: D_H; sees the target or output beside the mask and the appearance condition.
    options: plain numbers.
    perceptual_net: frozen network of the perceptual term; None leaves the term out.
    perceptual_params: its published weights.

  Returns:
    A stage whose batches hold `image` uint8 [b, s, s, 3], `map` uint8 [b, s, s] and `index`
    int32 [b]; with an `aspect` of 2 [b, s, s / 2, .].
  """
  task = Harmonize(generator, discriminator, options, perceptual_net)
  return Stage(
    name='harmonize',
    init=task.init,
    step=task.step,
    predict=task.predict,
    columns=('input', 'recoloured', 'condition', 'output', 'target'),
    frozen={'perceptual': perceptual_params} if perceptual_net else {},
  )


class Harmonize:
  """The pure functions of the stage; the stage for clips changes how H runs and who judges."""

  def __init__(
    self,
    generator: HarmonizationNet,
    discriminator: MultiScaleDiscriminator,
    options: HarmonizeOptions,
    perceptual_net: PerceptualNet | None,
  ):
    o = options
    self.generator, self.discriminator, self.o = generator, discriminator, o
    self._perceptual = perceptual_net
    self._gen_tx = optim.adam(o.generator_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)
    self._disc_tx = optim.adam(
      o.discriminator_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate
    )

  def init(self, key: jax.Array) -> TrainState:
    o = self.o
    root, gen_key, disc_key = jax.random.split(key, 3)
    side = o.image_size // o.upscale
    gen_inputs = jnp.zeros((1, side, side // o.aspect, self.generator.channels))
    gen_params = self.generator.init(gen_key, gen_inputs)['params']
    disc_params = self.discriminator.init(disc_key, *self.judged())['params']
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets={
        'generator': optim.new_net(gen_params, self._gen_tx),
        'discriminator': optim.new_net(disc_params, self._disc_tx),
      },
      ema={'generator': optim.copy(gen_params)},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), _PROXY_STREAM)
    ex = self.example(key, batch)
    gen, disc = state.nets['generator'], state.nets['discriminator']
    # One forward pass of H serves both updates: D learns from `fake`, then H's gradient is pulled
    # back through the same pass.
    fake, pull_back = jax.vjp(lambda params: self.harmonize(params, ex), gen.params)

    def disc_loss(params: Any) -> tuple[jax.Array, Metrics]:
      real, painted = self.judge(params, ex['reachable'], ex), self.judge(params, fake, ex)
      return adversarial.lsgan_discriminator(real, painted), collapse.accuracies(real, painted, 'd')

    (d_loss, seen), d_grads = jax.value_and_grad(disc_loss, has_aux=True)(disc.params)
    disc = optim.update(disc, d_grads, self._disc_tx)
    gen_loss = jax.value_and_grad(self._generator_loss, has_aux=True)
    (g_loss, terms), d_fake = gen_loss(fake, disc.params, state.frozen, ex)
    (g_grads,) = pull_back(d_fake)
    gen = optim.update(gen, g_grads, self._gen_tx)
    ema = optim.update_average(state.ema['generator'], gen.params, state.step, self.o.ema_decay)
    metrics = {
      'd_loss': d_loss,
      'g_loss': g_loss,
      **terms,
      **seen,
      **collapse.diversity(fake * ex['mask'], ex['reachable'] * ex['mask'], 'g'),
      'd_grad_norm': optim.norm(d_grads),
      'g_grad_norm': optim.norm(g_grads),
    }
    new_state = state.replace(
      step=state.step + 1,
      nets={'generator': gen, 'discriminator': disc},
      ema={'generator': ema},
    )
    return new_state, metrics

  def predict(self, state: TrainState, batch: Batch) -> dict[str, jax.Array]:
    ex = self.example(jax.random.key(_SAMPLE_SEED), batch)
    return {
      # What H may see of the original: everything but the foreground.
      'input': jnp.where(ex['mask'] > 0, 0.0, ex['target']),
      'recoloured': fit(ex['recoloured'], self.o.image_size),
      'condition': fit(ex['condition'], self.o.image_size),
      'output': self.harmonize(state.ema['generator'], ex),
      'target': ex['target'],
      'mask': ex['mask'],
    }

  def judged(self) -> tuple[jax.Array, list[jax.Array]]:
    """Returns zeros of the form of what D sees: pictures, and what it sees beside them."""
    picture = jnp.zeros((1, self.o.image_size, self.o.image_size // self.o.aspect, 3))
    return picture, [picture[..., :1], picture]

  def example(self, key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Makes the proxy task of a batch."""
    # By position in the data set, not by row: samples then do not depend on the batch.
    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(batch['index'])
    images, o = to_signed(batch['image']), self.o
    ex = proxy.make_example(keys, images, batch['map'], o.sigma_fraction, o.upscale, o.likeness)
    # The target with the rim that every output has: without it D_H could tell by the rim alone.
    ex['reachable'] = harmonization.composite(
      images, images, ex['condition'], ex['mask'], o.feather
    )
    return ex

  def harmonize(self, params: Any, ex: dict[str, jax.Array]) -> jax.Array:
    """Runs H on every picture and composites."""
    inputs = harmonization.harmonizer_inputs(ex['input_mask'], ex['recoloured'], ex['condition'])
    rgb: Any = self.generator.apply({'params': params}, inputs)
    background, condition, mask = ex['target'], ex['condition'], ex['mask']
    return harmonization.composite(rgb, background, condition, mask, self.o.feather)

  def judge(self, params: Any, images: jax.Array, ex: dict[str, jax.Array]) -> list[jax.Array]:
    """Runs D on pictures, beside the mask and the appearance condition."""
    conditions = [ex['mask'], fit(ex['condition'], self.o.image_size)]
    logits: Any = self.discriminator.apply({'params': params}, images, conditions)
    return logits

  def _generator_loss(
    self, images: jax.Array, disc_params: Any, frozen: Any, ex: dict[str, jax.Array]
  ) -> tuple[jax.Array, Metrics]:
    """Eq. 2 as a function of H's output, so that one gradient serves all its terms."""
    o = self.o
    terms = {
      'g_adversarial': adversarial.lsgan_generator(self.judge(disc_params, images, ex)),
      'g_l1': reconstruction.l1(ex['reachable'], images),
    }
    total = o.adversarial_weight * terms['g_adversarial'] + o.l1_weight * terms['g_l1']
    if self._perceptual:
      terms['g_perceptual'] = perceptual.perceptual_loss(
        self._perceptual, frozen['perceptual'], ex['reachable'], images
      )
      total += o.perceptual_weight * terms['g_perceptual']
    return total, terms

"""Stage `harmonize_video`: H sees its last output, D_T three frames in a row (paper 3.4, 4.2)."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import proxy
from anon_jax.nets import harmonization
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.nets.perceptual import PerceptualNet
from anon_jax.proxy import to_signed
from anon_jax.steps.harmonize import Harmonize, HarmonizeOptions
from anon_jax.steps.stage import Batch, Stage


@dataclasses.dataclass(frozen=True)
class HarmonizeVideoOptions(HarmonizeOptions):
  """Plain numbers of the stage; `upscale` is 1.

  Attributes:
    frames: consecutive frames of a clip.
    recurrent: whether H sees its output for the frame before; the ablation without it is H frame
      by frame.
    judged_frames: consecutive frames that the discriminator sees at once; 1 is D_H, 3 is D_T.
    drift: how far the recolouring moves towards another one from the first frame to the last; 0
      keeps it, 1 ends in the other.
  """

  frames: int = 8
  recurrent: bool = True
  judged_frames: int = 3
  drift: float = 0.0


def make_harmonize_video_stage(
  generator: HarmonizationNet,
  discriminator: MultiScaleDiscriminator,
  options: HarmonizeVideoOptions,
  perceptual_net: PerceptualNet | None = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  Args:
    generator: H, `recurrent`.
    discriminator: D_T.
    options: plain numbers.
    perceptual_net: frozen network of the perceptual term, or None to leave the term out.
    perceptual_params: its weights.

  Returns:
    A stage whose batches hold `image` uint8 [b, n, s, s, 3], `map` uint8 [b, n, s, s] and `index`
    int32 [b]. `predict` gives clips, float32 [b, n, s, s, 3].
  """
  task = _HarmonizeVideo(generator, discriminator, options, perceptual_net)
  return Stage(
    name='harmonize_video',
    init=task.init,
    step=task.step,
    predict=task.predict_clips,
    columns=('recoloured', 'output', 'target'),
    frozen={'perceptual': perceptual_params} if perceptual_net else {},
  )


class _HarmonizeVideo(Harmonize):
  """The image stage's functions on the frames of clips, one after the other: [b * n, ...].

  Whole clips lie side by side in a batch, so reshaping tells them apart.
  """

  o: HarmonizeVideoOptions

  def judged(self) -> tuple[jax.Array, list[jax.Array]]:
    side, count = self.o.image_size, self.o.judged_frames
    pictures = jnp.zeros((1, side, side, 3 * count))
    return pictures, [pictures[..., :count], pictures]

  def example(self, key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    o, (clips, frames) = self.o, batch['image'].shape[:2]
    keys = jax.vmap(lambda index: jax.random.split(jax.random.fold_in(key, index)))(batch['index'])
    images = to_signed(batch['image'].reshape(-1, *batch['image'].shape[2:]))
    maps = batch['map'].reshape(-1, *batch['map'].shape[2:])
    own = jnp.repeat(keys[:, 0], frames)
    ex = proxy.make_example(own, images, maps, o.sigma_fraction, likeness=o.likeness)
    if o.drift:
      recolour = jax.vmap(functools.partial(proxy.recolour, natural_share=o.likeness.natural_share))
      mask = proxy.foreground_mask(maps)  # not the rim, of which the original would return
      others = recolour(jnp.repeat(keys[:, 1], frames), images, mask)
      share = jnp.tile(jnp.linspace(0, o.drift, frames), clips)[:, None, None, None]
      ex['recoloured'] += share * mask * (others - ex['recoloured'])
    ex['reachable'] = harmonization.composite(
      images, images, ex['condition'], ex['mask'], o.feather
    )
    return ex

  def harmonize(self, params: Any, ex: dict[str, jax.Array]) -> jax.Array:
    """Runs H from frame to frame; a clip's first frame has none before it."""
    names = ('input_mask', 'recoloured', 'condition', 'target', 'mask')
    frames = {name: jnp.swapaxes(self._clips(ex[name]), 0, 1) for name in names}
    first = frames['target'][0]

    def run(previous: tuple[jax.Array, jax.Array], now: Any) -> tuple[Any, jax.Array]:
      picture, known = previous
      inputs = harmonization.recurrent_inputs(
        now['input_mask'], now['recoloured'], now['condition'], picture, known
      )
      rgb: Any = self.generator.apply({'params': params}, inputs)
      output = harmonization.composite(
        rgb, now['target'], now['condition'], now['mask'], self.o.feather
      )
      known = jnp.ones_like(known) if self.o.recurrent else known
      return (output, known), output

    start = jnp.zeros_like(first), jnp.zeros((len(first),))
    _, outputs = jax.lax.scan(run, start, frames)  # [n b s s 3]
    return jnp.swapaxes(outputs, 0, 1).reshape(-1, *first.shape[1:])

  def judge(self, params: Any, images: jax.Array, ex: dict[str, jax.Array]) -> list[jax.Array]:
    """Runs D_T on all rows of consecutive frames, beside their masks and conditions."""
    seen = [self._rows(value) for value in (images, ex['mask'], ex['condition'])]
    logits: Any = self.discriminator.apply({'params': params}, seen[0], seen[1:])
    return logits

  def predict_clips(self, state: Any, batch: Batch) -> dict[str, jax.Array]:
    """Returns what `predict` shows as clips [b, n, ...]."""
    return {name: self._clips(value) for name, value in self.predict(state, batch).items()}

  def _clips(self, pictures: jax.Array) -> jax.Array:
    return pictures.reshape(-1, self.o.frames, *pictures.shape[1:])

  def _rows(self, pictures: jax.Array) -> jax.Array:
    """Stacks consecutive frames along the channels: [b * n, s, s, c] -> [b * m, s, s, k c]."""
    clips, count = self._clips(pictures), self.o.judged_frames
    starts = self.o.frames - count + 1
    rows = jnp.concatenate([clips[:, j : j + starts] for j in range(count)], axis=-1)
    return rows.reshape(-1, *rows.shape[2:])

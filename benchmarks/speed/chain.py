"""Inference of the whole chain in JAX, crop -> S -> A -> H -> crop; `twin/chain.py` has its twin.

It is what `anon_jax.inference.painting` does without what guards it: no identity check, no rim.
"""

from typing import Any

import jax
import jax.numpy as jnp

from anon_jax import proxy
from anon_jax.experiment import sources
from anon_jax.nets import anonymization, harmonization, segmentation
from anon_jax.proxy import to_signed
from speed.entries import PEOPLE, Entry
from speed.stages import describe_chain

_SIGMA, _FEATHER = 0.07, 2


class Chain:
  """S, A and H of an entry.

  Attributes:
    sizes: pixels by network; the crops have H's.
  """

  def __init__(self, entry: Entry):
    preset, side = entry.changes['preset'], entry.changes['image_size']
    dtype = sources.compute_dtype('auto')
    self.sizes = {'segmenter': side * 3 // 4, 'generator': side // 2, 'harmonizer': side}
    if preset == 'tiny':
      self.sizes['generator'] = 32
    widths = anonymization.widths_for(preset, self.sizes['generator'])
    self.nets: dict[str, Any] = {
      'segmenter': segmentation.SegmentationNet(segmentation.WIDTHS[preset], dtype=dtype),
      'generator': anonymization.AnonymizationNet(
        PEOPLE, widths, anonymization.HIDDEN[preset], bilinear=True, dtype=dtype
      ),
      'harmonizer': harmonization.HarmonizationNet(harmonization.WIDTHS[preset], dtype=dtype),
    }
    self.spec = {
      'stage': 'chain',
      'options': {'sizes': self.sizes, 'sigma_fraction': _SIGMA, 'feather': _FEATHER},
      'nets': describe_chain(**self.nets),
    }

  def init(self, key: jax.Array) -> dict[str, Any]:
    """Returns random parameters by network; runs under jit."""
    small, painted = self.sizes['segmenter'], self.sizes['generator']
    side, keys = self.sizes['harmonizer'], jax.random.split(key, 3)
    inputs = {
      'segmenter': (jnp.zeros((1, small, small, 3)),),
      'generator': (jnp.zeros((1, PEOPLE)), jnp.zeros((1, painted, painted), jnp.uint8)),
      'harmonizer': (jnp.zeros((1, side, side, 7)),),
    }
    return {
      name: net.init(key, *inputs[name])['params']
      for key, (name, net) in zip(keys, self.nets.items(), strict=True)
    }

  def run(self, params: dict[str, Any], batch: dict[str, jax.Array]) -> jax.Array:
    """Maps `image` uint8 [n, s, s, 3] and `control` [n, identities] to uint8 [n, s, s, 3]."""
    images = to_signed(batch['image'])
    side = images.shape[1]
    scores = self._apply('segmenter', params, _resized(images, self.sizes['segmenter']))
    maps = segmentation.segment(_resized(scores, side))
    mask = proxy.foreground_mask(maps)
    condition = proxy.appearance_condition(images, _SIGMA)
    small = anonymization.resize_nearest(maps, self.sizes['generator'])
    face = self._apply('generator', params, batch['control'], small)
    shown = jnp.where(mask > 0, _resized(face, side), images)
    inputs = harmonization.harmonizer_inputs(mask, shown, condition)
    rgb = self._apply('harmonizer', params, inputs)
    final = harmonization.composite(rgb, images, condition, mask, _FEATHER)
    return jnp.round(jnp.clip(final * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)

  def _apply(self, name: str, params: dict[str, Any], *inputs: Any) -> Any:
    return self.nets[name].apply({'params': params[name]}, *inputs)


def _resized(images: jax.Array, side: int) -> jax.Array:
  shape = (images.shape[0], side, side, images.shape[-1])
  return images if images.shape == shape else jax.image.resize(images, shape, 'bilinear')

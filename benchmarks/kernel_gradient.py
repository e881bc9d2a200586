"""Times training steps with this project's kernel gradient against XLA's own, in one process.

`python benchmarks/kernel_gradient.py` prints the rows of the table in results.md. Both programs of
a pair take turns, so that whatever else the machine does meets both; the ratio is the median over
turns.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax.losses.diffaugment import DiffAugment
from anon_jax.nets import anonymization, convolution, harmonization, identity, segmentation
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.steps.anonymize import make_anonymize_stage
from anon_jax.steps.guided_parts import GuidedOptions, Nets
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage
from anon_jax.steps.identity import IdentityOptions, make_identity_stage
from anon_jax.steps.segment import SegmentOptions, make_segment_stage
from anon_jax.steps.stage import Stage

_SIDE, _PEOPLE, _TURNS = 64, 234, 5


def stages() -> dict[str, tuple[Stage, int]]:
  """Returns each stage of preset `small` at 64 px, and its batch size."""
  painter = anonymization.AnonymizationNet(
    _PEOPLE, anonymization.widths_for('small', _SIDE), anonymization.HIDDEN['small']
  )
  judge = identity.IdentityNet(identity.WIDTHS['small'])
  critic = MultiScaleDiscriminator(2, 32, 3, jnp.float32, True, _PEOPLE)
  options = GuidedOptions(
    _SIDE,
    8,
    reconstruction_share=0.5,
    reconstruction_weight=10.0,
    real_pairs_weight=1.0,
    augment=DiffAugment(0.5, 0.125, 0.0),
  )
  blender = harmonization.HarmonizationNet(harmonization.WIDTHS['small'])
  segmenter = segmentation.SegmentationNet(segmentation.WIDTHS['small'])
  return {
    'segment': (make_segment_stage(segmenter, SegmentOptions(_SIDE)), 32),
    'identity': (make_identity_stage(judge, IdentityOptions(_SIDE, _PEOPLE)), 64),
    'harmonize': (
      make_harmonize_stage(blender, MultiScaleDiscriminator(2, 32), HarmonizeOptions(_SIDE)),
      16,
    ),
    'anonymize': (make_anonymize_stage(Nets(painter, critic, judge), options), 24),
  }


def batch_of(size: int) -> dict[str, np.ndarray]:
  """Returns random pictures and maps: what is in them costs no time."""
  rng = np.random.default_rng(0)
  shape = (size, _SIDE, _SIDE)
  return {
    'image': rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    'map': rng.integers(0, 8, shape, dtype=np.uint8),
    'origin': np.zeros(size, np.int32),
    'index': np.arange(size, dtype=np.int32),
    'identity_class': np.repeat(np.arange(8, dtype=np.int32), size // 8),
  }


def timed(run: Callable[..., Any], *arguments: Any) -> float:
  """Returns the seconds of one call."""
  start = time.perf_counter()
  jax.block_until_ready(run(*arguments))
  return time.perf_counter() - start


def main() -> None:
  """Prints one row a stage."""
  for name, (stage, size) in stages().items():
    state, batch = jax.jit(stage.init)(jax.random.key(0)), batch_of(size)
    # fresh functions: jit would otherwise hand the first trace to the second
    ours = jax.jit(lambda s, b, step=stage.step: step(s, b)).lower(state, batch).compile()
    with convolution.plain():
      theirs = jax.jit(lambda s, b, step=stage.step: step(s, b)).lower(state, batch).compile()
    pairs = [(timed(ours, state, batch), timed(theirs, state, batch)) for _ in range(_TURNS + 1)]
    mine, others = (statistics.median(seconds) for seconds in zip(*pairs[1:], strict=True))
    ratio = statistics.median(b / a for a, b in pairs[1:])
    print(f'| {name} | {size} | {others:.2f} | {mine:.2f} | {ratio:.2f} | {size / mine:.1f} |')


if __name__ == '__main__':
  main()

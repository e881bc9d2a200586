"""What is measured: training steps by their configs, and the chain of inference. Imports no JAX."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

PEOPLE = 212  # control identities, as the shipped A has
_TINY = {'preset': 'tiny', 'image_size': 32, 'discriminator_width': 8, 'discriminator_layers': 2}
_FEW = {'batch_size': 4, 'identities_per_batch': 2, 'images_per_identity': 2}


@dataclasses.dataclass(frozen=True)
class Entry:
  """One row of the table.

  Attributes:
    name: for `--only`.
    config: file in `configs/` whose `get_config` the step is of; '' for the chain.
    changes: fields that differ from that config.
    title: for people.
    timed: False where only what the compiler says of it is wanted: it is too long for two cores.
  """

  name: str
  config: str
  changes: Mapping[str, Any]
  title: str
  timed: bool = True

  def quick(self) -> 'Entry':
    """Returns the same with networks that a test can wait for."""
    tiny = {
      name: value for name, value in _TINY.items() if name in self.changes or name == 'preset'
    }
    tiny |= {name: value for name, value in _FEW.items() if name in self.changes}
    return dataclasses.replace(self, changes=MappingProxyType({**self.changes, **tiny}))


def _entry(
  name: str, config: str, title: str, timed: bool = True, **changes: Any
) -> tuple[str, Entry]:
  return name, Entry(name, config, MappingProxyType(changes), title, timed)


# The sizes at which the shipped weights were trained; base at the paper's size as far as it goes.
_NARROW = {'discriminator_width': 32, 'discriminator_layers': 3}
_WIDE = {'discriminator_width': 64, 'discriminator_layers': 3}
_FOUR = {'batch_size': 4, 'identities_per_batch': 2, 'images_per_identity': 2}
_PAIRS = {'identities_per_batch': 8, 'images_per_identity': 3}
_GROUPS = {'identities_per_batch': 16, 'images_per_identity': 4}
ENTRIES: Mapping[str, Entry] = MappingProxyType(
  dict(
    (
      _entry(
        'anonymize-small', 'anonymize_release', 'A, small',
        preset='small', image_size=64, batch_size=24, **_PAIRS, **_NARROW,
      ),
      _entry(
        'harmonize-small', 'harmonize_celeba', 'H, small',
        preset='small', image_size=128, batch_size=8, **_NARROW,
      ),
      _entry(
        'identity-small', 'identity_celeba', 'I, small',
        preset='small', image_size=64, batch_size=64, **_GROUPS,
      ),
      _entry(
        'segment-small', 'segment_faces', 'S, small', preset='small', image_size=96, batch_size=16
      ),
      _entry('chain-small', '', 'S, A, H in a row, small', preset='small', image_size=128,
             batch_size=4),
      _entry(
        'anonymize-base', 'anonymize_release', 'A, base',
        preset='base', image_size=128, **_FOUR, **_WIDE,
      ),
      _entry(
        'harmonize-base', 'harmonize_celeba', 'H, base',
        preset='base', image_size=128, batch_size=4, **_WIDE,
      ),
      _entry(
        'anonymize-base-whole', 'anonymize_release', 'A, base', False,
        preset='base', image_size=128, batch_size=24, **_PAIRS, **_WIDE,
      ),
      _entry(
        'harmonize-base-whole', 'harmonize_celeba', 'H, base', False,
        preset='base', image_size=128, batch_size=32, **_WIDE,
      ),
      _entry(
        'identity-base-whole', 'identity_celeba', 'I, base', False,
        preset='base', image_size=128, batch_size=64, **_GROUPS,
      ),
      _entry(
        'segment-base-whole', 'segment_faces', 'S, base', False,
        preset='base', image_size=128, batch_size=32,
      ),
    )
  )
)  # fmt: skip
OTHERS = ('data', 'scaling')  # the parts that are no entry, for `--only`


def batch_of(entry: Entry) -> dict[str, np.ndarray]:
  """Returns random pictures and maps: what is in them costs no time.

  Returns:
    `image` uint8 [b, s, s, 3]; for the chain `control` float32 [b, identities]; else `map` uint8
    [b, s, s], `origin`, `index` and `identity_class` int32 [b].
  """
  rng = np.random.default_rng(0)
  size, side = entry.changes['batch_size'], entry.changes['image_size']
  image = rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8)
  if not entry.config:
    return {'image': image, 'control': np.eye(PEOPLE, dtype=np.float32)[:size]}
  people = entry.changes.get('identities_per_batch', size)
  return {
    'image': image,
    'map': rng.integers(0, 8, (size, side, side), dtype=np.uint8),
    'origin': np.zeros(size, np.int32),
    'index': np.arange(size, dtype=np.int32),
    'identity_class': np.repeat(np.arange(people, dtype=np.int32), size // people),
  }

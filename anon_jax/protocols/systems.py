"""The ways of anonymizing that an evaluation sets side by side: the rows of its tables."""

import functools
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.faces import Detector
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.protocols.networks import Taken, fingerprint

_NAME = re.compile(r'[a-z][a-z0-9_]*', re.ASCII)


class System(NamedTuple):
  """A way of anonymizing.

  Attributes:
    name: of its folder and of its key in results.json.
    title: of its row.
    method: of `Anonymizer`; '' where pictures are not changed, or another system made them.
    size: block of 'pixelate', kernel of 'blur'; 0 for other methods.
    folder: of another system's pictures, under the names of the originals.
    networks: of 'synthesize', where they are not all the evaluation's own.
  """

  name: str
  title: str
  method: str = ''
  size: int = 0
  folder: pathlib.Path | None = None
  networks: Taken | None = None

  def anonymizer(
    self, weights: str, key: bytes, detector: Detector = lambda picture: []
  ) -> Anonymizer:
    """Returns what anonymizes so.

    Args:
      weights: folder of trained networks; '' for the package's own.
      key: of the draws of control identities.
      detector: finds the faces; by default they are always given.

    Raises:
      WeightsError: the trained networks cannot be loaded.
      InferenceError: networks that do not fit together.
    """
    if self.networks is not None:
      return Anonymizer(detector, Synthesizer(self.networks.over(weights)), key=key)
    make = functools.partial(
      Anonymizer.from_pretrained,
      weights or None,
      method=self.method,
      key=key,
      detector=detector,
    )
    if self.method == 'pixelate':
      return make(block=self.size)
    return make(kernel=self.size) if self.method == 'blur' else make()


ORIGINAL = System('original', 'original')
METHOD = System('method', 'AnonymizationNet and HarmonizationNet', 'synthesize')
FILL = System('fill', 'solid fill', 'fill')
# In the order of the paper's tables; the positive control first, the negative one last.
SYSTEMS = (
  ORIGINAL,
  System('pixelate_8', 'pixelization 8 x 8', 'pixelate', 8),
  System('pixelate_16', 'pixelization 16 x 16', 'pixelate', 16),
  System('blur_9', 'blur 9 x 9', 'blur', 9),
  System('blur_17', 'blur 17 x 17', 'blur', 17),
  METHOD,
  FILL,
)


def others(text: str) -> Sequence[System]:
  """Reads further rows: 'name=folder', several of them with commas between.

  Raises:
    ValueError: another form, a name that is taken, or a folder that is not there.
  """
  return [System(name, f'{name} (given pictures)', folder=path) for name, path in folders(text)]


def folders(text: str, example: str = 'ciagan') -> Iterator[tuple[str, pathlib.Path]]:
  """Yields names and absolute folders of a text 'name=folder, ...'.

  Args:
    text: as in a config.
    example: a name that could be given.

  Raises:
    ValueError: another form, a name that is taken, or a folder that is not there.
  """
  taken = {system.name for system in SYSTEMS}
  for part in filter(None, (part.strip() for part in text.split(','))):
    name, equals, folder = part.partition('=')
    path = pathlib.Path(folder).expanduser()
    if not equals or not _NAME.fullmatch(name):
      raise ValueError(f'{part!r} is not of the form name=folder, with a name such as {example}.')
    if name in taken:
      raise ValueError(f'the name {name!r} is taken; choose another one.')
    if not path.is_dir():
      raise ValueError(f'{folder!r} of {name!r} is not a folder.')
    taken.add(name)
    yield name, path.absolute()


def seals(chosen: Iterable[System]) -> dict[str, str]:
  """Returns by name what identifies the folders of those that have networks of their own.

  Raises:
    WeightsError: a folder without networks.
  """
  return {
    system.name: fingerprint(str(system.networks.folder))[:12]
    for system in chosen
    if system.networks is not None
  }

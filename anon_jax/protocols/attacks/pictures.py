"""The pictures, systems and networks that all attacks share."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from anon_jax.inference import crops
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.protocols.attacks.features import Features
from anon_jax.protocols.attacks.linking import Side
from anon_jax.protocols.celeba import People
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import Rendered, Study
from anon_jax.protocols.systems import System

# The same pictures once more, under another key: each system has draws of its own.
AGAIN = System('again', 'the method under another key', 'synthesize')
TRAIN, DEVELOPMENT, TEST = 'train', 'validation', 'test'


class Pictures:
  """Original and anonymized faces of three parts of CelebA; nobody is in two of them.

  Args:
    people: by part: TRAIN for attackers that learn, DEVELOPMENT for thresholds, TEST for who is
      looked for.
    studies: of the same.
    embedder: the recogniser.
    features: what attackers see.
    synthesizer: S for the maps of outputs, and the inputs of A and H.
  """

  def __init__(
    self,
    people: Mapping[str, People],
    studies: Mapping[str, Study],
    embedder: Embedder,
    features: Features,
    synthesizer: Synthesizer,
  ):
    self.people, self.studies, self.synthesizer = people, studies, synthesizer
    self.embedder, self.features = embedder, features
    self._rendered: dict[tuple[str, str], Rendered] = {}
    self._seen: dict[tuple[str, str], np.ndarray] = {}

  def rendered(self, part: str, system: System) -> Rendered:
    """Returns what a system makes of a part's pictures."""
    key = part, system.name
    if key not in self._rendered:
      self._rendered[key] = self.studies[part].render(system)
    return self._rendered[key]

  def side(self, part: str, vectors: np.ndarray) -> Side:
    """Returns vectors of a part's pictures as probes or gallery; NaN ones are left out."""
    labels = self.people[part].labels
    return Side(vectors, labels, np.arange(len(labels))).known()

  def recognised(self, part: str, system: System) -> Side:
    """Returns the recogniser's embeddings, cut by the landmarks of the originals."""
    return self.side(part, self.rendered(part, system).in_place)

  def judged(self, part: str, system: System) -> Side:
    """Returns I's embeddings."""
    pixels, there = self._crops(part, system)
    maps = self.maps(pixels)
    rows = self.features.of_identity(pixels, maps, f'{system.title}, IdentityNet')
    return self.side(part, np.where(there[:, None], rows, np.nan))

  def seen(self, part: str, system: System) -> np.ndarray:
    """Returns all that an attacker sees in the crops, float32 [n, d]; NaN without a face."""
    key = part, system.name
    if key not in self._seen:
      pixels, there = self._crops(part, system)
      title = f'{system.title}, {part}'
      rows = [
        self.rendered(part, system).in_place,
        self.features.of_identity(pixels, self.maps(pixels), title),
        self.features.of_pictures(pixels, title),
      ]
      self._seen[key] = np.where(there[:, None], np.concatenate(rows, axis=1), np.nan)
    return self._seen[key]

  def aligned(self, part: str, system: System) -> tuple[np.ndarray, np.ndarray]:
    """Returns faces as the recogniser takes them, uint8 [n, h, w, 3], and which ones they are."""
    study, places, rows = self.studies[part], [], []
    self.rendered(part, system)
    read = study.readers[system.title]
    for place, name in enumerate(study.names):
      face = study.face(name)
      if face is not None and face.landmarks is not None:
        places.append(place)
        rows.append(self.embedder.cut(read(name), face.landmarks))
    return np.stack(rows), np.array(places)

  def maps(self, pixels: np.ndarray) -> np.ndarray:
    """Returns S's maps of crops, uint8 [n, s, s]."""
    found: np.ndarray = self.synthesizer.maps(pixels)
    return found

  def _crops(self, part: str, system: System) -> tuple[np.ndarray, np.ndarray]:
    """Returns crops uint8 [n, s, s, 3] where the originals' faces are, and which have one."""
    study, size = self.studies[part], self.synthesizer.size
    self.rendered(part, system)
    read = study.readers[system.title]
    rows = np.zeros((len(study.names), size, size, 3), np.uint8)
    there = np.zeros(len(rows), bool)
    for place, name in enumerate(study.names):
      face = study.face(name)
      if face is not None:
        there[place], rows[place] = True, crops.cut(read(name), crops.frame_of(face), size)
    return rows, there


class Row(NamedTuple):
  """The outcome of an attack.

  Attributes:
    attack: 'T0' and so on.
    title: who attacks what.
    found: of `linking.link`.
  """

  attack: str
  title: str
  found: dict[str, Any]

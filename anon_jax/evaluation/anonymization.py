"""Whom a recogniser that no training has seen takes painted faces for (paper 4.1, metrics.md 5).

What is measured are a stage's final pictures: those of stage `anonymize` have A's faces pasted into
them as they are, without HarmonizationNet.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import compiling, proxy
from anon_jax.data import pipeline
from anon_jax.data.identity_batches import IdentitySource
from anon_jax.evaluation import diversity, identification, quality
from anon_jax.evaluation.crop_recognition import CropRecogniser
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.proxy import to_signed
from anon_jax.steps.stage import Paint


@dataclasses.dataclass(frozen=True)
class Sizes:
  """How much is measured.

  Attributes:
    outputs: painted faces that are compared with real people.
    maps: maps for which distinct nearest identities are counted.
    controls: control identities of each of these maps.
    gallery: real pictures at most that stand for a training identity.
    batch: examples a batch.
    seed: of all draws.
  """

  outputs: int = 2000
  maps: int = 10
  controls: int = 50
  gallery: int = 8
  batch: int = 32
  seed: int = 0


class People(NamedTuple):
  """Whose pictures are compared.

  Attributes:
    train: training examples.
    held_out: examples of people whom A was never trained on.
    numbers: original numbers of A's classes, int64 [classes].
    view: how pictures become crops.
  """

  train: IdentitySource
  held_out: IdentitySource
  numbers: np.ndarray
  view: pipeline.View


class Anonymized(NamedTuple):
  """Embeddings of painted faces.

  Attributes:
    embeddings: float32 [n, d].
    sources: int [n], places of their sources among the held-out examples.
    controls: int [n], classes that A was asked for.
  """

  embeddings: np.ndarray
  sources: np.ndarray
  controls: np.ndarray


class Measurement:
  """Measures what one stage paints with one recogniser.

  Args:
    paint: the stage's.
    params: its averaged parameters by network name.
    recogniser: the judge.
    people: whose pictures are compared.
    sizes: how much is measured.
  """

  def __init__(
    self,
    paint: Paint,
    params: Any,
    recogniser: CropRecogniser,
    people: People,
    sizes: Sizes,
  ):
    self._people, self._sizes, self._params = people, sizes, params
    self._recogniser = recogniser
    self._embed = compiling.jit(recogniser.embed)

    @compiling.jit
    def embed_painted(params: Any, weights: Any, batch: Any, controls: jax.Array) -> jax.Array:
      mixtures = jax.nn.one_hot(controls, len(people.numbers))
      return recogniser.embed(weights, paint(params, batch, mixtures))

    @compiling.jit
    def embed_blanked(weights: Any, batch: Any) -> jax.Array:
      mask = proxy.foreground_mask(batch['map'])
      return recogniser.embed(weights, jnp.where(mask > 0, 0.0, to_signed(batch['image'])))

    self._embed_painted, self._embed_blanked = embed_painted, embed_blanked

  def real(self, source: IdentitySource, places: np.ndarray) -> np.ndarray:
    """Embeds real pictures, float32 [n, d]."""
    parts = [
      np.asarray(self._embed(self._recogniser.params, to_signed(jnp.asarray(batch['image']))))
      for batch in self._batches(source, places)
    ]
    return np.concatenate(parts)[: len(places)]

  def blanked(self, places: np.ndarray) -> np.ndarray:
    """Embeds held-out pictures with a grey foreground, float32 [n, d]: what is left of them."""
    parts = [
      np.asarray(self._embed_blanked(self._recogniser.params, batch))
      for batch in self._batches(self._people.held_out, places)
    ]
    return np.concatenate(parts)[: len(places)]

  def painted(self, places: np.ndarray, controls: np.ndarray) -> Anonymized:
    """Paints and embeds held-out picture `places[i]` as `controls[i]`."""
    batches = self._batches(self._people.held_out, places)
    parts = []
    for number, batch in enumerate(batches):
      asked = controls[number * self._sizes.batch :][: self._sizes.batch]
      asked = np.pad(asked, (0, self._sizes.batch - len(asked)))
      parts.append(
        np.asarray(self._embed_painted(self._params, self._recogniser.params, batch, asked))
      )
    return Anonymized(np.concatenate(parts)[: len(places)], places, controls)

  def many(self, place: int, controls: np.ndarray) -> np.ndarray:
    """Paints and embeds one held-out picture as each of `controls`; its map is read once."""
    batch = next(iter(self._batches(self._people.held_out, np.array([place]), 1)))
    return np.asarray(self._embed_painted(self._params, self._recogniser.params, batch, controls))

  def _batches(self, source: IdentitySource, places: np.ndarray, size: int = 0) -> Any:
    size = size or self._sizes.batch
    for start in range(0, len(places), size):
      chosen = places[start : start + size]
      chosen = np.pad(chosen, (0, size - len(chosen)), mode='edge')
      rows = [source[int(place)] for place in chosen]
      cut = [self._people.view.fixed(row['image'], row['map']) for row in rows]
      yield {name: np.stack([row[name] for row in cut]) for name in ('image', 'map')}


def recognise(measurement: Measurement, people: People, sizes: Sizes) -> dict[str, Any]:
  """Compares painted faces with the real people they were asked for and made from.

  Returns:
    `outputs`, `sources`, `source_identities`, `classes`, and areas under the ROC curve, .5 being
    chance, over pairs of scores of the same output:
    `control`: the control identity's real pictures against those of another training identity;
    `source`: the source person's other pictures against those of another held-out person;
    `source_blanked`: the same with a grey foreground instead of a painted one: hair, outline and
    background alone; `source_real`: the same with the real picture, the recogniser's own skill;
    and `distinct`: distinct nearest training identities of the controls of one map, with a
    bootstrap interval over maps, {} without maps.
  """
  rng = np.random.default_rng(sizes.seed)
  centres = _training_centres(measurement, people, sizes, rng)
  labels = people.held_out.identity_labels()
  everyone = np.arange(len(labels))
  real = measurement.real(people.held_out, everyone)
  blanked = measurement.blanked(everyone)
  # Only sources with another picture of the same person can be looked for.
  counts = np.array([(labels == label).sum() for label in labels])
  known = np.flatnonzero(counts > 1)
  places = np.resize(rng.permutation(known), sizes.outputs)
  controls = rng.integers(0, len(centres), sizes.outputs)
  painted = measurement.painted(places, controls)
  others = _another(rng, controls, len(centres))
  vectors = painted.embeddings
  result: dict[str, Any] = {
    'outputs': len(vectors),
    'sources': len(np.unique(places)),
    'source_identities': len(np.unique(labels[places])),
    'classes': len(centres),
    'control': _auc(_scores(vectors, centres[controls]), _scores(vectors, centres[others])),
  }
  own, strangers = _source_centres(real, labels, places, rng)
  for name, shown in (
    ('source', vectors),
    ('source_blanked', blanked[places]),
    ('source_real', real[places]),
  ):
    result[name] = _auc(_scores(shown, own), _scores(shown, strangers))
  result['distinct'] = _distinct(measurement, centres, places, sizes, rng)
  return result


def _training_centres(
  measurement: Measurement, people: People, sizes: Sizes, rng: np.random.Generator
) -> np.ndarray:
  """Mean embedding of each training identity, of length 1, float64 [classes, d]."""
  labels = people.train.identity_labels()
  groups = []
  for number in people.numbers:
    mine = np.flatnonzero(labels == number)
    groups.append(rng.permutation(mine)[: sizes.gallery])
  embeddings = measurement.real(people.train, np.concatenate(groups)).astype(np.float64)
  ends = np.cumsum([len(group) for group in groups])[:-1]
  return _unit(np.stack([part.mean(axis=0) for part in np.split(embeddings, ends)]))


def _source_centres(
  real: np.ndarray, labels: np.ndarray, places: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """For each output the centre of its source's other pictures, and of another person's."""
  people = np.unique(labels)
  sums = np.stack([real[labels == person].sum(axis=0, dtype=np.float64) for person in people])
  person = np.searchsorted(people, labels[places])
  own = sums[person] - real[places]  # never the source picture itself
  return _unit(own), _unit(sums[_another(rng, person, len(people))])


def _distinct(
  measurement: Measurement,
  centres: np.ndarray,
  places: np.ndarray,
  sizes: Sizes,
  rng: np.random.Generator,
) -> dict[str, Any]:
  if not sizes.maps:
    return {}
  count = min(sizes.controls, len(centres))
  found = []
  for place in np.unique(places)[: sizes.maps]:
    controls = rng.permutation(len(centres))[:count]
    found.append(diversity.distinct_nearest(measurement.many(int(place), controls), centres))
  return {'maps': len(found), 'controls': count, **bootstrap_mean(np.array(found))}


def _another(rng: np.random.Generator, given: np.ndarray, count: int) -> np.ndarray:
  """Draws for each of `given` another number below `count`."""
  return (given + rng.integers(1, count, len(given))) % count


def _auc(genuine: np.ndarray, impostor: np.ndarray) -> float:
  return identification.verification_of_scores(genuine, impostor)['auc']


def _scores(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  return np.sum(first.astype(np.float64) * second, axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def own_identity_l1(
  paint: Paint,
  params: Any,
  batches: Sequence[dict[str, np.ndarray]],
  numbers: np.ndarray,
) -> dict[str, Any]:
  """L1 between the real foreground and the painted one of the source's own identity.

  Args:
    paint: the stage's.
    params: its averaged parameters by network name.
    batches: padded batches of training pictures with `_mask`; A has no class for others.
    numbers: original numbers of A's classes, ascending.

  Returns:
    `count` and the mean as a share of the range, with a 95 % bootstrap interval over pictures.
    People without a class and pictures without foreground do not count.
  """

  @compiling.jit
  def measure(params: Any, batch: Any, classes: jax.Array) -> jax.Array:
    painted = paint(params, batch, jax.nn.one_hot(classes, len(numbers)))
    mask = proxy.foreground_mask(batch['map'])
    return quality.foreground_l1(to_signed(batch['image']), painted, mask)

  values = []
  for i in range(len(batches)):
    batch = batches[i]
    classes = np.minimum(np.searchsorted(numbers, batch['identity']), len(numbers) - 1)
    counted = (batch['_mask'] > 0) & (numbers[classes] == batch['identity'])
    counted &= np.asarray(proxy.foreground_mask(jnp.asarray(batch['map']))).any(axis=(1, 2, 3))
    shown = {name: batch[name] for name in ('image', 'map', 'joints') if name in batch}
    values.append(np.asarray(measure(params, shown, classes.astype(np.int32)))[counted])
  found = np.concatenate(values)
  return {'count': len(found), **bootstrap_mean(found)}

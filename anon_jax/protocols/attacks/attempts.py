"""The attacks T0 to T6, each as rows of one table."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from anon_jax.evaluation import identification
from anon_jax.nets import recognition
from anon_jax.protocols.attacks import attacker, inversion
from anon_jax.protocols.attacks.inputs import Inputs
from anon_jax.protocols.attacks.linking import Side, link, mean_of
from anon_jax.protocols.attacks.pictures import (
  AGAIN,
  DEVELOPMENT,
  TEST,
  TRAIN,
  Pictures,
  Row,
)
from anon_jax.protocols.systems import FILL, METHOD, ORIGINAL

_FAR = 1e-3
_CONTROLS = ((ORIGINAL, 'originals'), (METHOD, 'outputs'), (FILL, 'solid fill'))


def off_the_shelf(pictures: Pictures, seed: int) -> Iterator[Row]:
  """T0: a recogniser against a gallery of originals, its threshold from clear pictures."""
  known = pictures.recognised(DEVELOPMENT, ORIGINAL)
  limit = identification.accept_threshold(known.vectors, known.labels, _FAR)
  gallery = pictures.recognised(TEST, ORIGINAL)
  for system, title in _CONTROLS:
    probes = pictures.recognised(TEST, system)
    yield Row('T0', f'{title} in originals', link(probes, gallery, limit, seed))


def second_recogniser(pictures: Pictures, seed: int) -> Iterator[Row]:
  """T1: another recogniser; I stands in for published ones, under its own name."""
  known = pictures.judged(DEVELOPMENT, ORIGINAL)
  limit = identification.accept_threshold(known.vectors, known.labels, _FAR)
  gallery = pictures.judged(TEST, ORIGINAL)
  for system, title in _CONTROLS:
    found = link(pictures.judged(TEST, system), gallery, limit, seed)
    yield Row('T1', f'{title} in originals, IdentityNet', found)


def trained(pictures: Pictures, seed: int) -> Iterator[Row]:
  """T2: an attacker trained on originals and outputs of other people."""
  labels = pictures.people[TRAIN].labels
  for system, title in _CONTROLS:
    rows = np.concatenate([pictures.seen(TRAIN, ORIGINAL), pictures.seen(TRAIN, system)])
    there, both = np.isfinite(rows).all(axis=1), np.tile(labels, 2)
    project = attacker.train(rows[there], both[there], seed)
    probes = pictures.side(TEST, project(pictures.seen(TEST, system)))
    gallery = pictures.side(TEST, project(pictures.seen(TEST, ORIGINAL)))
    yield Row('T2', f'{title} in originals, trained attacker', link(probes, gallery, None, seed))
    if system is not ORIGINAL:
      found = link(probes, probes, None, seed)
      yield Row('T2', f'{title} in {title}, trained attacker', found)


def inverted(
  pictures: Pictures, network: tuple[recognition.Recogniser, object], steps: int, seed: int
) -> Iterator[Row]:
  """T3: a U-Net trained on pairs of other people, then T0."""
  net, loaded = network
  params = jax.device_put(loaded)
  gallery = pictures.recognised(TEST, ORIGINAL)
  originals, _ = pictures.aligned(TRAIN, ORIGINAL)
  for system, title in ((METHOD, 'outputs'), (FILL, 'solid fill')):
    made, _ = pictures.aligned(TRAIN, system)
    invert = inversion.train(made, originals, lambda x: net.apply(params, x), steps, seed)
    faces, places = pictures.aligned(TEST, system)
    vectors = np.full((len(pictures.people[TEST].labels), net.dimensions), np.nan, np.float32)
    restored = invert(faces)
    vectors[places] = pictures.embedder.embed(iter(restored), len(restored), 'restored faces')
    found = link(pictures.side(TEST, vectors), gallery, None, seed)
    yield Row('T3', f'{title}, inverted, in originals', found)


def two_keys(pictures: Pictures, seed: int) -> Iterator[Row]:
  """T4: are two outputs of one photograph linked, if the keys are unknown, or the same?"""
  one = pictures.rendered(TEST, METHOD).in_place
  for system, title in ((AGAIN, 'two keys'), (METHOD, 'the same key')):
    other = pictures.rendered(TEST, system).in_place
    numbers = np.arange(len(one))
    probes, gallery = (
      Side(vectors, numbers, numbers + shift).known()
      for vectors, shift in ((one, 0), (other, len(one)))
    )
    yield Row('T4', f'outputs of one photograph, {title}', link(probes, gallery, None, seed))


def pooled(pictures: Pictures, seed: int) -> Iterator[Row]:
  """T5: the mean over half of a person's pictures, in means of the originals of the other half."""
  labels = pictures.people[TEST].labels
  clear = pictures.rendered(TEST, ORIGINAL).in_place
  for system, title in _CONTROLS:
    vectors = pictures.rendered(TEST, system).in_place
    probes, gallery = [], []
    for person in np.unique(labels):
      mine = np.flatnonzero(labels == person)
      probes.append(mean_of(vectors[mine[::2]]))
      gallery.append(mean_of(clear[mine[1::2]]))
    people = np.unique(labels)
    sides = [
      Side(np.stack(rows), people, np.arange(len(people)) + shift).known()
      for rows, shift in ((probes, 0), (gallery, len(people)))
    ]
    yield Row(
      'T5', f'{title}, pooled over a person, in originals', link(sides[0], sides[1], None, seed)
    )


def inputs_alone(pictures: Pictures, sigmas: Sequence[float], seed: int) -> Iterator[Row]:
  """T6: each input of synthesis alone: an attacker trained on it, in a gallery of the same.

  Args:
    pictures: of the parts.
    sigmas: further strengths of the appearance condition, shares of the crop's side.
    seed: of the attacker.
  """
  look = pictures.features.of_pictures
  train, test = (Inputs(pictures.studies[part], pictures.synthesizer) for part in (TRAIN, TEST))
  sides = train.features(look), test.features(look)
  for name, rows in sides[0].items():
    yield _alone(pictures, name, rows, sides[1][name], seed)
  for sigma in sigmas:
    title = f'appearance condition of sigma {sigma:g}'
    known, asked = (
      np.where(part.faces[:, None], look(part.blurred(sigma), title), np.nan)
      for part in (train, test)
    )
    yield _alone(pictures, title, known, asked, seed)


def _alone(pictures: Pictures, name: str, train: np.ndarray, test: np.ndarray, seed: int) -> Row:
  there = np.isfinite(train).all(axis=1)
  project = attacker.train(train[there], pictures.people[TRAIN].labels[there], seed)
  side = pictures.side(TEST, project(test))
  return Row('T6', f'{name} alone', link(side, side, None, seed))

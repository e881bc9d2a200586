"""Do outputs imitate real people: those that A was trained on, or the control identity's own?"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation import identification
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.evaluation.retrieval import block_distances
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Cast, Part, Request
from anon_jax.protocols.attacks.linking import Side, link
from anon_jax.protocols.attacks.pictures import DEVELOPMENT, TEST, TRAIN, Pictures, Row
from anon_jax.protocols.systems import METHOD, ORIGINAL

_FAR = 1e-3
_TOGETHER = 16


def nearest(pictures: Pictures) -> list[dict[str, Any]]:
  """Measures how near pictures are to the nearest one that A was trained on.

  Returns:
    Rows for outputs, for originals of people whom A never saw, and for the training pictures, each
    among those of other people and of its own: `title`, `cosine`, the mean of the largest, and
    `accepted`, the share for which it exceeds what one in a thousand pairs of development people
    does; both with 95 % intervals, people drawn as wholes.
  """
  known = pictures.recognised(DEVELOPMENT, ORIGINAL)
  limit = identification.accept_threshold(known.vectors, known.labels, _FAR)
  gallery = pictures.recognised(TRAIN, ORIGINAL)
  rows = []
  for title, side in (
    ('outputs', pictures.recognised(TEST, METHOD)),
    ('originals of the same held-out people', pictures.recognised(TEST, ORIGINAL)),
    ('training pictures, among the others', gallery),
  ):
    largest = _largest(side, gallery, own=side is gallery)
    rows.append(
      {
        'title': title,
        'cosine': bootstrap_mean(largest, groups=side.labels),
        'accepted': bootstrap_mean(largest > limit, groups=side.labels),
      }
    )
  return rows


def _largest(side: Side, gallery: Side, *, own: bool) -> np.ndarray:
  """Returns the cosine of each to its nearest in the gallery, itself left out if it is there."""
  found = np.zeros(len(side.labels))
  for block, distances in block_distances(side.vectors, gallery.vectors, 512):
    if own:
      distances = np.where(side.sources[block, None] == gallery.sources, np.inf, distances)
    found[block] = 1 - distances.min(axis=1) / 2
  return found


def of_controls(pictures: Pictures, people: Sequence[int], seed: int) -> Iterator[Row]:
  """Links outputs to the training people whose control identities they were painted with.

  Args:
    pictures: of the parts; A's training people are in TRAIN.
    people: who each control identity is.
    seed: of the draws.
  """
  gallery = pictures.recognised(TRAIN, ORIGINAL)
  count, rng = pictures.synthesizer.identities, np.random.default_rng(seed)

  def one() -> np.ndarray:
    return np.eye(count, dtype=np.float32)[rng.integers(count)]

  def mixture() -> None:
    return None  # the pipeline's own draw

  for title, control in (('one of them', one), ('the strongest of three', mixture)):
    vectors, shown = _painted(pictures, control)
    labels = np.array(people)[shown]
    places = len(gallery.labels) + np.arange(len(labels))
    probes = Side(vectors, labels, places).known()
    # whom no picture shows cannot be found
    probes = probes.kept(np.isin(probes.labels, gallery.labels))
    if len(probes.labels):
      found = link(probes, gallery, None, seed)
      yield Row('control', f'outputs in training pictures: control identity, {title}', found)


def _painted(
  pictures: Pictures, control: Callable[[], np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
  """Paints each test picture once more; returns embeddings and the strongest control of each."""
  study = pictures.studies[TEST]
  anonymizer = Anonymizer(synthesizer=pictures.synthesizer, key=study.key)
  vectors, shown = [], []
  faces = ((name, study.face(name)) for name in study.names)
  chosen = [(name, face, face.landmarks) for name, face in faces if face and face.landmarks]
  for start in range(0, len(chosen), _TOGETHER):
    asked = [(*each, control()) for each in chosen[start : start + _TOGETHER]]
    requests = []
    for name, face, _, mixed in asked:
      # a draw of its own, which the ladder then keeps
      cast = Cast() if mixed is None else Cast({name: Part(mixed, 1)})
      requests.append(Request(study.read(name), [face], names=(name,), cast=cast))
    cut = []
    finished = zip(asked, requests, anonymizer.anonymize_many(requests), strict=True)
    for (name, _, points, _), request, done in finished:
      # drawn again, or filled: it is not of that control identity
      if done.faces[0].action == 'synthesized' and done.faces[0].draws == 1:
        cut.append(pictures.embedder.cut(done.image, points))
        assert request.cast is not None
        shown.append(int(request.cast[name].control.argmax()))
    if cut:
      vectors.append(pictures.embedder.embed(iter(cut), len(cut), 'painting as training people'))
  rows = np.concatenate(vectors) if vectors else np.zeros((0, pictures.embedder.dimensions))
  return rows, np.array(shown, int)

"""Tables 1 and 2: are faces of CelebA's held-out people found, identified, and diverse?"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.data.celeba import Celeba
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation.detection_rate import SCORES, detection_rate
from anon_jax.evaluation.feature_networks import FeatureNetwork
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.evaluation.retrieval import ranks_in_gallery
from anon_jax.inference.segmenting import Segmenter
from anon_jax.protocols.detectors import Judge, Judged
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.looks import Looks
from anon_jax.protocols.study import Rendered, Study, hash_of
from anon_jax.protocols.systems import ORIGINAL, SYSTEMS, System


class People(NamedTuple):
  """Pictures of some people.

  Attributes:
    folder: of the pictures.
    names: of the pictures.
    labels: int [n], who is shown.
  """

  folder: pathlib.Path
  names: tuple[str, ...]
  labels: np.ndarray


def draw(folder: pathlib.Path, split: str, each: int, seed: int, least: int = 1) -> People:
  """Draws pictures of every person of a split.

  Args:
    folder: of CelebA.
    split: 'train', 'validation' or 'test'.
    each: pictures of a person; 0 takes all.
    seed: of the draw.
    least: people with fewer pictures are left out.

  Raises:
    DatasetError: missing or broken data, or nobody is left.
  """
  items = Celeba.list_items(folder).get(split, [])
  rng = np.random.default_rng(seed)
  names: list[str] = []
  labels: list[int] = []
  for person in sorted({item.identity for item in items}):
    mine = sorted(item.name for item in items if item.identity == person)
    if len(mine) < max(least, 1):
      continue
    chosen = sorted(rng.permutation(len(mine))[: each or None].tolist())
    names += [mine[place] for place in chosen]
    labels += [person] * len(chosen)
  if not names:
    raise DatasetError(f'{folder} has nobody with {least} pictures in its part {split!r}.')
  return People(items[0].picture.parent, tuple(names), np.array(labels))


def evaluate(
  people: People,
  workdir: pathlib.Path,
  embedder: Embedder,
  *,
  weights: str = '',
  rows: Sequence[System] = (),
  seed: int = 0,
  network: tuple[FeatureNetwork, Any] | None = None,
  judge: Judge | None = None,
  segmenter: Segmenter | None = None,
) -> tuple[dict[str, Any], Study]:
  """Measures every system on pictures of held-out people.

  Args:
    people: whose pictures, two or more of each.
    workdir: where pictures and detections are kept.
    embedder: the recogniser.
    weights: folder of trained networks; '' for the package's own.
    rows: the systems, the original first; none: those of Table 2.
    seed: of the draws of control identities.
    network: for the distances of sets, and its parameters; None leaves them out.
    judge: a detector that is not the pipeline's; None leaves its rate out.
    segmenter: S, for expressions; None leaves them out.

  Returns:
    The result: `rows`, by the name of the system: `detection`, by score, and `judged`, that of the
    other detector, whose title is `judge` beside the rows; `found` and `in_place`,
    shares of pictures whose nearest one in the gallery of originals is of the same person (the
    paper's Recall@1): by the face as it is found in the output, where one that is not found is not
    identified, and by the original's landmarks; each `without_source`, the gallery being the other
    originals, and `with_source`; `actions`; and what `looks.Looks` compares. Besides `people`,
    `pictures` and `list`, the hash of the names. And the study.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded.
  """
  study = Study(people.folder, people.names, workdir, embedder, weights, seed)
  clear, labels = study.render(ORIGINAL), people.labels.tolist()
  looks, judged, found = Looks(study, network, segmenter), Judged(judge, study, workdir), {}
  for system in rows or SYSTEMS:
    rendered = clear if system is ORIGINAL else study.render(system)
    found[system.name] = {
      'title': system.title,
      'detection': {
        f'{score:g}': detection_rate(clear.detections, rendered.detections, score, labels)
        for score in SCORES
      },
      'judged': judged.rate(system, people.names, labels),
      'found': _identified(rendered.embeddings, clear, people.labels),
      'in_place': _identified(rendered.in_place, clear, people.labels),
      'actions': rendered.counts(),
      **looks.compare(rendered, clear, labels),
    }
  result = {
    'rows': found,
    'people': len(np.unique(people.labels)),
    'pictures': len(people.names),
    'judge': judge.title if judge else '',
    'list': hash_of(people.names),
    'without_face': [name for name in people.names if study.face(name) is None],
  }
  return result, study


def _identified(queries: np.ndarray, clear: Rendered, labels: np.ndarray) -> Mapping[str, Any]:
  """Recall@1 among the originals, with and without the source picture; people as wholes."""
  there = ~np.isnan(clear.in_place).any(axis=1)
  gallery, places = clear.in_place[there], np.cumsum(there) - 1
  asked = ~np.isnan(queries).any(axis=1) & there
  result = {}
  for name, hidden in (('without_source', places[asked]), ('with_source', None)):
    right = np.zeros(len(queries))
    if asked.any():
      ranks = ranks_in_gallery(
        queries[asked], labels[asked], gallery, labels[there], exclude=hidden
      )
      right[asked] = ranks == 0
    result[name] = bootstrap_mean(right[there], groups=labels[there])
  return result

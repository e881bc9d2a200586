"""All attacks in one table, with both controls."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.inference.weights import load_weights
from anon_jax.nets import recognition
from anon_jax.protocols import celeba
from anon_jax.protocols.attacks import attempts
from anon_jax.protocols.attacks.features import Features
from anon_jax.protocols.attacks.pictures import DEVELOPMENT, TEST, TRAIN, Pictures
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import Study, hash_of
from anon_jax.telemetry import write_whole

_EACH_DEVELOPMENT = 6


def evaluate(
  data: pathlib.Path,
  workdir: pathlib.Path,
  embedder: Embedder,
  folders: Sequence[pathlib.Path],
  *,
  weights: str = '',
  each: int,
  train_each: int,
  inversion_steps: int,
  seed: int,
) -> tuple[dict[str, Any], Pictures]:
  """Attacks the outputs of some trained networks.

  Args:
    data: of CelebA.
    workdir: where pictures, detections and splits.json, the people of each part, are kept.
    embedder: the recogniser.
    folders: of published weights.
    weights: folder of trained networks; '' for the package's own.
    each: pictures of each person who is looked for.
    train_each: pictures of each person whom an attacker trains on.
    inversion_steps: training steps of the inverting network.
    seed: of everything that is drawn.

  Returns:
    The result: `rows`, each `attack`, `title` and what `linking.link` returns; `left_out`, by
    attack, why; `parts`, numbers of people and pictures; `seconds` by attack; `list`, the hash of
    the test pictures. And the pictures.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded.
  """
  people = {
    TRAIN: celeba.draw(data, TRAIN, train_each, seed),
    DEVELOPMENT: celeba.draw(data, DEVELOPMENT, _EACH_DEVELOPMENT, seed, least=2),
    TEST: celeba.draw(data, TEST, each, seed, least=2),
  }
  _write_splits(workdir, people)
  studies = {
    part: Study(some.folder, some.names, workdir / part, embedder, weights, seed)
    for part, some in people.items()
  }
  loaded = load_weights(pathlib.Path(weights).expanduser() if weights else SHIPPED)
  synthesizer = Synthesizer(loaded)
  assert loaded.identity is not None  # or there would be no synthesizer
  features = Features(embedder, loaded.identity, folders)
  pictures = Pictures(people, studies, embedder, features, synthesizer)
  network = recognition.load_recogniser(embedder.name, folders)
  rows, seconds = [], {}
  for name, attack in {
    'T0': lambda: attempts.off_the_shelf(pictures, seed),
    'T1': lambda: attempts.second_recogniser(pictures, seed),
    'T2': lambda: attempts.trained(pictures, seed),
    'T3': lambda: attempts.inverted(pictures, network, inversion_steps, seed),
    'T4': lambda: attempts.two_keys(pictures, seed),
    'T5': lambda: attempts.pooled(pictures, seed),
    'T6': lambda: attempts.inputs_alone(pictures, seed),
  }.items():
    start = time.monotonic()
    rows += [{'attack': row.attack, 'title': row.title, **row.found} for row in attack()]
    seconds[name] = round(time.monotonic() - start, 1)
    print(f'{name}: {seconds[name]} s', file=sys.stderr)
  result = {
    'rows': rows,
    'seconds': seconds,
    'parts': {
      part: {'people': len(set(some.labels.tolist())), 'pictures': len(some.names)}
      for part, some in people.items()
    },
    'left_out': {'T2, T6: features of SqueezeNet': features.missing} if features.missing else {},
    'list': hash_of(people[TEST].names),
  }
  return result, pictures


def _write_splits(workdir: pathlib.Path, people: Mapping[str, celeba.People]) -> None:
  """Writes who is in which part, and makes sure that nobody is in two."""
  names = {part: sorted({int(label) for label in some.labels}) for part, some in people.items()}
  everybody = [label for labels in names.values() for label in labels]
  if len(everybody) != len(set(everybody)):
    raise AssertionError('somebody is in two parts')  # the data set's own lists forbid it
  content = {
    part: {'people': labels, 'pictures': list(people[part].names)} for part, labels in names.items()
  }
  write_whole(workdir / 'splits.json', json.dumps(content, indent=1).encode())

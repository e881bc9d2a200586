"""All attacks in one table, with both controls."""

import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.synthesis import Synthesizer
from anon_jax.inference.weights import load_weights
from anon_jax.nets import recognition
from anon_jax.nets.frozen import WeightsError
from anon_jax.protocols import celeba
from anon_jax.protocols.attacks import attempts, imitation
from anon_jax.protocols.attacks.features import Features
from anon_jax.protocols.attacks.pictures import DEVELOPMENT, TEST, TRAIN, Pictures, Row
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
  sigmas: Sequence[float] = (),
  controls: Sequence[int] | None = None,
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
    sigmas: further strengths of the appearance condition for T6, shares of the crop's side.
    controls: who each control identity is; None leaves out whether outputs look like them.

  Returns:
    The result: `rows`, each `attack`, `title` and what `linking.link` returns; `nearest`, of
    `imitation.nearest`; `left_out`, by attack, why; `parts`, numbers of people and pictures;
    `seconds` by attack; `list`, the hash of the test pictures. And the pictures.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that cannot be loaded, or of another run than `controls`.
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
  left_out = _left_out(features, controls, synthesizer.identities)  # before hours go by
  pictures = Pictures(people, studies, embedder, features, synthesizer)
  network = recognition.load_recogniser(embedder.name, folders)
  rows, seconds = _in_turn(
    {
      'T0': lambda: attempts.off_the_shelf(pictures, seed),
      'T1': lambda: attempts.second_recogniser(pictures, seed),
      'T2': lambda: attempts.trained(pictures, seed),
      'T3': lambda: attempts.inverted(pictures, network, inversion_steps, seed),
      'T4': lambda: attempts.two_keys(pictures, seed),
      'T5': lambda: attempts.pooled(pictures, seed),
      'T6': lambda: attempts.inputs_alone(pictures, sigmas, seed),
      'control': lambda: imitation.of_controls(pictures, controls, seed) if controls else iter(()),
    }
  )
  result = {
    'rows': rows,
    'nearest': imitation.nearest(pictures),
    'seconds': seconds,
    'parts': {
      part: {'people': len(set(some.labels.tolist())), 'pictures': len(some.names)}
      for part, some in people.items()
    },
    'left_out': left_out,
    'list': hash_of(people[TEST].names),
  }
  return result, pictures


def _left_out(
  features: Features, controls: Sequence[int] | None, identities: int
) -> dict[str, str]:
  """Returns what is not measured, and why.

  Raises:
    WeightsError: A has another number of control identities than the run that was named.
  """
  left_out = {'T2, T6: features of SqueezeNet': features.missing} if features.missing else {}
  if controls is None:
    left_out['control'] = 'weights do not say who their control identities are.'
  elif len(controls) != identities:
    raise WeightsError(
      f'A has {identities} control identities and the run names {len(controls)}; give the workdir '
      'of the run that it was exported from.'
    )
  return left_out


def _in_turn(
  attacks: Mapping[str, Callable[[], Iterator[Row]]],
) -> tuple[list[dict[str, Any]], dict[str, float]]:
  """Returns the rows of all attacks, and how long each took in seconds."""
  rows, seconds = [], {}
  for name, attack in attacks.items():
    start = time.monotonic()
    rows += [{'attack': row.attack, 'title': row.title, **row.found} for row in attack()]
    seconds[name] = round(time.monotonic() - start, 1)
    print(f'{name}: {seconds[name]} s', file=sys.stderr)
  return rows, seconds


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

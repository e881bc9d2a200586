"""Runs the evaluation of clips that a config names."""

import pathlib
from typing import Any

import numpy as np

from anon_jax.config.field import ConfigError
from anon_jax.evaluation import lpips
from anon_jax.experiment.sources import weights_folders
from anon_jax.protocols import celeba, detectors, figures, repaints
from anon_jax.protocols import report as reports
from anon_jax.protocols.attacks.linking import Side
from anon_jax.protocols.place import Place
from anon_jax.protocols.video import evaluate as video
from anon_jax.protocols.video import report
from anon_jax.protocols.video.clips import REENCODED

_ROWS = 256  # of a frame, for distances
_GALLERY = 5  # pictures of each stranger


def run(config: Any, place: Place) -> None:
  """Measures, and writes results.json, results.md and a sheet.

  Raises:
    ConfigError: fields that cannot be used.
    DatasetError: missing or broken clips.
    WeightsError: networks that are missing or damaged.
    InferenceError: the detector or synthesis failed.
  """
  if REENCODED.name in {system.name for system in place.more}:
    raise ConfigError(f'config.others: the name {REENCODED.name!r} is taken; choose another one.')
  distance, without = lpips.load_or_say(weights_folders(config), _ROWS, config.lpips)
  judge, nobody = detectors.load_or_say(config.detector)
  people = _strangers(config, place)
  clips = video.Clips(
    place.data,
    place.workdir,
    place.embedder,
    distance,
    judge,
    weights=config.weights_from,
    frames=config.frames,
    seed=config.seed,
  )
  result, shown = video.evaluate(clips, place.more, people, config.seed)
  result |= {
    'distance': '' if distance is None else distance[0].title,
    'distance_missing': without,
    'judge': '' if judge is None else judge.title,
    'judge_missing': nobody,
    'strangers': 0 if people is None else len(people.labels),
  }
  facts = place.facts(config, result)
  reports.write(place.workdir, {**facts, **result}, report.lines(result, facts))
  if any(shown.values()):
    figures.sheet(place.workdir / 'sheet.png', shown, 256)


def _strangers(config: Any, place: Place) -> Side | None:
  """Returns means of CelebA's test people, whom no network was trained on."""
  if not config.gallery:
    return None
  folder = pathlib.Path(config.gallery).expanduser()
  if not folder.is_dir():
    raise ConfigError(
      f'config.gallery={config.gallery!r} is not a folder; give that of CelebA, or leave it empty.'
    )
  people = celeba.draw(folder, 'test', _GALLERY, config.seed)
  centres = repaints.centres_of(people, place.embedder)
  numbers = np.unique(people.labels)
  return Side(centres, numbers, numbers)

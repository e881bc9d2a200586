"""Runs the evaluation that a config names."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anon_jax.config.field import ConfigError
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation.feature_networks import load_or_say
from anon_jax.experiment.identities import read_numbers
from anon_jax.experiment.sources import weights_folders
from anon_jax.inference.segmenting import load_exported_segmenter
from anon_jax.protocols import (
  ablation,
  ablation_report,
  celeba,
  celeba_report,
  detectors,
  figures,
  lfw,
  lfw_report,
  networks,
  repaints,
  report,
  slices,
  slices_report,
  super_resolution,
  super_resolution_report,
  systems,
)
from anon_jax.protocols.attacks import evaluate as attacks
from anon_jax.protocols.attacks import report as attacks_report
from anon_jax.protocols.attacks.pictures import TEST
from anon_jax.protocols.bodies import command as bodies
from anon_jax.protocols.embedding import load_embedder
from anon_jax.protocols.place import Place
from anon_jax.protocols.poses import command as poses
from anon_jax.protocols.study import Study
from anon_jax.protocols.video import command as video

_CROP = 128  # side of face crops
_GALLERY = 5  # pictures of each training person
_SIGMAS = 0.005, 0.5  # shares of the side of a crop


def run(config: Any, workdir: pathlib.Path) -> None:
  """Measures, and writes results.json, results.md and pictures into a workdir.

  Raises:
    ConfigError: fields that cannot be used.
    DatasetError: missing or broken data.
    WeightsError: networks that are missing or damaged.
    InferenceError: the detector or synthesis failed.
  """
  folder = pathlib.Path(config.manual_dir).expanduser()
  if not config.manual_dir or not folder.is_dir():
    raise ConfigError(
      f'config.manual_dir={config.manual_dir!r} is not a folder; give the folder that holds the '
      'raw files (docs/evaluation.md shows their layout).'
    )
  try:
    more = systems.others(config.others)
  except ValueError as error:
    raise ConfigError(f'config.others={config.others!r}: {error}') from None
  if config.stage == 'evaluate_bodies':  # no recogniser of faces, and no networks that paint them
    bodies.run(config, folder, workdir, more)
    return
  networks.fingerprint(config.weights_from)  # before hours go by
  workdir.mkdir(parents=True, exist_ok=True)
  embedder = load_embedder(config.recogniser, weights_folders(config), config.batch_size)
  _EVALUATIONS[config.stage](config, Place(folder, workdir, embedder, more))


def _lfw(config: Any, place: Place) -> None:
  judge, without = detectors.load_or_say(config.detector)
  result, scores, study, shown = lfw.evaluate(
    place.data,
    place.workdir,
    place.embedder,
    weights=config.weights_from,
    more=place.more,
    each=config.pairs,
    seed=config.seed,
    judge=judge,
  )
  result['judge_missing'] = without
  facts = place.facts(config, result)
  report.write(place.workdir, {**facts, **result}, lfw_report.lines(result, facts))
  figures.roc(place.workdir / 'roc.png', scores)
  genuine = {title: same for title, (same, _) in scores.items()}
  two = scores[systems.ORIGINAL.title][1]
  figures.histograms(
    place.workdir / 'similarities.png', {**genuine, 'two people, original': two}, 'cosine'
  )
  place.sheet(study, sorted(shown), config.seed)


def _measured(
  config: Any, place: Place, people: celeba.People, rows: Sequence[systems.System]
) -> tuple[dict[str, Any], Study]:
  """Measures systems on CelebA; the result says whose features were compared."""
  network, missing = load_or_say(config.features, weights_folders(config), _CROP)
  judge, without = detectors.load_or_say(config.detector)
  result, study = celeba.evaluate(
    people,
    place.workdir,
    place.embedder,
    weights=config.weights_from,
    rows=rows,
    seed=config.seed,
    network=network,
    judge=judge,
    segmenter=load_exported_segmenter(networks.folder_of(config.weights_from)),
  )
  result['judge_missing'] = without
  result['features'] = network[0].frechet if network else ''
  result['features_missing'] = missing
  return result, study


def _repainted(
  config: Any, place: Place, study: Study, painters: Sequence[systems.System]
) -> dict[str, Any]:
  """Measures by name how different the faces are that systems paint into the same pictures."""
  if not config.diversity_pictures:
    return {}
  rng = np.random.default_rng(config.seed)
  count = min(config.diversity_pictures, len(study.names))
  drawn = sorted(rng.choice(len(study.names), count, replace=False))
  training = celeba.draw(place.data, 'train', _GALLERY, config.seed)
  centres = repaints.centres_of(training, place.embedder)
  return {
    system.name: repaints.measure(
      study,
      [study.names[each] for each in drawn],
      config.diversity_outputs,
      centres,
      place.embedder,
      weights_folders(config),
      config.seed,
      system,
    )
    for system in painters
  }


def _celeba(config: Any, place: Place) -> None:
  people = celeba.draw(place.data, config.split, config.each, config.seed, least=2)
  result, study = _measured(config, place, people, (*systems.SYSTEMS, *place.more))
  for each in _repainted(config, place, study, [systems.METHOD]).values():
    result['diversity'] = each
  facts = place.facts(config, result)
  report.write(place.workdir, {**facts, **result}, celeba_report.lines(result, facts))
  place.sheet(study, people.names, config.seed)
  place.pairs(study, config.seed)


def _ablation(config: Any, place: Place) -> None:
  try:
    variants = ablation.variants(config.variants)
    rows = ablation.rows(variants, place.more)
    trained = ablation.trained(variants, config.weights_from)
  except ValueError as error:
    raise ConfigError(
      f'config.variants={config.variants!r}, config.others={config.others!r}: {error}'
    ) from None
  people = celeba.draw(place.data, config.split, config.each, config.seed, least=2)
  result, study = _measured(config, place, people, rows)
  result['diversity'] = _repainted(config, place, study, variants)
  result['trained'] = trained
  result['missing'] = ablation.missing(variants)
  facts = place.facts(config, result) | systems.seals(variants)
  report.write(place.workdir, {**facts, **result}, ablation_report.lines(result, facts))
  place.sheet(study, people.names, config.seed)


def _sr(config: Any, place: Place) -> None:
  given = {256: config.weights_256, 512: config.weights_512}
  try:
    super_resolution.require_free(place.more)
    chosen, missing = super_resolution.systems_of(config.weights_from, given)
  except ValueError as error:
    raise ConfigError(str(error)) from None
  people = super_resolution.draw(
    config.dataset, place.data, config.split, config.pictures, config.seed
  )
  network, unknown = load_or_say(config.features, weights_folders(config), _CROP)
  sizes = super_resolution.Sizes(
    people, place.workdir, place.embedder, config.weights_from, chosen, place.more, config.seed
  )
  result = super_resolution.evaluate(sizes, network)
  result |= {'dataset': config.dataset, 'missing': missing, 'features_missing': unknown}
  result['features'] = network[0].frechet if network else ''
  facts = place.facts(config, result) | systems.seals(chosen.values())
  report.write(place.workdir, {**facts, **result}, super_resolution_report.lines(result, facts))
  for size, found in result['sizes'].items():
    if 'rows' in found:
      figures.sheet(place.workdir / f'sheet_{size}.png', sizes.sheet(size), size)


def _slices(config: Any, place: Place) -> None:
  if place.more:
    raise ConfigError('config.others is not used by slices; leave it empty.')
  people = super_resolution.draw(
    config.dataset, place.data, config.split, config.pictures, config.seed
  )
  try:
    chosen = slices.slices_of(people.names, config.groups)
  except DatasetError:  # it is a ValueError, and says what it is about
    raise
  except ValueError as error:
    raise ConfigError(f'config.groups: {error}') from None
  judge, without = detectors.load_or_say(config.detector)
  result, study = slices.evaluate(
    people,
    place.workdir,
    place.embedder,
    chosen,
    weights=config.weights_from,
    seed=config.seed,
    judge=judge,
  )
  result['judge_missing'] = without
  facts = place.facts(config, result)
  report.write(place.workdir, {**facts, **result}, slices_report.lines(result, facts))
  place.sheet(study, people.names, config.seed)
  place.pairs(study, config.seed)


def _attacks(config: Any, place: Place) -> None:
  if place.more:
    raise ConfigError('config.others is not used by attacks; leave it empty.')
  result, pictures = attacks.evaluate(
    place.data,
    place.workdir,
    place.embedder,
    weights_folders(config),
    weights=config.weights_from,
    each=config.each,
    train_each=config.train_each,
    inversion_steps=config.inversion_steps,
    seed=config.seed,
    sigmas=_sigmas(config.sigmas),
    controls=_controls(config.controls_from),
  )
  facts = place.facts(config, result)
  report.write(place.workdir, {**facts, **result}, attacks_report.lines(result, facts))
  names = pictures.people[TEST].names
  place.sheet(pictures.studies[TEST], names, config.seed)


def _sigmas(text: str) -> list[float]:
  """Reads strengths of the appearance condition."""
  try:
    found = [float(part) for part in text.split(',') if part.strip()]
  except ValueError:
    found = [float('nan')]
  if not all(_SIGMAS[0] <= sigma <= _SIGMAS[1] for sigma in found):
    raise ConfigError(
      f'config.sigmas={text!r} cannot be used; give numbers from {_SIGMAS[0]} to {_SIGMAS[1]} with '
      'commas between, such as 0.04, 0.1.'
    )
  return found


def _controls(workdir: str) -> list[int] | None:
  """Returns who the control identities of a run are; None where no run is named."""
  return read_numbers(pathlib.Path(workdir).expanduser()) if workdir else None


_EVALUATIONS: dict[str, Callable[[Any, Place], None]] = {
  'evaluate_lfw': _lfw,
  'evaluate_celeba': _celeba,
  'evaluate_attacks': _attacks,
  'evaluate_ablation': _ablation,
  'evaluate_sr': _sr,
  'evaluate_slices': _slices,
  'evaluate_video': video.run,
  'evaluate_poses': poses.run,
}

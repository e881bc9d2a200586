"""Runs the evaluation by pose that a config names."""

from typing import Any

import numpy as np

from anon_jax.config.evaluations import read_edges
from anon_jax.inference.segmenting import load_exported_segmenter
from anon_jax.protocols import detectors, networks
from anon_jax.protocols import report as reports
from anon_jax.protocols.place import Place
from anon_jax.protocols.poses import evaluate as poses
from anon_jax.protocols.poses import maps, pictures, report, strips


def run(config: Any, place: Place) -> None:
  """Measures, and writes results.json, results.md and pictures.

  Raises:
    DatasetError: missing or broken data.
    WeightsError: networks that are missing or damaged.
    InferenceError: the detector or synthesis failed.
  """
  edges = read_edges(config.edges)
  segmenter = load_exported_segmenter(networks.folder_of(config.weights_from))
  posed = pictures.load(config.dataset, place.data, config.seen).drawn(config.pictures, config.seed)
  judge, without = detectors.load_or_say(config.detector)
  result, study = poses.evaluate(
    posed,
    place.workdir,
    place.embedder,
    edges,
    weights=config.weights_from,
    rows=(*poses.ROWS[:-1], *place.more, poses.ROWS[-1]),
    seed=config.seed,
    judge=judge,
  )
  chosen = {part: np.flatnonzero(posed.seen == (part == 'seen')) for part in result['parts']}
  result |= {'dataset': config.dataset, 'judge_missing': without, 'maps': {}}
  if posed.items:
    places = {
      part: {title: mine[each] for title, each in pictures.bins(posed.yaws[mine], edges).items()}
      for part, mine in chosen.items()
    }
    result['maps'] = maps.by_bins(segmenter, config.dataset, posed, places)
  facts = place.facts(config, result)
  reports.write(place.workdir, {**facts, **result}, report.lines(result, facts))
  for part, mine in chosen.items():
    strips.draw(place.workdir / f'strip_{part}.png', study, posed, mine, segmenter, config.seed)
  place.pairs(study, config.seed)

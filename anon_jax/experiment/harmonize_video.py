"""The stage for clips: data, networks, step and evaluation from a config."""

import logging
import pathlib
from typing import Any

import jax

from anon_jax import parallel
from anon_jax.data import pipeline
from anon_jax.data.clips import ClipFolder, ClipView
from anon_jax.data.errors import DatasetError
from anon_jax.data.procedural import ProceduralClips
from anon_jax.evaluation import harmonization_video, lpips
from anon_jax.experiment import harmonize, networks, sources
from anon_jax.experiment.parts import Experiment
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet
from anon_jax.steps.harmonize_video import HarmonizeVideoOptions, make_harmonize_video_stage
from anon_jax.steps.stage import Stage

log = logging.getLogger('anon_jax')


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the clips and builds the stage of a harmonize_video config."""
  stage = make_stage(config)
  train, held_out = _open_sources(config)
  view = ClipView(sources.make_view(config))
  count = min(config.sample_examples, len(held_out))
  samples = pipeline.eval_dataset(held_out, view, batch_size=count, count=count)[0]
  sources.require_foreground(samples, config.manual_dir or config.dataset)
  distance, notes = _load_distance(config, mesh)
  return Experiment(
    stage=stage,
    dataset=pipeline.train_dataset(
      train,
      view,
      batch_size=config.batch_size,
      seed=config.seed,
      shard=sources.this_shard(),
      workers=config.workers,
    ),
    samples=samples,
    evaluate=harmonize.make_evaluate(
      config,
      harmonization_video.make_measure(stage, distance),
      pipeline.eval_dataset(
        held_out,
        view,
        batch_size=config.eval_batch_size,
        count=config.eval_examples,
        shard=sources.this_shard(),
      ),
      workdir,
      mesh,
      notes,
    ),
    data=sources.describe({'train': train}),
  )


def make_stage(config: Any) -> Stage:
  """Builds the networks and the step of a harmonize_video config.

  Raises:
    WeightsError: the perceptual network's weights are missing or damaged.
  """
  net, params = networks.load_perceptual(config)
  options = HarmonizeVideoOptions(
    frames=config.frames,
    recurrent=config.recurrent,
    judged_frames=config.judged_frames,
    drift=config.drift,
    **harmonize.options_of(config),
  )
  dtype = sources.compute_dtype(config.dtype)
  generator = HarmonizationNet(WIDTHS[config.preset], 1, dtype, True, config.remat)
  return make_harmonize_video_stage(
    generator, networks.make_discriminator(config), options, net, params
  )


def _load_distance(
  config: Any, mesh: jax.sharding.Mesh
) -> tuple[tuple[lpips.Lpips, Any] | None, dict[str, str]]:
  """Loads the distance of tLP where its weights are there, and what the report says about it."""
  found, missing = lpips.load_or_say(sources.weights_folders(config), config.image_size)
  if found is None or config.frames < 2:
    missing = missing or 'runs of one frame have no consecutive ones; give more `frames`.'
    log.warning('tLP will not be measured: %s', missing)
    return None, {'distance_missing': missing}
  net, params = found
  return (net, parallel.put_replicated(params, mesh)), {'distance': net.title}


def _open_sources(config: Any) -> sources.Sources:
  if config.dataset == 'clip_folder':
    if not config.manual_dir:
      raise DatasetError(
        'config.manual_dir is empty; a clip_folder is read where it lies: name it.'
      )
    folder = pathlib.Path(config.manual_dir)
    return sources.Sources(
      *(ClipFolder(folder, split, config.frames) for split in ('train', config.eval_split))
    )
  count, size = config.procedural_faces, config.image_size
  # Another seed, so that no held-out clip is drawn in training.
  return sources.Sources(
    ProceduralClips(count, config.frames, size, config.seed),
    ProceduralClips(max(count // 10, 8), config.frames, size, config.seed + 2**20),
  )

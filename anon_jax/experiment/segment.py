"""The segment stage: mixture of data sets, network, step and evaluation from a config."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from anon_jax import train as training
from anon_jax.config.mixture import Part, parse_mixture
from anon_jax.data import mixture, pipeline, prepare
from anon_jax.data.errors import DatasetError
from anon_jax.data.fasseg_names import yaw_of
from anon_jax.data.turning import TurnedView
from anon_jax.evaluation import segmentation as segmentation_evaluation
from anon_jax.evaluation import segmentation_report
from anon_jax.experiment import networks, sources
from anon_jax.experiment.parts import Experiment
from anon_jax.losses.segmentation import MERGED, allowed_classes
from anon_jax.nets.segmentation import WIDTHS, SegmentationNet
from anon_jax.state import TrainState
from anon_jax.steps.segment import SegmentOptions, make_segment_stage
from anon_jax.steps.stage import Stage


class HeldOut(NamedTuple):
  """One data set's held-out pictures.

  Attributes:
    title: its name, with its number in the mixture where two have one name.
    source: framed examples.
    allowed: bool [c, c], the classes that its labels may stand for.
    groups: by example, what it is measured together with; empty for nothing but the whole.
  """

  title: str
  source: mixture.Framed
  allowed: np.ndarray
  groups: tuple[str, ...]


def parts_of(config: Any) -> tuple[Part, ...]:
  """Returns the data sets of a config: those of its mixture, or its one data set."""
  if config.mixture:
    return parse_mixture(config.mixture)
  return (Part(config.dataset, config.manual_dir, 1.0, config.crop),)


def build(config: Any, workdir: pathlib.Path, mesh: jax.sharding.Mesh) -> Experiment:
  """Opens the data and builds the stage of a segment config."""
  parts = parts_of(config)
  train, held_out = open_parts(config, parts)
  stage = make_stage(config, parts)
  dataset = mixture.mixture_dataset(
    mixture.Mixture(train),
    [part.weight for part in parts],
    make_view(config),
    batch_size=config.batch_size,
    seed=config.seed,
    shard=sources.this_shard(),
    workers=config.workers,
  )
  shown = mixture.Spread([part.source for part in held_out], config.sample_examples)
  samples = pipeline.eval_dataset(shown, make_view(config), batch_size=len(shown))[0]
  evaluate = make_evaluate(config, stage, held_out, workdir, mesh)
  named = {f'train {number}': part for number, part in enumerate(train)}
  return Experiment(stage, dataset, samples, evaluate, sources.describe(named))


def make_stage(config: Any, parts: Sequence[Part]) -> Stage:
  """Builds the network and the step of a segment config."""
  net = SegmentationNet(WIDTHS[config.preset], dtype=sources.compute_dtype(config.dtype))
  options = SegmentOptions(
    image_size=config.image_size,
    learning_rate=config.segmenter_lr,
    decay_steps=config.decay_steps,
    adam_b1=config.adam_b1,
    adam_b2=config.adam_b2,
    parts_weight=config.parts_weight,
    colour=config.colour,
    occluded=config.occluded,
    **networks.averaging(config),
  )
  return make_segment_stage(net, options, np.stack([_allowed(part.dataset) for part in parts]))


def make_view(config: Any) -> TurnedView:
  """Returns how framed pictures become crops."""
  return TurnedView(
    config.image_size,
    mixture.CROP,
    config.crop_jitter,
    config.flip,
    config.rotation,
    config.any_rotation,
  )


def open_parts(config: Any, parts: Sequence[Part]) -> tuple[list[mixture.Framed], list[HeldOut]]:
  """Opens the training and the held-out examples of each data set.

  A data set without the split that evaluation reads is trained on and not measured.

  Raises:
    DatasetError: missing or broken data, or no data set has the split.
  """
  train, held_out = [], []
  names = [part.dataset for part in parts]
  for origin, part in enumerate(parts):
    for_training, kept_back = _open(config, part)
    train.append(mixture.Framed(for_training, part.crop, origin))
    if kept_back is not None:
      framed = mixture.Framed(kept_back, part.crop, origin)
      groups = _groups(part.dataset, kept_back)
      title = part.dataset + (f' {origin + 1}' if names.count(part.dataset) > 1 else '')
      held_out.append(HeldOut(title, framed, _allowed(part.dataset), groups))
  if not held_out:
    raise DatasetError(
      f'none of the data sets has a split {config.eval_split!r} to be measured on; set '
      'config.eval_split to the other one.'
    )
  return train, held_out


def _open(config: Any, part: Part) -> tuple[pipeline.Source, pipeline.Source | None]:
  """Opens one data set as if it were the config's only one."""
  own = {'dataset': part.dataset, 'manual_dir': part.manual_dir, 'crop': part.crop}
  single = ml_collections.FrozenConfigDict(config.to_dict() | own)
  if part.dataset == 'procedural_faces':
    train, held_out = sources.open_sources(single)
    return train, held_out
  side = sources.stored_side(config.image_size, part.crop)
  folder = prepare.prepare(part.dataset, part.manual_dir, config.data_dir, side)
  train = sources.labelled_split(single, folder, 'train')
  if config.eval_split not in prepare.split_names(folder):
    return train, None
  return train, sources.labelled_split(single, folder, config.eval_split)


def _allowed(dataset: str) -> np.ndarray:
  return allowed_classes(MERGED.get(dataset, {}))


def _groups(dataset: str, source: Any) -> tuple[str, ...]:
  """Groups FASSEG's pictures by the size of their yaw; other data sets do not tell it."""
  if dataset != 'fasseg':
    return ()
  yaws = [yaw_of(name) for name in source.names()]
  return tuple('frontal (V2)' if yaw is None else f'yaw {abs(yaw):02d}' for yaw in yaws)


def make_evaluate(
  config: Any, stage: Stage, held_out: Sequence[HeldOut], workdir: pathlib.Path, mesh: Any
) -> training.Evaluate:
  """Returns a function that measures a state, writes the report and returns scalars."""
  batches = [
    pipeline.eval_dataset(
      part.source,
      make_view(config),
      batch_size=config.eval_batch_size,
      count=config.eval_examples,
      shard=sources.this_shard(),
    )
    for part in held_out
  ]
  facts = {
    'split': config.eval_split,
    'preset': config.preset,
    'image_size': config.image_size,
    'seed': config.seed,
    'mixture': config.mixture,
  }

  measure = segmentation_evaluation.make_measure(stage)

  def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
    results = {
      part.title: segmentation_evaluation.evaluate_segmentation(
        measure, state, own, mesh, part.allowed, part.groups
      )
      for part, own in zip(held_out, batches, strict=True)
    }
    if jax.process_index() == 0:
      segmentation_report.write_report(workdir, step, results, facts)
    return segmentation_evaluation.scalars(results)

  return evaluate

"""The process that times the input pipeline alone; `speed.worker` calls its functions by name."""

import os
import pathlib
import time
from typing import Any

from anon_jax.data import mixture
from anon_jax.experiment import identities, segment, sources
from speed import stages, usage
from speed.entries import ENTRIES

_LEAST = 12  # batches, if they come in three times the seconds
_WARM_UP = 2  # batches; reading threads are busy from then on


class Worker:
  """Reads what the entries' configs read."""

  def pipeline(self, name: str, dataset: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Reads batches for a while.

    Args:
      name: of an entry.
      dataset: 'procedural_faces', or 'celeba' of the folder that ANON_JAX_DATA names.
      quick: the entry's tiny version.
      seconds: how long.

    Returns:
      `examples_per_core`: examples a second of processor time, whatever else the machine does.
    """
    entry = ENTRIES[name].quick() if quick else ENTRIES[name]
    config = stages.config_of(entry)
    config.dataset = dataset
    if dataset == 'celeba':
      config.manual_dir = str(pathlib.Path(os.environ['ANON_JAX_DATA']) / 'celeba')
    batches = iter(_dataset(config))
    for _ in range(_WARM_UP):
      next(batches)
    used, start, read, passed = usage.cpu_seconds(), time.perf_counter(), 0, 0.0
    # threads read ahead: of few batches the share that was begun before or is not done is large
    while passed < seconds or (read < _LEAST and passed < 3 * seconds):
      next(batches)
      read, passed = read + 1, time.perf_counter() - start
    used, examples = usage.cpu_seconds() - used, read * config.batch_size
    return {'examples_per_core': examples / used, 'examples_per_second': examples / passed}


def _dataset(config: Any) -> Any:
  """Returns the endless training batches of a config."""
  if config.stage == 'segment':
    parts = segment.parts_of(config)
    train, _ = segment.open_parts(config, parts)
    return mixture.mixture_dataset(
      mixture.Mixture(train),
      [part.weight for part in parts],
      segment.make_view(config),
      batch_size=config.batch_size,
      seed=config.seed,
      shard=sources.this_shard(),
      workers=config.workers,
    )
  if config.stage == 'harmonize':
    return sources.train_batches(config, sources.open_sources(config).train)
  opened = identities.open_sources(config, maps=True)
  return identities.train_batches(config, opened.train)

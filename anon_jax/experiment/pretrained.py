"""What networks start from: I of an identity run, or networks that were exported."""

import json
import logging
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anon_jax import compiling, parallel, train
from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.config import bodies
from anon_jax.experiment import identities, identity
from anon_jax.inference import weights
from anon_jax.inference.body_weights import load_body_weights
from anon_jax.inference.runs import AVERAGES
from anon_jax.nets.anonymization import AnonymizationNet, widths_for
from anon_jax.nets.harmonization import HarmonizationNet
from anon_jax.steps.spikes import skipping

log = logging.getLogger('anon_jax')

_WAY_OUT = 'give the workdir of a run of configs/identity_celeba.py, or leave identity_from empty'


class Pretrained(NamedTuple):
  """What was found.

  Attributes:
    params: I's averaged parameters, host arrays.
    step: updates that they have had.
  """

  params: Any
  step: int


def load_identity(config: Any) -> Pretrained:
  """Loads I's averaged parameters from the newest checkpoint under `config.identity_from`.

  Raises:
    CheckpointError: the folder holds no run, one of another stage or preset, or no checkpoint.
    DatasetError: its identities.json is missing or damaged.
  """
  workdir = pathlib.Path(config.identity_from)
  kept = _config_of(workdir)
  stage = kept.get('stage')
  if stage != 'identity':
    raise CheckpointError(
      f"identity_from={str(workdir)!r} holds a run of stage {stage!r}, not 'identity'; {_WAY_OUT}."
    )
  if kept.preset != config.preset:
    raise CheckpointError(
      f'identity_from={str(workdir)!r} was trained with preset={kept.preset!r}, and this run has '
      f'preset={config.preset!r}; use the same for both.'
    )
  folder = workdir / 'checkpoints'
  if not folder.is_dir():
    raise CheckpointError(f'identity_from={str(workdir)!r} has no checkpoints yet; {_WAY_OUT}.')
  with Checkpoints(folder, kept.keep_checkpoints) as saved:
    if saved.latest() is None:
      raise CheckpointError(f'{folder} holds no complete checkpoint; train that run first.')
    stage = identity.make_stage(kept, len(identities.read_numbers(workdir)))
    stage = skipping(stage, kept.get('skip_spikes', 0.0))
    fresh = train.new_state(stage, kept.seed, parallel.make_mesh(1))
    state, step = saved.restore_newest(fresh)
  assert step is not None
  return Pretrained(jax.device_get(state.ema['identity']), step)


def load_exported(config: Any) -> dict[str, Any]:
  """Loads those networks of the folder `config.start_from` that the config's stage trains.

  Returns:
    Parameters, host arrays, by the names that the networks have in the stage's state.

  Raises:
    CheckpointError: the folder has none of them.
    WeightsError: it is missing, or its files are damaged.
  """
  folder, wanted = pathlib.Path(config.start_from), AVERAGES[config.stage]
  found: Any = (load_body_weights if bodies.of_bodies(config) else weights.load_weights)(folder)
  networks = {name: getattr(found, name) for name in wanted}
  initial = {wanted[name]: net.params for name, net in networks.items() if net is not None}
  if not initial:
    raise CheckpointError(
      f'start_from={str(folder)!r} holds no {" or ".join(wanted)}, which stage {config.stage!r} '
      'trains; give a folder that has one, or leave start_from empty.'
    )
  if config.stage == 'harmonize_video' and not networks['harmonization'].module.recurrent:
    initial['generator'] = _for_clips(initial['generator'])
  painter = networks.get('anonymization')
  if painter is not None:
    initial['generator'] = grown(painter.module, initial['generator'], config)
  for name, net in networks.items():
    if net is not None:
      log.warning('%s starts from step %d in %s.', name, net.entry.training.steps, folder)
  return initial


def _for_clips(params: Any) -> Any:
  """Gives an image H the inputs of one for clips; it starts by paying them no attention."""
  kernel = params['stem']['kernel']
  more = HarmonizationNet(recurrent=True).channels - kernel.shape[2]
  wide = np.pad(kernel, ((0, 0), (0, 0), (0, more), (0, 0)))
  return {**params, 'stem': {**params['stem'], 'kernel': wide}}


def grown(net: AnonymizationNet, params: Any, config: Any) -> Any:
  """Gives an A the levels that a larger output needs; they start by enlarging what it painted.

  Args:
    net: A as it was exported.
    params: its parameters.
    config: `image_size`, `preset`, `seed` and `dataset` of the run that goes on with it.

  Returns:
    Parameters of an A that paints `image_size` px, or `params` where `net` does.
  """
  size, smaller = config.image_size, net.FIRST[0] << (len(net.widths) - 1)
  if size <= smaller:
    return params
  larger = net.clone(widths=widths_for(config.preset, size))
  maps = jnp.zeros((1, size, size // bodies.aspect_of(config)), jnp.uint8)
  told = getattr(net, 'joints', 0)
  beside = [jnp.zeros((*maps.shape, told))] if told else []
  identities = jnp.zeros((1, net.identities))
  drawn = compiling.jit(larger.init)(jax.random.key(config.seed), identities, maps, *beside)
  larger_params = {**jax.device_get(drawn['params']), **params}
  for level in range(len(net.widths), len(larger.widths)):
    name = f'rgbs_{level}'
    larger_params[name] = jax.tree.map(np.zeros_like, larger_params[name])
  log.warning('A grows from %d to %d px.', smaller, size)
  return larger_params


def _config_of(workdir: pathlib.Path) -> ml_collections.ConfigDict:
  path = workdir / 'config.json'
  try:
    return ml_collections.ConfigDict(json.loads(path.read_text()))
  except OSError:
    raise CheckpointError(
      f'identity_from={str(workdir)!r} holds no run (config.json is missing); {_WAY_OUT}.'
    ) from None

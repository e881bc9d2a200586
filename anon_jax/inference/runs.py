"""What a training run has to give: its averaged networks, and where they come from.

Of a run's config.json only words of known lists, numbers and switches are taken over. Folders, and
whose pictures they hold, stay where they are.
"""

import dataclasses
import json
import logging
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flax import linen as nn

from anon_jax.data import body_crops, hair, joints
from anon_jax.inference import weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import (
  FACE_SHARE,
  BodyHarmonizationInput,
  BodyIdentityInput,
  BodyInput,
  BodyPaintingInput,
  HarmonizationInput,
  IdentityInput,
  Input,
  PaintingInput,
)
from anon_jax.inference.records import DataSet, Training
from anon_jax.inference.restoring import restore_averages
from anon_jax.inference.run_config import RunConfig
from anon_jax.nets import anonymization, harmonization, identity, segmentation, single_stage
from anon_jax.nets.body_anonymization import BodyAnonymizationNet

log = logging.getLogger('anon_jax')

# What is known of the terms of each data set (docs/data.md). No other name gets into model.json.
LICENCES = {
  'celeba': 'CelebA: non-commercial research only',
  'celeba_mask_hq': 'CelebAMask-HQ: non-commercial research only',
  'utkface': 'UTKFace: non-commercial research only',
  'fasseg': 'FASSEG: no licence stated',
  'procedural_faces': 'procedural_faces: none, the faces are drawn',
  'face_folder': 'face_folder: that of your own pictures',
  'clip_folder': 'clip_folder: that of your own clips',
}
# Of data sets of bodies.
BODY_LICENCES = {
  'mots': 'MOTS: non-commercial research only',
  'ccp': 'Clothing Co-Parsing: Apache-2.0; the photographs show real people',
  'davis': 'DAVIS: for research, cite the paper',
  'body_folder': 'body_folder: that of your own pictures',
  'procedural_bodies': 'procedural_bodies: none, the persons are drawn',
}
_ALL_LICENCES = LICENCES | BODY_LICENCES
UNKNOWN_START = 'and the terms of the pictures of the identity run that it started from'
# What a `face_folder` may be said to hold: known data sets that have no builder of their own.
KNOWN_FOLDERS = ('utkface',)

# Which networks a run has, and the names that their averages have in its state.
AVERAGES = {
  'segment': {'segmentation': 'segmenter'},
  'identity': {'identity': 'identity'},
  'harmonize': {'harmonization': 'generator'},
  'harmonize_video': {'harmonization': 'generator'},
  'anonymize': {'anonymization': 'generator', 'identity': 'identity'},
  'joint': {'anonymization': 'generator', 'harmonization': 'harmonizer', 'identity': 'identity'},
  'single_stage': {'single_stage': 'generator', 'identity': 'identity'},
}
_GUESS = IdentityInput.threshold


class Source(NamedTuple):
  """One network of a run, ready to be written."""

  workdir: pathlib.Path
  module: nn.Module
  params: Mapping[str, Any]
  input: Input | BodyInput
  training: Training
  licence: str


def read_run(
  workdir: pathlib.Path, face_folder: str | None, only: str = '', best: bool = False
) -> Iterator[tuple[str, Source]]:
  """Yields the networks of a run by name, a key of `records.KINDS`.

  Args:
    workdir: folder of the run.
    face_folder: which of `KNOWN_FOLDERS` the run's data set `face_folder` is; None: none of them.
    only: the stage that the run has to be of; '' takes any.
    best: takes the checkpoint that is the best by the config's `best_scalar`, not the newest.

  Raises:
    InferenceError: no run, one of another stage, no whole checkpoint, none that was evaluated, or
      a config.json that does not fit it.
  """
  config = RunConfig.read(workdir)
  stage = config.text('stage', AVERAGES)
  if only and stage != only:
    raise InferenceError(f'{workdir} is a run of stage {stage!r}; give one of stage {only!r}.')
  names = AVERAGES[stage]
  step, averages = restore_averages(workdir / 'checkpoints', config.best() if best else None)
  data, licence = _data_of(config, face_folder)
  training = Training(
    stage,
    step,
    config.text('preset', segmentation.WIDTHS),
    data,
    config.whole('seed'),
    config.whole('batch_size'),
  )
  for name, average in names.items():
    if average not in averages:
      raise InferenceError(
        f'{workdir} has no averages of {average!r} in step {step}, as stage {stage!r} has; was '
        'config.json replaced?'
      )
    params = averages[average]
    if name == 'harmonization' and not _recurrent(config):
      params = _for_pictures(params)
    try:
      of_bodies = config.values.get('dataset') in BODY_LICENCES
      module, shown = (_build_body if of_bodies else _build)(name, config, params, step)
      width = getattr(shown, 'width', None)
      _require_fit(params, weights.shapes_of(module, shown.image_size, width))
    except ValueError as error:
      raise InferenceError(f'{workdir}, step {step}, {name}: {error}') from None
    yield name, Source(workdir, module, params, shown, training, licence)


def _build(
  name: str, config: RunConfig, params: Mapping[str, Any], step: int
) -> tuple[nn.Module, Input | BodyInput]:
  """Builds a network as the stage of its run does, and says what it is shown."""
  preset, size = config.text('preset', segmentation.WIDTHS), config.whole('image_size')
  share = config.number('face_share') if 'face_share' in config.values else FACE_SHARE
  if name == 'segmentation':
    return segmentation.SegmentationNet(segmentation.WIDTHS[preset]), Input(size, share)
  if name in ('anonymization', 'single_stage'):
    both = name == 'single_stage'
    kind = single_stage.SingleStageNet if both else anonymization.AnonymizationNet
    net = kind(
      identities=_identities(params),
      widths=anonymization.widths_for(preset, size),
      hidden=anonymization.HIDDEN[preset],
      spectral=config.flag('spectral'),
      coarse='coarse_map' in config.values and config.flag('coarse_map'),
      bilinear='bilinear' in config.values and config.flag('bilinear'),
    )
    if both:
      return net, _blended(config, share, size)
    return net, PaintingInput(size, share, hair=hair.read(config.path.parent))
  if name == 'harmonization':
    upscale = config.whole('upscale') if 'upscale' in config.values else 1
    shown = _blended(config, share, size // max(upscale, 1))
    blender = harmonization.HarmonizationNet(
      harmonization.WIDTHS[preset], upscale, recurrent=_recurrent(config)
    )
    return blender, shown
  # stage anonymize shows its I nothing but foregrounds, whatever the identity run did
  alone = config.flag('foreground_only') if 'foreground_only' in config.values else True
  threshold = _threshold(config.path.with_name('results.json'), step)
  shown_to_i = IdentityInput(
    _side_for_identity(config, size), share, foreground_only=alone, threshold=threshold
  )
  return identity.IdentityNet(identity.WIDTHS[preset]), shown_to_i


def _build_body(
  name: str, config: RunConfig, params: Mapping[str, Any], step: int
) -> tuple[nn.Module, Input | BodyInput]:
  """As `_build`, of a run on bodies."""
  preset, size = config.text('preset', segmentation.WIDTHS), config.whole('image_size')
  share = round(body_crops.FILL * body_crops.CROP / config.number('crop'), 4)
  upscale = max(config.whole('upscale'), 1) if name == 'harmonization' else 1
  if name == 'identity':
    size = _side_for_identity(config, size)
  form = size // upscale, size // upscale // body_crops.ASPECT, share
  if name == 'anonymization':
    sigma = config.number('joint_sigma')
    net = BodyAnonymizationNet(
      identities=_identities(params),
      widths=anonymization.widths_for(preset, size),
      hidden=anonymization.HIDDEN[preset],
      spectral=config.flag('spectral'),
      # of bodies it was always on before there was the field
      bilinear='bilinear' not in config.values or config.flag('bilinear'),
      joints=joints.NUM_JOINTS if sigma else 0,
    )
    return net, BodyPaintingInput(
      *form, parts_share=config.number('parts_share'), joint_sigma=sigma
    )
  if name == 'harmonization':
    blender = harmonization.HarmonizationNet(harmonization.WIDTHS[preset], upscale)
    sigma, feather = config.number('condition_sigma'), config.whole('feather')
    return blender, BodyHarmonizationInput(*form, condition_sigma=sigma, feather=feather)
  if name != 'identity':
    raise ValueError('no such network is trained on bodies; was config.json replaced?')
  alone = config.flag('foreground_only') if 'foreground_only' in config.values else True
  threshold = _threshold(config.path.with_name('results.json'), step)
  return identity.IdentityNet(identity.WIDTHS[preset]), BodyIdentityInput(
    *form, foreground_only=alone, threshold=threshold
  )


def _side_for_identity(config: RunConfig, size: int) -> int:
  """Returns the height of what I reads beside an A of `size` px."""
  return (config.whole('identity_size') if 'identity_size' in config.values else 0) or size


def _blended(config: RunConfig, share: float, size: int) -> HarmonizationInput:
  sigma, feather = config.number('condition_sigma'), config.whole('feather')
  return HarmonizationInput(size, share, condition_sigma=sigma, feather=feather)


def _recurrent(config: RunConfig) -> bool:
  return 'frames' in config.values and config.flag('recurrent')


def _for_pictures(params: Mapping[str, Any]) -> Mapping[str, Any]:
  """Drops the inputs that stage harmonize_video showed an H frame by frame nothing but zeros in."""
  stem = params.get('stem', {})
  kernel = stem.get('kernel')
  count = harmonization.HarmonizationNet().channels
  if getattr(kernel, 'ndim', 0) != 4 or kernel.shape[2] <= count:
    return params
  return {**params, 'stem': {**stem, 'kernel': kernel[:, :, :count]}}


def _threshold(path: pathlib.Path, step: int) -> float:
  """Takes I's threshold from the run's evaluation at that step; without one, a cautious guess."""
  try:
    results = json.loads(path.read_text())
    if results['step'] == step:
      found = results['anonymization' if 'anonymization' in results else 'identification']
      found = found.get('method', found.get('identification'))
      return float(found['threshold'])
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    pass
  log.warning('%s has no measured threshold of I at step %d; it becomes %g.', path, step, _GUESS)
  return _GUESS


def _identities(params: Mapping[str, Any]) -> int:
  """Counts the control identities: how many there were, never who they were."""
  kernels = [value for path, value in weights.dotted(params).items() if path == 'embed.kernel']
  if not kernels:
    raise ValueError('embed.kernel is missing')
  return int(kernels[0].shape[0])


def _require_fit(params: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
  found = {name: tuple(value.shape) for name, value in weights.dotted(params).items()}
  for name in sorted(found.keys() | expected.keys()):
    if found.get(name) != expected.get(name):
      raise ValueError(
        f'{name} has shape {found.get(name)} in the checkpoint, and {expected.get(name)} by '
        'config.json; was one of them replaced?'
      )


def _data_of(config: RunConfig, face_folder: str | None) -> tuple[tuple[DataSet, ...], str]:
  """Lists the data sets of a run, those of the identity run before it too, and their terms."""
  found = _data_sets(config)
  start = config.values.get('identity_from')
  unknown = False
  if start:
    try:
      earlier = _data_sets(RunConfig.read(pathlib.Path(start)))
      found += [part for part in earlier if part not in found]
    except InferenceError:  # that run may have been moved or removed since
      unknown = True
  if face_folder is not None:
    found = [
      dataclasses.replace(part, dataset=face_folder) if part.dataset == 'face_folder' else part
      for part in found
    ]
  terms = list(dict.fromkeys(_ALL_LICENCES[part.dataset] for part in found))
  return tuple(found), '; '.join([*terms, UNKNOWN_START] if unknown else terms)


def _data_sets(config: RunConfig) -> list[DataSet]:
  mixture = config.values.get('mixture')
  if not mixture:
    return [DataSet(config.text('dataset', _ALL_LICENCES), config.number('crop'))]
  # here and not above: it imports ml_collections, which nothing else of inference needs
  from anon_jax.config.field import ConfigError
  from anon_jax.config.mixture import parse_mixture

  try:
    parts = parse_mixture(str(mixture), folders_exist=False)  # they may be gone by now
  except ConfigError as error:
    raise InferenceError(f'{config.path} has a mixture that cannot be read: {error}') from None
  return [DataSet(part.dataset, part.crop, part.weight) for part in parts]

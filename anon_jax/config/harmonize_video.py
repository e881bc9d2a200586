"""The fields of stage `harmonize_video`: HarmonizationNet for clips, frame by frame."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import harmonize
from anon_jax.config.field import ConfigError, Field, between, one_of

FIELDS: dict[str, Field] = {
  **{name: field for name, field in harmonize.FIELDS.items() if name != 'upscale'},
  'dataset': Field(
    'procedural_faces',
    'Clips: drawn ones, or those of a folder; `docs/data.md` has its layout.',
    **one_of('procedural_faces', 'clip_folder'),
    measured=True,
  ),
  'frames': Field(8, 'Consecutive frames of an example.', **between(1, 64), measured=True),
  'recurrent': Field(
    True,
    'Show H its output for the frame before; false, with `judged_frames` 1, is H frame by frame.',
  ),
  'judged_frames': Field(
    3, 'Consecutive frames that D_T judges together; 1 is D_H.', **between(1, 8)
  ),
  'drift': Field(
    0.0,
    'How far a recolouring moves towards another one along a clip, as when the light changes.',
    **between(0.0, 1.0),
  ),
}

TINY = harmonize.TINY | {'frames': 3}


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  harmonize.check_together(dict(values) | {'upscale': 1})
  if values['judged_frames'] > values['frames']:
    raise ConfigError(
      f'config.judged_frames={values["judged_frames"]} is more than config.frames='
      f'{values["frames"]}; give longer clips, or judge fewer frames.'
    )

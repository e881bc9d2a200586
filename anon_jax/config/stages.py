"""All stages: their fields, what their fields must be together, and their smallest versions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from anon_jax.config import (
  ablations,
  anonymize,
  evaluations,
  every_stage,
  harmonize,
  harmonize_video,
  identity,
  segment,
)
from anon_jax.config.field import Field


class StageFields(NamedTuple):
  """What the config of one stage is held against.

  Attributes:
    fields: every field by name, those of every stage included.
    check_together: raises ConfigError for fields that are fine one by one and not together.
    tiny: values that make a run short enough for a test.
    extends: another stage, all of whose fields this one has; for the docs.
  """

  fields: dict[str, Field]
  check_together: Callable[[Mapping[str, Any]], None]
  tiny: dict[str, Any]
  extends: str = ''


STAGES: dict[str, StageFields] = {
  'harmonize': StageFields(
    every_stage.FIELDS | harmonize.FIELDS, harmonize.check_together, harmonize.TINY
  ),
  'harmonize_video': StageFields(
    every_stage.FIELDS | harmonize_video.FIELDS,
    harmonize_video.check_together,
    harmonize_video.TINY,
  ),
  'identity': StageFields(
    every_stage.FIELDS | identity.FIELDS, identity.check_together, identity.TINY
  ),
  'segment': StageFields(every_stage.FIELDS | segment.FIELDS, segment.check_together, segment.TINY),
  'anonymize': StageFields(
    every_stage.FIELDS | anonymize.FIELDS, anonymize.check_together, anonymize.TINY
  ),
  **{
    stage: StageFields(
      every_stage.FIELDS | ablations.FIELDS, ablations.check_together, ablations.TINY, 'anonymize'
    )
    for stage in ('single_stage', 'joint')
  },
}

# What is measured without training anything: no field of every training config belongs to them.
_FEW = {'each': 2, 'diversity_pictures': 1, 'diversity_outputs': 2}
EVALUATIONS: dict[str, StageFields] = {
  f'evaluate_{name}': StageFields(
    evaluations.COMMON | evaluations.FACES | own, evaluations.nothing_together, tiny, extends
  )
  for name, own, tiny, extends in (
    ('lfw', evaluations.LFW, {'pairs': 2}, ''),
    ('attacks', evaluations.ATTACKS, {'each': 2, 'train_each': 1, 'inversion_steps': 2}, ''),
    ('celeba', evaluations.CELEBA, _FEW, ''),
    ('ablation', evaluations.ABLATION, _FEW, 'evaluate_celeba'),
    ('sr', evaluations.SR, {'pictures': 2}, ''),
    ('slices', evaluations.SLICES, {'pictures': 4}, ''),
    ('video', evaluations.VIDEO, {'frames': 8}, ''),
  )
}
EVALUATIONS['evaluate_poses'] = StageFields(
  evaluations.COMMON | evaluations.FACES | evaluations.POSES,
  evaluations.poses_together,
  {'pictures': 4},
)
EVALUATIONS['evaluate_bodies'] = StageFields(
  evaluations.COMMON | evaluations.BODIES, evaluations.nothing_together, {'frames': 4}
)

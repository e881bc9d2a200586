"""The fields of the ablations' stages, `single_stage` and `joint`: those of `anonymize`, and more.

A and D_A in the meanings of shared fields stand for the one generator and its discriminator in
`single_stage`, and in `joint` for both pairs of networks.
"""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import anonymize, bodies, every_stage, harmonize
from anon_jax.config.field import ConfigError, Field

FIELDS: dict[str, Field] = {
  **{name: field for name, field in anonymize.FIELDS.items() if name not in bodies.FIELDS},
  **{name: harmonize.FIELDS[name] for name in ('condition_sigma', 'feather')},
  'dataset': every_stage.FIELDS['dataset'],  # the paper has ablations of faces only
}

# What makes a run that a test can wait for.
TINY: dict[str, Any] = anonymize.TINY


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  anonymize.check_together(values)
  if values['start_from']:
    raise ConfigError(
      f'config.start_from={values["start_from"]!r}: runs of ablations start from random '
      'parameters; leave it empty.'
    )

"""The fields of the ablations' stages, `single_stage` and `joint`: those of `anonymize`, and more.

A and D_A in the meanings of shared fields stand for the one generator and its discriminator in
`single_stage`, and in `joint` for both pairs of networks.
"""

from typing import Any

from anon_jax.config import anonymize, harmonize
from anon_jax.config.field import Field

FIELDS: dict[str, Field] = anonymize.FIELDS | {
  name: harmonize.FIELDS[name] for name in ('condition_sigma', 'feather')
}

# What makes a run that a test can wait for.
TINY: dict[str, Any] = anonymize.TINY

check_together = anonymize.check_together

"""The fields of stage `identity`: IdentityNet, pre-trained by Proxy-NCA."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config import adversaries, bodies
from anon_jax.config.field import ConfigError, Field, at_least, between, one_of

# How batches are drawn; the stages that paint control identities draw them in the same way.
BATCHES: dict[str, Field] = {
  'identities_per_batch': Field(
    8,
    'Different identities of a batch; with `images_per_identity` it makes `batch_size`.',
    **at_least(2),
  ),
  'images_per_identity': Field(4, 'Different pictures of each of them.', **at_least(1)),
  'min_images': Field(
    4,
    'Identities with fewer training pictures are left out; at least `images_per_identity`, or '
    'nobody may have fewer than that.',
    **at_least(1),
  ),
  'repeat_images': Field(
    False,
    'Draw a picture several times where an identity has fewer than `images_per_identity`: its '
    'crops differ by `crop_jitter` and `flip`.',
  ),
  'weights_dir': adversaries.WEIGHTS_DIR,
}

FIELDS: dict[str, Field] = BATCHES | {
  'dataset': bodies.DATASET,
  'preset': Field(
    'base',
    "Width of I: 'base' (ResNet-18's), 'small' (a half), 'tiny' (tests).",
    **one_of('base', 'small', 'tiny'),
  ),
  'foreground_only': Field(
    True,
    'Show I the foreground alone, as it will see the faces of A; false shows the whole crop.',
  ),
  'proxy_scale': Field(
    9.0,
    'Length given to the proxies, beside embeddings of length 1; 9 is what 3 for both comes to.',
    **between(0.01, 100.0),
  ),
  'label_smoothing': Field(
    0.1, 'Share of the label given to the other identities.', **between(0.0, 0.99)
  ),
  'positive_in_denominator': Field(
    True, "Keep the true proxy in the denominator; false is the paper's own form of Proxy-NCA."
  ),
  'identity_lr': Field(1e-3, "Adam's rate for I.", **between(0.0, 1.0)),
  'proxy_lr': Field(1e-2, "Adam's rate for the proxies.", **between(0.0, 1.0)),
}

# What makes a run that a test can wait for.
TINY_BATCHES = {
  'procedural_faces': 32,
  'identities_per_batch': 4,
  'images_per_identity': 2,
  'min_images': 2,
}
TINY = TINY_BATCHES | {'preset': 'tiny'}


def check_together(values: Mapping[str, Any]) -> None:
  """Refuses fields that are fine one by one and not together."""
  bodies.check_together(values)
  identities, images = values['identities_per_batch'], values['images_per_identity']
  if identities * images != values['batch_size']:
    raise ConfigError(
      f'config.batch_size={values["batch_size"]} is not identities_per_batch={identities} times '
      f'images_per_identity={images}; give batch_size={identities * images}, or change the others.'
    )

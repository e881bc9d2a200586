"""AnonymizationNet for small data: own-identity reconstruction first, then a gentle D_A.

The paper's losses (anonymize_celeba.py) and what small data need beside them; docs/method.md says
why.
"""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('anonymize')
  config.dataset = 'celeba'
  config.batch_size = 24
  config.identities_per_batch = 8
  config.images_per_identity = 3
  config.perceptual_network = 'best_available'
  config.adversarial_from_step = 400
  config.adversarial_weight = 0.5
  config.reconstruction_share = 0.5
  config.reconstruction_weight = 10.0
  config.perceptual_weight = 5.0
  config.real_pairs_weight = 1.0
  config.identity_lr = 2e-4
  config.adam_b2 = 0.99
  config.generator_lr = 4e-4
  config.discriminator_lr = 2e-4
  config.discriminator_projection = True
  config.discriminator_smooth = True
  config.augment_brightness = 0.5
  config.augment_translation = 0.125
  config.bilinear = True
  return config


def get_test_config():
  config = fields.tiny(get_config())
  config.adversarial_from_step = 2
  return config

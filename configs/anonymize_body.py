"""AnonymizationNet on whole bodies (paper 4.2, "Different domain"): a mask, its parts, and joints.

The recipe of anonymize_release.py, for data with one picture a person. CCP comes without joints;
with OpenPose's beside the pictures set joint_sigma=0.02.
"""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('anonymize')
  config.dataset = 'ccp'
  config.image_size = 256  # x 128
  config.crop = 0.8
  config.crop_jitter = 0.1
  # inference knows the parts of some bodies only
  config.parts_share = 0.5
  config.batch_size = 16
  config.identities_per_batch = 8
  config.images_per_identity = 2
  config.min_images = 1
  config.repeat_images = True
  config.eval_examples = 0
  config.perceptual_network = 'best_available'
  config.adversarial_from_step = 400
  config.adversarial_weight = 0.5
  config.reconstruction_share = 0.5
  config.reconstruction_weight = 10.0
  config.perceptual_weight = 5.0
  config.real_pairs_weight = 1.0
  config.r1_weight = 10.0
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
  config.joint_sigma = 0.02  # those of drawn bodies are known
  return config

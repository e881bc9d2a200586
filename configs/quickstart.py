"""A first run without any data: procedural faces at 64 px, minutes on a CPU."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize')
  config.dataset = 'procedural_faces'
  config.procedural_faces = 800
  config.preset = 'small'
  config.perceptual_network = 'none'
  config.image_size = 64
  config.discriminator_width = 32
  config.generator_lr = 6e-4  # faster than the release's rate, for a run this short
  config.batch_size = 16
  config.eval_batch_size = 16
  config.eval_examples = 80
  config.num_train_steps = 200
  config.log_every_steps = 20
  config.checkpoint_every_steps = 100
  config.eval_every_steps = 100
  config.sample_every_steps = 100
  return config


def get_test_config():
  return fields.tiny(get_config())

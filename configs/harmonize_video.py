"""Frame-recurrent HarmonizationNet with D_T on clips of 8 frames (paper 3.4, 4.2)."""

from anon_jax import config as fields


def get_config():
  config = fields.defaults('harmonize_video')
  config.dataset = 'clip_folder'
  config.batch_size = 4
  config.eval_batch_size = 4
  config.num_train_steps = 50_000
  return config


def get_test_config():
  return fields.tiny(get_config())

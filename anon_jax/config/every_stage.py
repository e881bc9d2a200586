"""The fields that every training config has."""

from anon_jax.config.field import Field, at_least, between, multiple_of, one_of

DATASETS = ('procedural_faces', 'face_folder', 'celeba', 'celeba_mask_hq', 'fasseg')
# Persons instead of faces: for the stages that learn bodies.
BODY_DATASETS = ('mots', 'ccp', 'davis', 'body_folder')

FIELDS: dict[str, Field] = {
  'dataset': Field(
    'procedural_faces',
    'Data set; `docs/data.md` has their layouts.',
    **one_of(*DATASETS),
    measured=True,
  ),
  'manual_dir': Field(
    '', 'Folder of the raw files; empty reuses the only prepared data set.', measured=True
  ),
  'data_dir': Field(
    '~/.cache/anon_jax/datasets',
    'Folder of the prepared files; the first run writes them, later runs reuse them.',
    measured=True,
  ),
  'eval_split': Field(
    'validation',
    'Held-out split that evaluation reads.',
    **one_of('validation', 'test'),
    measured=True,
  ),
  'crop': Field(
    1.0,
    'Side of the central square that is used, as a share of the stored picture; of bodies the '
    'height of a rectangle.',
    **between(0.1, 1.0),
    measured=True,
  ),
  'face_share': Field(
    0.6,
    'Height of the face box as a share of the crop, which the data set and `crop` bring about; '
    'exported with the networks. S and H need 0.6, A and its I may look closer.',
    **between(0.3, 1.0),
    measured=True,
  ),
  'crop_jitter': Field(
    0.05, 'Largest random change of the square, as a share of its side.', **between(0.0, 0.5)
  ),
  'flip': Field(True, 'Mirror half of the training pictures.'),
  'procedural_faces': Field(
    2000,
    'Pictures of `procedural_faces` or `procedural_bodies`, a tenth more for evaluation.',
    **at_least(1),
    measured=True,
  ),
  'start_from': Field(
    '',
    'Folder of exported networks that this run starts from, A of fewer pixels, too; empty starts '
    'from random parameters.',
    measured=True,
  ),
  'image_size': Field(
    128,
    "Side of the networks' output in pixels; of bodies the height, which is twice the width.",
    **multiple_of(16),
  ),
  'batch_size': Field(
    32, 'Examples a step over all devices and hosts.', **at_least(1), measured=True
  ),
  'eval_batch_size': Field(32, 'Examples a batch in evaluation.', **at_least(1), measured=True),
  'seed': Field(0, 'Seed of parameters, data order and augmentation.', **between(0, 2**31 - 1)),
  'num_train_steps': Field(100_000, 'Length of the run.', **at_least(1), resumable=True),
  'log_every_steps': Field(
    100,
    'Steps between lines of metrics; also when non-finite values stop the run.',
    **at_least(1),
    resumable=True,
  ),
  'checkpoint_every_steps': Field(
    1000, 'Steps between checkpoints.', **at_least(1), resumable=True
  ),
  'eval_every_steps': Field(
    5000, 'Steps between evaluations; 0 evaluates at the end only.', **at_least(0), resumable=True
  ),
  'sample_every_steps': Field(
    1000, 'Steps between sample grids; 0 draws one at the end.', **at_least(0), resumable=True
  ),
  'eval_examples': Field(
    1000, 'Held-out examples of an evaluation; 0 takes all.', **at_least(0), resumable=True
  ),
  'sample_examples': Field(8, 'Rows of a sample grid.', **between(1, 64), resumable=True),
  'keep_checkpoints': Field(3, 'Newest checkpoints kept.', **at_least(1), resumable=True),
  'best_scalar': Field(
    '',
    'Scalar of the evaluation, such as eval/psnr, whose best checkpoint is kept beside the newest; '
    'empty keeps the newest only.',
    resumable=True,
  ),
  'best_is': Field(
    'lowest',
    'Which `best_scalar` is the best.',
    **one_of('lowest', 'highest'),
    resumable=True,
  ),
  'skip_spikes': Field(
    0.0,
    'Leaves out an update whose gradient norm is this many times the usual; 0 leaves out none.',
    **between(0.0, 1e6),
  ),
  'profile_steps': Field(
    0,
    'Steps recorded for the profiler, after the tenth of a run; 0 records none.',
    **at_least(0),
    resumable=True,
  ),
  'workers': Field(
    0,
    'Reading processes; 0 reads in threads of the training process.',
    **between(0, 256),
    measured=True,
  ),
  'mesh_data': Field(0, 'Devices that share a batch; 0 takes all.', **at_least(0), measured=True),
  'mesh_fsdp': Field(
    1,
    'Of these devices, how many share a copy of parameters and optimizer state.',
    **at_least(1),
    resumable=True,
    measured=True,
  ),
  'accumulate_steps': Field(
    1,
    'Steps whose gradients are averaged for one update: a batch as many times as large.',
    **between(1, 1024),
  ),
  'dtype': Field(
    'auto',
    'Computation type; auto is bfloat16 on accelerators, float32 on a CPU.',
    **one_of('auto', 'float32', 'bfloat16'),
    measured=True,
  ),
  'ema_decay': Field(
    0.999, 'Decay of the running average of parameters, warmed up.', **between(0.0, 0.99999)
  ),
  'adam_b1': Field(0.5, "Adam's first decay.", **between(0.0, 0.9999)),
  'adam_b2': Field(0.999, "Adam's second decay.", **between(0.0, 0.99999)),
  'decay_steps': Field(
    0,
    'Steps over which all rates fall to a hundredth by a cosine; 0 keeps them.',
    **at_least(0),
    resumable=True,
  ),
  'generator_lr': Field(1e-4, "Adam's rate for the generator.", **between(0.0, 1.0)),
  'discriminator_lr': Field(4e-4, "Adam's rate for the discriminator.", **between(0.0, 1.0)),
}

"""The fields of the evaluations: no network is trained, exported ones are measured."""

from collections.abc import Mapping
from typing import Any

from anon_jax.config.adversaries import WEIGHTS_DIR
from anon_jax.config.field import ConfigError, Field, at_least, between, one_of

RECOGNISERS = ('mobilefacenet', 'facenet_vggface2', 'facenet_casia')

COMMON: dict[str, Field] = {
  'manual_dir': Field('', 'Folder of the raw files.'),
  'weights_dir': WEIGHTS_DIR,
  'others': Field(
    '', "Further rows of other systems' pictures: `name=folder, ...`, named as the originals are."
  ),
  'batch_size': Field(32, 'Pictures in a batch; results do not depend on it.', **at_least(1)),
  'seed': Field(0, 'Seed of samples and of the draws of control identities.', **at_least(0)),
}
# What all evaluations of faces have besides.
FACES: dict[str, Field] = {
  'weights_from': Field('', "Folder of exported networks; empty takes the package's own."),
  'recogniser': Field(
    'mobilefacenet', 'Recogniser that decides who is who.', **one_of(*RECOGNISERS)
  ),
}
_DETECTOR: dict[str, Field] = {
  'detector': Field(
    'dlib',
    "Detector beside CenterFace, which is the pipeline's own; without dlib its columns are left "
    'out.',
    **one_of('dlib', 'none'),
  )
}
LFW: dict[str, Field] = _DETECTOR | {
  'pairs': Field(0, 'Pairs of each kind in a fold, the first ones; 0 takes all.', **at_least(0))
}
CELEBA: dict[str, Field] = _DETECTOR | {
  'split': Field('test', 'Part of the data set.', **one_of('validation', 'test')),
  'each': Field(10, 'Pictures of a person, drawn by the seed; 0 takes all.', **at_least(0)),
  'features': Field(
    'squeezenet',
    'Network of the Frechet and the kernel distance.',
    **one_of('squeezenet', 'inception_clean', 'inception_legacy_pytorch'),
  ),
  'diversity_pictures': Field(
    10, 'Pictures that are painted again and again (the paper has 100).', **at_least(0)
  ),
  'diversity_outputs': Field(50, 'Times each of them (the paper has 500).', **between(2, 10_000)),
}
ABLATION: dict[str, Field] = CELEBA | {
  'variants': Field(
    '',
    'Folders of exported networks: `name=folder, ...`. `single_stage`, `joint` and `two_step` get '
    "the paper's figures beside; `two_step` is by default what `weights_from` names.",
  )
}
SR: dict[str, Field] = {
  'dataset': Field(
    'celeba_mask_hq',
    'Data set in `manual_dir`; `docs/data.md` has their layouts.',
    **one_of('celeba_mask_hq', 'celeba', 'fasseg', 'face_folder'),
  ),
  'split': CELEBA['split'],
  'pictures': Field(500, 'Pictures at most, drawn by the seed; 0 takes all.', **at_least(0)),
  'features': CELEBA['features'],
  'weights_256': Field('', 'Folder of exported networks whose H gives 256 px; empty: no row.'),
  'weights_512': Field('', 'Folder of exported networks whose H gives 512 px; empty: no row.'),
}
ATTACKS: dict[str, Field] = {
  'each': Field(6, 'Pictures of each person who is looked for; 0 takes all.', **at_least(0)),
  'train_each': Field(
    4, 'Pictures of each person whom an attacker trains on; 0 takes all.', **at_least(0)
  ),
  'sigmas': Field(
    '',
    'Further strengths of the appearance condition for T6, shares of the side of a crop: '
    '`0.04, 0.1`.',
  ),
  'controls_from': Field(
    '',
    'Workdir of the run that A was exported from: who its control identities are; empty leaves '
    'out whether outputs look like them.',
  ),
  'inversion_steps': Field(300, 'Training steps of the inverting network.', **at_least(0)),
}


SLICES: dict[str, Field] = _DETECTOR | {
  'dataset': Field(
    'face_folder',
    'Data set in `manual_dir`.',
    **one_of('face_folder', 'celeba', 'celeba_mask_hq', 'fasseg'),
  ),
  'split': Field('validation', 'Part of the data set.', **one_of('validation', 'test')),
  'pictures': Field(0, 'Pictures at most, drawn by the seed; 0 takes all.', **at_least(0)),
  'groups': Field(
    r'\d+_(?P<gender>\d)_(?P<race>\d)_',
    'Regular expression that file names match; its named groups are the slices. The default is '
    'that of UTKFace: gender 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 other.',
  ),
}
VIDEO: dict[str, Field] = _DETECTOR | {
  'frames': Field(100, 'Frames of each clip at most, the first ones; 0 takes all.', **at_least(0)),
  'lpips': Field(
    'squeeze',
    'Backbone of the distance between frames (the paper names none; tLP was defined with alex).',
    **one_of('alex', 'vgg', 'squeeze'),
  ),
  'gallery': Field(
    '',
    'Folder of CelebA, whose test people stand beside those of the clips in the gallery of T5; '
    'empty: nobody.',
  ),
}

POSES: dict[str, Field] = _DETECTOR | {
  'dataset': Field(
    'fasseg',
    "Data set in `manual_dir`: the paper's aflw2000, or fasseg, whose multi-pose part stands in "
    'for it.',
    **one_of('fasseg', 'aflw2000'),
  ),
  'edges': Field('15, 45, 75', 'Where bins of the size of yaw begin, degrees with commas between.'),
  'seen': Field(
    False,
    "Also measure fasseg's training persons, which S has seen, in tables of their own: more poses.",
  ),
  'pictures': Field(0, 'Pictures at most, drawn by the seed; 0 takes all.', **at_least(0)),
}
BODIES: dict[str, Field] = {
  'masks': Field(
    '',
    'Folder of masks, not black on the one person, named as the frames in `manual_dir` are '
    '(SEQUENCE/NAME.png, or NAME.png for a single sequence); empty: `manual_dir` holds DAVIS 2016.',
  ),
  'detector': Field(
    'hog',
    "Detector of people: OpenCV's HOG; without OpenCV its columns are left out.",
    **one_of('hog', 'none'),
  ),
  'segmenter': Field(
    'prismanet',
    'Network that finds the people of portraits, asked about the place where the person is; '
    'without its file in `weights_dir` its columns are left out.',
    **one_of('prismanet', 'none'),
  ),
  'body_identity': Field(
    '',
    'Workdir of an identity run on bodies, or folder of exported networks with its I; empty: '
    'colours alone say who is alike.',
  ),
  'gallery': Field(
    '',
    'Folder of Clothing Co-Parsing, whose people stand beside those of the frames; empty: nobody.',
  ),
  'gap': Field(
    10,
    'Frames that two frames of one person are apart, at least, to count as others.',
    **at_least(1),
  ),
  'block': Field(10, 'Consecutive frames that are drawn together for intervals.', **at_least(1)),
  'frames': Field(
    0, 'Frames of each sequence at most, the first ones; 0 takes all.', **at_least(0)
  ),
}


def read_edges(text: str) -> tuple[float, ...]:
  """Reads where bins of the size of yaw begin: degrees with commas between.

  Raises:
    ConfigError: no numbers between 0 and 180, or not in rising order.
  """
  try:
    found = tuple(float(part) for part in text.split(',') if part.strip())
  except ValueError:
    found = (float('nan'),)
  if not all(low < high for low, high in zip((0.0, *found), (*found, 180.0), strict=True)):
    raise ConfigError(
      f'config.edges={text!r} cannot be used; give rising degrees above 0, such as 15, 45, 75.'
    )
  return found


def poses_together(values: Mapping[str, Any]) -> None:
  """Refuses bins that are none, and people that S has seen where it was trained on nobody."""
  read_edges(values['edges'])
  if values['seen'] and values['dataset'] != 'fasseg':
    raise ConfigError(
      f'config.seen=True: no network was trained on {values["dataset"]}; give --config.seen=False.'
    )


def nothing_together(values: Mapping[str, Any]) -> None:
  """Fields of an evaluation do not depend on each other."""

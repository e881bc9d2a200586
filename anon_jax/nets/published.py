"""Where the published weights of the frozen networks come from."""

from typing import NamedTuple


class Published(NamedTuple):
  """Where the weights of one frozen network come from.

  Attributes:
    file: name of the safetensors file that this project reads.
    source: name of the published file that the converter reads.
    url: where the publisher keeps `source`.
    sha256_prefix: first hexadecimal digits of the SHA-256 of `source` (torchvision puts them into
      the file's name); '' where they are not known, and no source counts as the published one.
    instead: what to do where the weights cannot be had, after an 'or'.
  """

  file: str
  source: str
  url: str
  sha256_prefix: str
  instead: str


_TORCHVISION = 'https://download.pytorch.org/models/'
_FACENET = 'https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/'
_OTHER_LOSS = "set the config field perceptual_network to another network or to 'none'"
_OTHER_RECOGNISER = 'choose another recogniser'
_OTHER_FEATURES = "measure on the features of 'squeezenet', under their own name"
_OTHER_LPIPS = 'measure LPIPS on another backbone, under its own name'
PUBLISHED: dict[str, Published] = {
  'vgg19': Published(
    'vgg19_imagenet.safetensors', 'vgg19-dcbb9e9d.pth', _TORCHVISION, 'dcbb9e9d', _OTHER_LOSS
  ),
  'squeezenet': Published(
    'squeezenet_imagenet.safetensors',
    'squeezenet1_1-b8a52dc0.pth',
    _TORCHVISION,
    'b8a52dc0',
    _OTHER_LOSS,
  ),
  # The backbones of LPIPS, beside SqueezeNet.
  'alexnet': Published(
    'alexnet_imagenet.safetensors',
    'alexnet-owt-7be5be79.pth',
    _TORCHVISION,
    '7be5be79',
    _OTHER_LPIPS,
  ),
  'vgg16': Published(
    'vgg16_imagenet.safetensors', 'vgg16-397923af.pth', _TORCHVISION, '397923af', _OTHER_LPIPS
  ),
  # The publisher states no hash; this is the one that users of the file have recorded.
  'facenet_vggface2': Published(
    'facenet_vggface2.safetensors',
    '20180402-114759-vggface2.pt',
    _FACENET,
    '281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b',
    _OTHER_RECOGNISER,
  ),
  'facenet_casia': Published(
    'facenet_casia.safetensors',
    '20180408-102900-casia-webface.pt',
    _FACENET,
    '',
    _OTHER_RECOGNISER,
  ),
  'inception': Published(
    'inception_fid.safetensors',
    'pt_inception-2015-12-05-6726825d.pth',
    'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/',
    '6726825d',
    _OTHER_FEATURES,
  ),
}


def published(network: str) -> Published:
  """Returns the entry of `network`, or raises ValueError with the choices."""
  try:
    return PUBLISHED[network]
  except KeyError:
    raise ValueError(
      f'Unknown frozen network {network!r}; choose one of {sorted(PUBLISHED)}.'
    ) from None

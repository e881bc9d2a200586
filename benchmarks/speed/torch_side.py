"""The PyTorch side of an entry: the twin that a description from the JAX side asks for."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from twin.anonymize import Anonymize
from twin.chain import Chain
from twin.discriminator import MultiScaleDiscriminator
from twin.generator import Generator
from twin.harmonize import Harmonize
from twin.harmonizer import Harmonizer
from twin.identify import Identify, Proxies
from twin.identity import Identity
from twin.segment import Segment
from twin.segmenter import Segmenter
from twin.squeezenet import SqueezeNet

_KINDS: dict[str, type[nn.Module]] = {
  kind.__name__: kind
  for kind in (
    *(Generator, Harmonizer, Identity, Proxies, Segmenter),
    *(MultiScaleDiscriminator, SqueezeNet),
  )
}


def build_net(description: Mapping[str, Any]) -> nn.Module:
  """Builds one network of a description."""
  arguments = dict(description)
  return _KINDS[arguments.pop('kind')](**arguments)


def build(spec: Mapping[str, Any], device: str = 'cpu') -> Any:
  """Builds the twin of a stage or of the chain; both have `nets`, `place`, `step`, `compile`."""
  nets = {name: build_net(description) for name, description in spec['nets'].items()}
  options = spec['options']
  if spec['stage'] == 'anonymize':
    return Anonymize(nets, options, spec['tap_weights'], device)
  if spec['stage'] == 'harmonize':
    return Harmonize(nets, options, spec['tap_weights'], device)
  if spec['stage'] == 'identity':
    return Identify(nets, options, device)
  if spec['stage'] == 'segment':
    return Segment(nets, options, spec['allowed'], device)
  return Chain(nets, options, device)

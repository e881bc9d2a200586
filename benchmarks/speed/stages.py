"""The JAX side of an entry: its stage from its config, and what its twin has to be built like."""

import dataclasses
import importlib
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from anon_jax.experiment import guided, harmonize, identity, networks, segment, sources
from anon_jax.nets import anonymization, harmonization, squeezenet
from anon_jax.nets import perceptual as perceptual_nets
from anon_jax.nets.perceptual import PerceptualNet
from anon_jax.nets.squeezenet import SqueezeNet
from anon_jax.steps.anonymize import make_anonymize_stage
from anon_jax.steps.guided_parts import GuidedOptions
from anon_jax.steps.harmonize import HarmonizeOptions, make_harmonize_stage
from anon_jax.steps.stage import Stage
from speed.entries import PEOPLE, Entry

_CLASSES = 8
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def config_of(entry: Entry) -> Any:
  """Returns the entry's config: that of its file, with its changes."""
  if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))
  config = importlib.import_module(f'configs.{entry.config}').get_config()
  for name, value in entry.changes.items():
    config[name] = value
  config.dataset = 'procedural_faces'
  return config


def perceptual(dtype: Any) -> tuple[PerceptualNet, Any]:
  """Returns SqueezeNet with random weights: what they are costs no time, and no file is needed."""
  module = SqueezeNet('keras', dtype=dtype)
  weights = perceptual_nets.inverse_magnitudes(perceptual_nets.KERAS_TAP_MAGNITUDES)
  params = jax.jit(module.init)(jax.random.key(1), np.zeros((1, 64, 64, 3), np.float32))['params']
  net = PerceptualNet('squeezenet', module, squeezenet.TAPS, weights)
  return net, jax.device_get(params)


def build(entry: Entry) -> tuple[Stage, dict[str, Any]]:
  """Builds an entry's stage.

  Returns:
    The stage, and plain numbers for its twin (`torch_side.build`): `stage`, `options`, `nets`.
  """
  config = config_of(entry)
  stage, spec = {
    'anonymize': _anonymize,
    'harmonize': _harmonize,
    'identity': _identity,
    'segment': _segment,
  }[config.stage](config)
  return stage, {'stage': config.stage, **spec}


def _anonymize(config: Any) -> tuple[Stage, dict[str, Any]]:
  if config.spectral or config.coarse_map:
    raise ValueError('the twin of A has neither spectral norm nor coarse maps.')
  bare = config.copy_and_resolve_references()
  bare.perceptual_network = 'none'  # ours needs no file
  nets, _ = guided.make_nets(bare, PEOPLE)
  net, params = perceptual(nets.generator.dtype)
  options = GuidedOptions(**guided.options_of(config))
  stage = make_anonymize_stage(nets._replace(perceptual=net), options, None, params)
  plain = dataclasses.asdict(options)
  plain |= {'identities': PEOPLE, 'augment': list(plain['augment'].values())}
  return stage, {
    'options': plain,
    'tap_weights': list(net.tap_weights),
    'nets': {
      'generator': _generator(nets.generator),
      'discriminator': _discriminator(nets.discriminator, 3 + _CLASSES),
      'identity': _judge(nets.identity, config.image_size),
      'perceptual': {'kind': 'SqueezeNet'},
    },
  }


def _harmonize(config: Any) -> tuple[Stage, dict[str, Any]]:
  dtype = sources.compute_dtype(config.dtype)
  net, params = perceptual(dtype)
  generator = harmonization.HarmonizationNet(harmonization.WIDTHS[config.preset], 1, dtype)
  discriminator = networks.make_discriminator(config)
  options = HarmonizeOptions(upscale=config.upscale, **harmonize.options_of(config))
  stage = make_harmonize_stage(generator, discriminator, options, net, params)
  return stage, {
    'options': dataclasses.asdict(options),
    'tap_weights': list(net.tap_weights),
    'nets': {
      'generator': {'kind': 'Harmonizer', 'widths': list(generator.widths)},
      'discriminator': _discriminator(discriminator, 3 + 1 + 3),
      'perceptual': {'kind': 'SqueezeNet'},
    },
  }


def _identity(config: Any) -> tuple[Stage, dict[str, Any]]:
  net = identity.IdentityNet(identity.WIDTHS[config.preset])
  stage = identity.make_stage(config, PEOPLE)
  # the config's constant rates: a schedule costs no time
  options = {
    'positive_in_denominator': config.positive_in_denominator,
    'foreground_only': config.foreground_only,
    'proxy_scale': config.proxy_scale,
    'label_smoothing': config.label_smoothing,
    **{name: config[name] for name in ('identity_lr', 'proxy_lr')},
    **{name: config[name] for name in ('adam_b1', 'adam_b2', 'ema_decay')},
  }
  proxies = {'kind': 'Proxies', 'identities': PEOPLE, 'dimensions': net.dimensions}
  return stage, {
    'options': options,
    'nets': {'identity': _judge(net, config.image_size), 'proxies': proxies},
  }


def _segment(config: Any) -> tuple[Stage, dict[str, Any]]:
  parts = segment.parts_of(config)
  stage = segment.make_stage(config, parts)
  options = {'learning_rate': config.segmenter_lr}
  named = ('adam_b1', 'adam_b2', 'ema_decay', 'parts_weight', 'colour', 'occluded')
  options |= {name: config[name] for name in named}
  return stage, {
    'options': options,
    'allowed': np.eye(_CLASSES, dtype=bool)[None].tolist(),
    'nets': {
      'segmenter': {
        'kind': 'Segmenter',
        'widths': list(segment.WIDTHS[config.preset]),
        'classes': _CLASSES,
      }
    },
  }


def _generator(net: anonymization.AnonymizationNet) -> dict[str, Any]:
  return {
    'kind': 'Generator',
    'identities': net.identities,
    'widths': list(net.widths),
    'hidden': net.hidden,
    'classes': net.classes,
    'bilinear': net.bilinear,
  }


def _discriminator(net: Any, channels: int) -> dict[str, Any]:
  return {
    'kind': 'MultiScaleDiscriminator',
    'channels': channels,
    'scales': net.scales,
    'width': net.width,
    'layers': net.layers,
    'smoothed': net.smooth,
    'identities': net.identities,
  }


def _judge(net: Any, side: int) -> dict[str, Any]:
  return {
    'kind': 'Identity',
    'widths': list(net.widths),
    'dimensions': net.dimensions,
    'side': side,
  }


def describe_chain(segmenter: nn.Module, generator: Any, harmonizer: Any) -> dict[str, Any]:
  """Returns plain descriptions of the networks of the chain."""
  return {
    'segmenter': {'kind': 'Segmenter', 'widths': list(segmenter.widths), 'classes': _CLASSES},  # type: ignore[attr-defined]
    'generator': _generator(generator),
    'harmonizer': {'kind': 'Harmonizer', 'widths': list(harmonizer.widths)},
  }

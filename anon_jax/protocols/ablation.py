"""Table 1: what decoupling and the proxy task are worth (paper 4.1)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from anon_jax.protocols import networks
from anon_jax.protocols.systems import FILL, ORIGINAL, System, folders


class Configuration(NamedTuple):
  """A configuration of the paper.

  Attributes:
    title: of its row.
    stages: one of which its last network, which gives the final pixels, has to be trained by.
  """

  title: str
  stages: tuple[str, ...]


# In the order of the table.
CONFIGURATIONS = {
  'single_stage': Configuration('1) without decoupling', ('single_stage',)),
  'joint': Configuration('2) without proxy training', ('joint',)),
  'two_step': Configuration('3) two-step framework', ('harmonize', 'harmonize_video')),
}


def variants(text: str) -> Sequence[System]:
  """Reads whose networks are compared: 'name=folder', several of them with commas between.

  A and H, or the one network for both tasks, are taken from a folder; S and I are the evaluation's
  own in every row, so that nothing else differs.

  Args:
    text: names of `CONFIGURATIONS`, or others for further rows. Without 'two_step' the networks
      of the evaluation stand there.

  Returns:
    Those of the paper in its order, then further ones.

  Raises:
    ValueError: another form, a name that is taken, or networks of another configuration.
    WeightsError: a folder without networks.
  """
  found = {'two_step': System('two_step', CONFIGURATIONS['two_step'].title, 'synthesize')}
  for name, folder in folders(text, 'joint'):
    names = networks.painters_in(folder)
    title = name
    if name in CONFIGURATIONS:
      title, stages = CONFIGURATIONS[name]
      stage = networks.trained(folder, names)[names[-1]]['stage']
      if stage not in stages:
        raise ValueError(
          f'{names[-1]} of {name!r} in {folder} was trained by stage {stage!r}, not by '
          f'{" or ".join(stages)}; give another folder, or the row another name.'
        )
    taken = networks.Taken(folder, names)
    found[name] = System(name, title, 'synthesize', networks=taken)
  order = [*CONFIGURATIONS, *(name for name in found if name not in CONFIGURATIONS)]
  return [found[name] for name in order if name in found]


def rows(chosen: Sequence[System], more: Sequence[System]) -> Sequence[System]:
  """Returns all rows: the original, variants, other systems, and the negative control.

  Raises:
    ValueError: two rows of one name.
  """
  for system in more:
    if system.name in {*CONFIGURATIONS, *(each.name for each in chosen)}:
      raise ValueError(f'the name {system.name!r} is taken; choose another one.')
  return ORIGINAL, *chosen, *more, FILL


def trained(chosen: Sequence[System], weights: str) -> dict[str, Mapping[str, Any]]:
  """Returns by row, and then by network, the stage and the steps of what paints there.

  Args:
    chosen: by `variants`.
    weights: folder of the evaluation's own networks; '' for the package's.

  Raises:
    ValueError: the evaluation's own networks are not those of a configuration.
    WeightsError: a folder without networks.
  """
  own = networks.folder_of(weights)
  found: dict[str, Mapping[str, Any]] = {}
  for system in chosen:
    folder, names = system.networks or (own, networks.painters_in(own))
    found[system.name] = networks.trained(folder, names)
  return found


def missing(chosen: Sequence[System]) -> dict[str, str]:
  """Returns by name the paper's configurations that have no networks, and what to do."""
  return {
    name: f'no networks were given; name their folder by --config.variants={name}=FOLDER.'
    for name in CONFIGURATIONS
    if name not in {system.name for system in chosen}
  }

"""Says once when a GAN's metrics have looked like a collapse for some time."""

from collections.abc import Mapping

_PATIENCE = 20  # lines of metrics in a row
_SURE = 0.99  # share of answers from which on D tells all pictures apart
_ALIKE = 0.1  # diversity below which painted pictures are one


class CollapseWatch:
  """Looks at the metrics that are logged; `steps.collapse` says what they mean."""

  def __init__(self) -> None:
    self._in_a_row: dict[str, int] = {}
    self._told: set[str] = set()

  def look(self, values: Mapping[str, float]) -> list[str]:
    """Returns warnings, each once in a run: one a discriminator, one a painter.

    Args:
      values: numbers by name, of one line.
    """
    signs = {}
    for name, value in values.items():
      letter = name.removesuffix('_real_accuracy')
      if letter != name and f'{letter}_fake_accuracy' in values:
        fake = values[f'{letter}_fake_accuracy']
        signs[
          f'discriminator {letter} tells {value:.0%} of real and {fake:.0%} of painted pictures: '
          'its gradient teaches little; lower discriminator_lr or adversarial_weight'
        ] = (name, min(value, fake) >= _SURE)
      elif name.endswith('_diversity'):
        signs[
          f'{name} is {value:.2f}: painted pictures of a batch are nearly alike (mode collapse); '
          'look at samples/, and start again with another seed or lower rates'
        ] = (name, value < _ALIKE)
    warnings = []
    for text, (name, bad) in signs.items():
      self._in_a_row[name] = self._in_a_row.get(name, 0) + 1 if bad else 0
      if self._in_a_row[name] >= _PATIENCE and name not in self._told:
        self._told.add(name)
        warnings.append(f'warning: for {_PATIENCE} lines of metrics now, {text}.')
    return warnings

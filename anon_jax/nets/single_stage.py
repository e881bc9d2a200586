"""The ablation's one network for both tasks: it paints and blends (paper 4.1, Table 1, row 1)."""

from anon_jax.nets.anonymization import AnonymizationNet

# Channels that it reads beside the map: the picture without its foreground, and the appearance
# condition.
BESIDE = 6


class SingleStageNet(AnonymizationNet):
  """A, called with `conditions` [b, h, w, 6]: what stage `single_stage` trains, under a name.

  Parameters have A's names; those that read the map have `BESIDE` more channels.
  """

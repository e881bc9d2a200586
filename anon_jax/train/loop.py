"""The one training loop, for every stage."""

import collections
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from anon_jax import checkpoints as checkpointing
from anon_jax import compiling, parallel, processes
from anon_jax.checkpoints import Checkpoints
from anon_jax.config.field import ConfigError
from anon_jax.state import TrainState
from anon_jax.steps import finite
from anon_jax.steps.stage import Stage
from anon_jax.telemetry import Telemetry
from anon_jax.train.clock import Clock
from anon_jax.train.collapse import CollapseWatch
from anon_jax.train.divergence import Divergence
from anon_jax.train.interrupt import BrokenOff, Interrupt
from anon_jax.train.plan import Run, due
from anon_jax.train.start import new_state

Evaluate = Callable[[TrainState, int], Mapping[str, float]]
"""(state, step) -> scalars by name; made by `evaluation`, which this file does not import."""

_AHEAD = 2  # steps that may be under way on the device while the host goes on
_PROFILE_AFTER = 10  # steps left out of a profile: compilation and warm-up


class Outcome(NamedTuple):
  """What a run ended with."""

  state: TrainState
  step: int
  interrupted: signal.Signals | None


def train(
  run: Run,
  stage: Stage,
  dataset: grain.IterDataset,
  samples: Mapping[str, np.ndarray],
  evaluate: Evaluate,
  mesh: jax.sharding.Mesh,
) -> Outcome:
  """Trains a stage from its newest checkpoint, or from scratch, to the plan's last step.

  The order within a step is fixed: draw a batch, update, count, log, sample, evaluate, save. So a
  checkpoint of step k holds a state after k updates and an iterator that has given k batches, and
  a resumed run repeats the unbroken one bit for bit.

  Args:
    run: where and how long.
    stage: the networks and their step.
    dataset: this process's batches.
    samples: a batch that sample grids are drawn from.
    evaluate: called with the state and the step.
    mesh: the devices.

  Raises:
    Diverged: a metric, a gradient or a parameter is not finite.
    CheckpointError: no checkpoint is whole, or one could not be saved.
    ProcessesError: the processes would not train the same.
  """
  data = iter(dataset)
  with Checkpoints(run.workdir / 'checkpoints', run.keep_checkpoints, run.best) as saved:
    state, first = saved.restore_newest(new_state(stage, run.seed, mesh), data, set_aside=True)
    step = int(state.step)
    processes.require_alike({'the first step': step})
    telemetry = Telemetry(run.workdir, step, run.plan.total_steps, processes.is_first())
    try:
      counts = ', '.join(f'{k} {v / 1e6:.2f} M' for k, v in checkpointing.describe(state).items())
      origin = 'starting' if first is None else f'resuming from step {first}'
      telemetry.note(f'{stage.name}: {origin}; parameters: {counts}; {parallel.describe(mesh)}')
      interrupt = Interrupt()
      with processes.ending_with_the_others():
        if step < run.plan.total_steps:
          loop = _Loop(run, stage, saved, telemetry, evaluate, mesh, interrupt)
          state, step = loop.run_from(state, step, data, samples)
        saved.wait()
    finally:
      telemetry.close()
  return Outcome(state, step, interrupt.signal)


class _Loop:
  """The loop itself, with what its steps need at hand."""

  def __init__(
    self,
    run: Run,
    stage: Stage,
    saved: Checkpoints,
    telemetry: Telemetry,
    evaluate: Evaluate,
    mesh: jax.sharding.Mesh,
    interrupt: Interrupt,
  ):
    self._run, self._stage, self._saved, self._telemetry = run, stage, saved, telemetry
    self._evaluate, self._mesh, self._interrupt = evaluate, mesh, interrupt
    self._predict = compiling.jit(stage.predict)
    self._divergence, self._collapse = Divergence(saved), CollapseWatch()

  def run_from(
    self, state: TrainState, step: int, data: grain.DatasetIterator, samples: Mapping[str, Any]
  ) -> tuple[TrainState, int]:
    """Runs the steps after `step`; returns the state and the step that it has reached."""
    plan, first = self._run.plan, step
    clock = Clock()
    # Until there is something to save, a signal ends the process as it ends any other.
    batch: Any = parallel.put_batch(clock.draw(data), self._mesh)
    compiled = self._compile(state, batch)
    pending: collections.deque = collections.deque()
    clock = Clock()
    with self._interrupt:
      while step < plan.total_steps and not self._interrupt.wanted(step):
        if batch is None:
          batch = parallel.put_batch(clock.draw(data), self._mesh)
        with (
          jax.transfer_guard('disallow'),
          jax.profiler.StepTraceAnnotation('train', step_num=step),
        ):
          state, metrics = compiled(state, batch)
        batch = None
        step += 1
        clock.steps += 1
        pending.append(metrics)
        if len(pending) > _AHEAD:
          jax.block_until_ready(pending.popleft())
        self._divergence.note(step, metrics, state.nets)
        self._telemetry.advance()
        self._profile(step - first, last=step == plan.total_steps)
        if due(step, plan.log_every, plan):
          self._log(step, metrics, clock)
        if self._any_due(step):
          jax.block_until_ready(metrics)  # so that the pause does not hold the steps themselves
        with clock.pause():
          self._due_work(state, step, data, samples)
      if self._interrupt.signal:
        self._save_and_stop(state, step, first, data)
    return state, step

  def _save_and_stop(
    self, state: TrainState, step: int, first: int, data: grain.DatasetIterator
  ) -> None:
    assert self._interrupt.signal is not None
    if step == first:  # the batch that compilation needed has been drawn, and not been used
      self._telemetry.note(f'{self._interrupt.signal.name}: stopped before step {step + 1}.')
      return
    self._divergence.require_finite(step)  # the last step's metrics may not have been looked at
    self._saved.save(step, state, data)
    self._telemetry.note(f'{self._interrupt.signal.name}: saved step {step}; run again to go on.')

  def _compile(self, state: TrainState, batch: Any) -> Callable:
    watched = finite.watched(self._stage.step)
    result = parallel.compile_step(watched, state, batch, self._mesh, time.monotonic)
    self._telemetry.note(
      f'compiled in {result.seconds:.1f} s; {result.flops / 1e9:.1f} GFLOP a step on each device'
    )
    scalars = {'compile_seconds': result.seconds, 'step_gflop': result.flops / 1e9}
    self._telemetry.scalars(int(state.step), scalars)
    return result.run

  def _log(self, step: int, metrics: Mapping[str, jax.Array], clock: Clock) -> None:
    own = {name: value for name, value in metrics.items() if name != finite.FLAGS}
    values = {name: float(value) for name, value in jax.device_get(own).items()}
    values |= clock.rates(self._run.batch_size)
    losses = [name for name in values if name.endswith('loss')]
    self._telemetry.scalars(step, values, shown=[*losses, 'examples_per_s'])
    self._divergence.require_finite(step)
    for warning in self._collapse.look(values):
      self._telemetry.note(warning)

  def _any_due(self, step: int) -> bool:
    plan = self._run.plan
    return any(
      due(step, every, plan)
      for every in (plan.sample_every, plan.eval_every, plan.checkpoint_every)
    )

  def _due_work(
    self,
    state: TrainState,
    step: int,
    data: grain.DatasetIterator,
    samples: Mapping[str, Any],
  ) -> None:
    plan, scores = self._run.plan, None
    try:
      with self._interrupt.breaks():
        if due(step, plan.sample_every, plan):
          shown = parallel.fetch(self._predict(state, parallel.put_replicated(samples, self._mesh)))
          self._telemetry.pictures(step, {name: shown[name] for name in self._stage.columns})
        if due(step, plan.eval_every, plan):
          scores = self._evaluate(state, step)
          self._telemetry.scalars(step, scores)
    except BrokenOff:
      return  # the loop ends before the next step, and saves
    if due(step, plan.checkpoint_every, plan):
      self._divergence.require_finite(step)  # no checkpoint of a diverged state
      self._saved.save(step, state, data, scores)
    best = self._run.best.scalar
    if scores is not None and best and best not in scores:
      raise ConfigError(
        f'config.best_scalar={best!r} is nothing that the evaluation gives; choose one of '
        f'{", ".join(sorted(scores))}, or leave it empty.'
      )

  def _profile(self, done: int, *, last: bool) -> None:
    wanted = self._run.plan.profile_steps
    if not wanted:
      return
    if done == _PROFILE_AFTER and not last:
      jax.profiler.start_trace(str(self._run.workdir / 'profile'))
    recorded = done - _PROFILE_AFTER
    if recorded == wanted or (last and 0 < recorded < wanted):
      jax.profiler.stop_trace()
      self._telemetry.note(f'profile of {recorded} steps written to {self._run.workdir}/profile')
    elif last and recorded <= 0:
      self._telemetry.note(f'no profile: the run ends before step {_PROFILE_AFTER} of this start')

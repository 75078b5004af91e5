"""Learning-rate schedules, the optimizer chain and the decay mask.

Steps are counted in updates of the parameters; learning rates are per update.
"""

from __future__ import annotations

from typing import Any

import jax
import optax

from ferjax.errors import UserError


def learning_rate_schedule(
    name: str, *, peak: float, num_steps: int, warmup_steps: int = 0
) -> optax.Schedule:
    """Linear warm-up to `peak`, then constant or a half cosine from it to 0 at `num_steps`.

    Update t of a warm-up of W updates, counted from 1, has the rate peak t / W: the first one moves
    the weights, too.

    Args:
      name: "constant" or "cosine" (Loshchilov & Hutter 2017, eq. 5, without restarts).
      peak: the learning rate after the warm-up.
      num_steps: steps of the whole run, the warm-up included.
      warmup_steps: steps of the warm-up; must be fewer than `num_steps`.

    Raises:
      UserError: a warm-up as long as the run.
      ValueError: an unknown name.
    """
    if warmup_steps >= num_steps:
        raise UserError(
            f"The warm-up of {warmup_steps} steps is not shorter than the run of {num_steps} steps;"
            " warm up for fewer epochs, or train for more."
        )
    if name == "constant":
        after = optax.constant_schedule(peak)
    elif name == "cosine":
        after = optax.cosine_decay_schedule(peak, num_steps - warmup_steps)
    else:
        raise ValueError(f"name is {name!r}; expected constant or cosine")
    if not warmup_steps:
        return after
    return optax.join_schedules(
        [lambda step: peak * (step + 1) / warmup_steps, after], [warmup_steps]
    )


def optimizer(
    name: str,
    *,
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """SGD, Adam or RAdam with the conventions of PyTorch.

    The gradient is clipped by its global norm first (0 switches clipping off); weight decay is L2
    in the gradient, before the momentum, on convolution and dense kernels only (`decay_mask`).

    Args:
      name: "sgd", "adam" (Kingma & Ba 2015) or "radam" (Liu et al. 2020, algorithm 2), both with
        betas 0.9 and 0.999.
      learning_rate: a number or a schedule of the step.
      momentum: the momentum of SGD; not used by the others.
      nesterov: whether SGD's momentum is Nesterov's.
      weight_decay: L2 coefficient.
      clip_norm: largest global norm of the gradient, 0 for no limit.
      epsilon: what Adam and RAdam add to the root of the second moment. PyTorch has 1e-8, Keras
        1e-7.

    Raises:
      ValueError: an unknown name.
    """
    if name == "sgd":
        core = optax.sgd(learning_rate, momentum=momentum or None, nesterov=nesterov)
    elif name == "adam":
        core = optax.adam(learning_rate, eps=epsilon)
    elif name == "radam":
        core = optax.radam(learning_rate, eps=epsilon)
    else:
        raise ValueError(f"name is {name!r}; expected sgd, adam or radam")
    parts = []
    if clip_norm:
        parts.append(optax.clip_by_global_norm(clip_norm))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, mask=decay_mask))
    return optax.chain(*parts, core)


def decay_mask(params: Any) -> Any:
    """True for the kernels of convolutions and dense layers, by name; False for all else."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path[-1:], simple=True) == "kernel", params
    )

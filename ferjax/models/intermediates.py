"""Named intermediates of a forward pass: feature maps, attention, features.

Layers pass their intermediates through `record`. It returns its argument and adds nothing to the
program, except inside `recording`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Float


class _Recorder:
    """The intermediates of one forward pass.

    Args:
      added: name -> array that is added to the intermediate.
    """

    def __init__(self, added: Mapping[str, Array]):
        self.values: dict[str, Array] = {}
        self._added = added
        self._trace = get_opaque_trace_state()

    def take(self, name: str, value: Array, drop: int | None) -> Array:
        """Keeps a value, and returns what the forward pass goes on with."""
        if get_opaque_trace_state() != self._trace:
            raise ValueError(
                f"{name} is computed inside a function that jax.jit, jax.grad or the like traces, "
                "and recording() is outside of it. Call recording() in that function and return "
                "its values."
            )
        if name in self.values:
            raise ValueError(
                f"{name} was recorded twice. Use one recording() for each forward pass, and a "
                "model of models.create(), which names its layers."
            )
        shown = value if drop is None else jnp.squeeze(value, drop)
        if name in self._added:
            shown = shown + self._shaped(name, shown)
            value = shown.reshape(value.shape)
        self.values[name] = shown
        return value

    def check(self) -> None:
        """Raises a ValueError if no forward pass was seen, or an array was not added."""
        if not self.values:
            raise ValueError(
                "recording() saw no forward pass. A compiled function does not run its Python code "
                "again: call recording() in that function and return its values."
            )
        unknown = [name for name in self._added if name not in self.values]
        if unknown:
            raise ValueError(
                f"The model has no intermediate {unknown[0]!r}; it has {', '.join(self.values)}."
            )

    def _shaped(self, name: str, value: Array) -> Array:
        added = self._added[name]
        if added.shape != value.shape:
            raise ValueError(
                f"The array to add to {name} has shape {added.shape}; expected {value.shape}."
            )
        return added.astype(value.dtype)


_RECORDER: ContextVar[_Recorder | None] = ContextVar("recorder", default=None)


def is_recording() -> bool:
    """Whether the caller runs inside `recording`."""
    return _RECORDER.get() is not None


def record(name: str, value: Float[Array, "..."], *, drop: int | None = None) -> Array:
    """Gives a value of the forward pass a name; returns it, for the forward pass to go on with.

    Args:
      name: the full name, as "layer1.0.se.gate".
      value: the array that the forward pass uses.
      drop: an axis of size 1 that the recorded array does not have.
    """
    recorder = _RECORDER.get()
    return value if recorder is None else recorder.take(name, value, drop)


@contextlib.contextmanager
def recording(added: Mapping[str, Array] | None = None) -> Iterator[dict[str, Array]]:
    """Collects the named intermediates of the forward pass inside the block.

    The block yields a dict, name -> array, which the forward pass fills. Under a transformation
    the block stands inside the transformed function:

        @jax.jit
        def run(weights, images):
            with models.recording() as values:
                logits, features = functional.forward(graphdef, weights, images)
            return logits, values

    The values are those that the forward pass used. B batch, C channels, D features, h w map:

      every model        features [B, D], float32, from which the classifier computes the logits
      resnet*            layer1 ... layer4 [B, h, w, C], the output of each stage
        attention="se"     layer1.0.se.gate ... [B, C]
        attention="cbam"   layer1.0.cbam.channel.gate ... [B, C], float32;
                           layer1.0.cbam.spatial.gate ... [B, h, w], float32
      vgg*               stage1 ... stage5 [B, h, w, C], each after its pooling
      vgg19_attention    stage1 ... stage5; attention_map [B, h, w], A of tam2021
      se_cnn             blocks.0 ... blocks.2 [B, h, w, C], each after its pooling;
                         blocks.0.se2.gate ... [B, C], with se_position="conv" also se1
      *_fusion           trunk1 and trunk2 [B, h, w, D], the last map of each trunk; all names of a
                         trunk, as trunk1.layer4
      late_fusion        trunk1.features and trunk2.features, from which the trunks classify
      attention_fusion   token_attention, softmax weights of each token (row) over all tokens:
                         [B, N, N] for tokens="space" (N = h w in row-major order; 1 for
                         feature="pooled"), [B, D, D] for "channel", [1, B, B] for "batch";
                         local.gate [B, N, D] with local_gate; all float32

    Maps, SE gates and attention_map have the compute type of the model. With `remat`, a recorded
    pass keeps its activations.

    Args:
      added: name -> array that is added to the intermediate, of the recorded shape. The gradient
        of a logit with respect to zeros here is its gradient with respect to the intermediate, as
        Grad-CAM needs it. Frozen trunks stop gradients before trunk1 and trunk2, and late fusion
        lets none through.

    Raises:
      ValueError: the forward pass is traced by a transformation inside the block, the block has no
        or several forward passes, or `added` has an unknown name or a wrong shape.
    """
    recorder = _Recorder({} if added is None else added)
    token = _RECORDER.set(recorder)
    try:
        yield recorder.values
    finally:
        _RECORDER.reset(token)
    recorder.check()

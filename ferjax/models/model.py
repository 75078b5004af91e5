"""The base class of every model: facts that other code asks for without building weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ferjax.models.layers.named import NamedModule


class Model(NamedModule):
    """Maps images [B, H, W, C] to (logits float32 [B, K], features float32 [B, D]).

    Attributes:
      classifier_name: path of the layer that computes the logits, as "fc" or "classifier.6". A
        change of classes replaces this layer. None if the model trains no classifier of its own.
      is_trainable: whether training changes any parameter.
      least_image_size: smallest side of an image in pixels; None if the constructor checks it.
      at_first_pixel: whether place k of a map, whose places are s pixels apart, lies on pixel s k,
        where padded strided layers put it, or else in the middle of its s pixels.
      unused_in_trunks: for a fusion, the classifier modules of a trunk that the fusion leaves out.
    """

    classifier_name: ClassVar[str | None] = None
    is_trainable: ClassVar[bool] = True
    least_image_size: ClassVar[int | None] = None
    at_first_pixel: ClassVar[bool] = False
    unused_in_trunks: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def depends_on_batch(cls, options: Mapping[str, Any]) -> bool:
        """Whether, in evaluation mode, the logits of an image depend on the rest of its batch.

        Args:
          options: of the model; missing ones have their defaults, others are ignored.
        """
        return False

    @classmethod
    def supports_remat(cls, options: Mapping[str, Any]) -> bool:
        """Whether `remat` saves memory in a model with these options."""
        return False

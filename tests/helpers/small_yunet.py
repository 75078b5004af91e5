"""A network with the outputs of YuNet that finds red cells, for OpenCV's FaceDetectorYN.

YuNet's own file is fetched by users alone. OpenCV reads of any such network, for each cell of 8, 16
and 32 pixels: cls and obj, whose geometric mean is the score; bbox, the middle of the box in cells
from the corner of the cell, and the logarithms of its sides in cells; kps, five points in cells.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Of a face: the middle of its cell, four cells wide and five high; its eyes, left first.
BOX = (0.5, 0.5, np.log(4), np.log(5))
POINTS = (-0.5, 0.25, 1.5, 0.25, 0.5, 1.0, 0.0, 1.5, 1.0, 1.5)


def write(path):
    """Writes the network to a file."""
    nodes, constants, outputs = [], [], []
    for stride in (8, 16, 32):
        # Blue first: a cell that is wholly red has 1, others have less.
        red = np.broadcast_to(np.array([-1, -1, 1], np.float32)[:, None, None], (3, stride, stride))
        red = red / (255 * stride**2) * (stride == 8)
        for name, bias, weights in (
            ("cls", [0], red[None]),
            ("obj", [1], None),
            ("bbox", BOX, None),
            ("kps", POINTS, None),
        ):
            key = f"{name}_{stride}"
            count = len(bias)
            kernel = np.zeros((count, 3, stride, stride)) if weights is None else weights
            constants += [
                numpy_helper.from_array(np.asarray(kernel, np.float32), f"{key}_w"),
                numpy_helper.from_array(np.asarray(bias, np.float32), f"{key}_b"),
                numpy_helper.from_array(np.array([1, -1, count]), f"{key}_s"),
            ]
            sides = [stride, stride]
            inputs = ["input", f"{key}_w", f"{key}_b"]
            nodes += [
                helper.make_node("Conv", inputs, [f"{key}_c"], strides=sides, kernel_shape=sides),
                helper.make_node("Transpose", [f"{key}_c"], [f"{key}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{key}_t", f"{key}_s"], [key]),
            ]
            outputs.append(helper.make_tensor_value_info(key, TensorProto.FLOAT, [1, None, count]))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "small_yunet", [image], outputs, constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)

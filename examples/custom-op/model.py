"""Makes stations.onnx: python model.py. Which of five stations is nearest to each point, in the 1.5-norm, and how far all are."""
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

stations = np.array([[0, 0], [3, 1], [-2, 4], [5, -3], [-4, -4]], np.float32)
attrs = {"p": 1.5, "domain": "com.example"}
graph = helper.make_graph(
    [
        helper.make_node("Distance", ["points", "stations"], ["distances"], **attrs),
        helper.make_node("Nearest", ["points", "stations"], ["nearest"], **attrs),
    ],
    "stations",
    [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 2])],
    [
        helper.make_tensor_value_info("nearest", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("distances", TensorProto.FLOAT, ["N", 5]),
    ],
    [numpy_helper.from_array(stations, "stations")],
)
opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="example")
checker.check_model(model)
save(model, "stations.onnx")

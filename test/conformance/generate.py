"""Writes ONNX's backend tests as files; called by generate.mjs, in the environment of test/models/venv.mjs.

    generate.py OUT

The onnx package holds its tests in four ways; here they all become the classical folders

    OUT/NAME/model.onnx
    OUT/NAME/test_data_set_0/input_0.pb ... output_0.pb ...
    OUT/index.json

- node and simple tests exist in memory only: the package builds them from numpy code.
- pytorch-converted and pytorch-operator tests are such folders already.
- light tests are a model and its expected output; the package's runner makes the input, as is done here.

A .pb holds a TensorProto, SequenceProto, OptionalProto or MapProto, as the type of the graph's input or output of that
number says. Inputs that are initializers as well are not counted and have no .pb, wherever they stand. index.json lists
the cases by name: name, kind, rtol, atol, ops (with a domain in front unless it is ONNX's own), opset by domain, sets,
and the types of inputs and outputs as ONNX writes them.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case import model as simple_tests

DATA = Path(loader.DATA_DIR)


def tensor_type(elem):
    return f"tensor({TensorProto.DataType.Name(elem).lower()})"


def type_text(t):
    """A TypeProto as ONNX writes it: seq(tensor(float))."""
    kind = t.WhichOneof("value")
    if kind == "tensor_type":
        return tensor_type(t.tensor_type.elem_type)
    if kind == "sparse_tensor_type":
        return f"sparse_{tensor_type(t.sparse_tensor_type.elem_type)}"
    if kind == "sequence_type":
        return f"seq({type_text(t.sequence_type.elem_type)})"
    if kind == "optional_type":
        return f"optional({type_text(t.optional_type.elem_type)})"
    key = TensorProto.DataType.Name(t.map_type.key_type).lower()
    return f"map({key},{type_text(t.map_type.value_type)})"


def serialise(value, info):
    """A value as the proto that its declared type asks for."""
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        proto = numpy_helper.from_list(value, info.name)
    elif kind == "optional_type":
        proto = numpy_helper.from_optional(value, info.name)
    elif kind == "map_type":
        proto = numpy_helper.from_dict(value, info.name)
    elif isinstance(value, TensorProto):
        proto = value
    else:
        proto = numpy_helper.from_array(np.asarray(value), info.name)
    return proto.SerializeToString(deterministic=True)


def data_inputs(graph):
    """The inputs that a caller must give: before IR version 4 every initializer is listed as an input as well."""
    stored = {t.name for t in graph.initializer}
    return [v for v in graph.input if v.name not in stored]


def write(folder, model, data_sets):
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    for i, (inputs, outputs) in enumerate(data_sets):
        data = folder / f"test_data_set_{i}"
        data.mkdir()
        for what, values, infos in (
            ("input", inputs, data_inputs(model.graph)),
            ("output", outputs, model.graph.output),
        ):
            for j, (value, info) in enumerate(zip(values, infos, strict=True)):
                (data / f"{what}_{j}.pb").write_bytes(serialise(value, info))


def ops_of(graph_or_function):
    """The ops that run: of the nodes, and of the graphs inside them."""
    for node in graph_or_function.node:
        yield node.domain, node.op_type
        for attribute in node.attribute:
            for body in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from ops_of(body)


def describe(name, kind, rtol, atol, folder):
    """A case's entry in the index, from the files as they were written."""
    model = onnx.load(folder / "model.onnx")
    ops = {op for graph in [model.graph, *model.functions] for op in ops_of(graph)}
    return {
        "name": name,
        "kind": kind,
        "rtol": rtol,
        "atol": atol,
        "ops": sorted(op if domain in ("", "ai.onnx") else f"{domain}:{op}" for domain, op in ops),
        "opset": {o.domain or "ai.onnx": o.version for o in sorted(model.opset_import, key=lambda o: o.domain)},
        "sets": len(list(folder.glob("test_data_set_*"))),
        "inputs": [type_text(v.type) for v in data_inputs(model.graph)],
        "outputs": [type_text(v.type) for v in model.graph.output],
    }


def light_data(path, model):
    """What the package's runner feeds a light model, and the output stored beside it."""
    inputs = []
    for info in data_inputs(model.graph):
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
        n = np.prod(shape)
        inputs.append((np.arange(n).reshape(shape) / n).astype(np.float32))
    outputs = [
        onnx.load_tensor(path.with_name(f"{path.stem}_output_{i}.pb")) for i in range(len(model.graph.output))
    ]
    return [(inputs, outputs)]


def main(out):
    out = Path(out)
    out.mkdir(parents=True)
    index = []

    with warnings.catch_warnings():
        # The cases overflow and divide by zero on purpose.
        warnings.simplefilter("ignore")
        node_cases = loader.load_node_model_tests()
        model_cases = simple_tests.collect_testcases()

    for case in [*node_cases, *model_cases]:
        folder = out / case.name
        if case.kind == "real":
            path = DATA / "light" / f"light_{case.model_name}.onnx"
            model = onnx.load(path)
            write(folder, model, light_data(path, model))
        else:
            write(folder, case.model, case.data_sets)
        kind = "light" if case.kind == "real" else case.kind
        index.append(describe(case.name, kind, case.rtol, case.atol, folder))

    for kind in ("pytorch-converted", "pytorch-operator"):
        for case in loader.load_model_tests(kind=kind):
            folder = out / case.name
            shutil.copytree(case.model_dir, folder)
            index.append(describe(case.name, kind, case.rtol, case.atol, folder))

    index.sort(key=lambda case: case["name"])
    lines = ",\n".join(json.dumps(case) for case in index)
    (out / "index.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Cases that onnxruntime answers, for operators and forms that ONNX's backend tests leave out: python cases.py FOLDER.

Writes folders as the conformance tests have them (model.onnx, test_data_set_0/input_K.pb, output_K.pb) and index.json.
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

cases = []


def rng(name):
    return np.random.default_rng(abs(hash_text(name)))


def hash_text(s):
    x = 0x811C9DC5
    for c in s.encode():
        x = ((x ^ c) * 0x01000193) & 0xFFFFFFFF
    return x


def case(name, op, inputs, outputs=1, domain="", opset=17, rtol=1e-4, atol=1e-5, const=(), names=None, attributes={}, **attrs):
    """inputs: arrays or None. const: positions that are initializers."""
    names_in = [f"x{k}" if a is not None else "" for k, a in enumerate(inputs)]
    names_out = names or [f"y{k}" for k in range(outputs)]
    node = h.make_node(op, names_in, names_out, domain=domain)
    node.attribute.extend(h.make_attribute(k, v) for k, v in {**attrs, **attributes}.items())
    graph_inputs = [h.make_tensor_value_info(n, h.np_dtype_to_tensor_dtype(a.dtype), a.shape) for k, (n, a) in enumerate(zip(names_in, inputs)) if a is not None and k not in const]
    init = [nh.from_array(a, names_in[k]) for k, a in enumerate(inputs) if a is not None and k in const]
    outs = [h.make_value_info(n, h.make_tensor_type_proto(T.UNDEFINED, None)) for n in names_out if n]
    for o in outs:
        o.ClearField("type")
    graph = h.make_graph([node], name, graph_inputs, outs, init)
    opsets = [h.make_opsetid("", opset)]
    if domain == "com.microsoft":
        opsets.append(h.make_opsetid(domain, 1))
    if domain == "ai.onnx.ml":
        opsets.append(h.make_opsetid(domain, 3))
    model = h.make_model(graph, opset_imports=opsets, ir_version=8)
    feeds = {n: a for k, (n, a) in enumerate(zip(names_in, inputs)) if a is not None and k not in const}
    add(name, model, feeds, rtol, atol, [op])


def add(name, model, feeds, rtol, atol, ops):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(None, feeds)
    except Exception as e:  # onnxruntime does not run it: no case
        print("skipped", name, str(e)[-160:].replace("\n", " "))
        return
    types = {o.name: o.type for o in session.get_outputs()}
    del model.graph.output[:]
    for o, r in zip(session.get_outputs(), results):
        r = np.asarray(r)
        model.graph.output.append(h.make_tensor_value_info(o.name, h.np_dtype_to_tensor_dtype(r.dtype), r.shape))
    cases.append((name, model, feeds, [np.asarray(r) for r in results], rtol, atol, ops))


def f(name, *shape, scale=1.0):
    return (rng(name).standard_normal(shape) * scale).astype(np.float32)


def ints(name, lo, hi, *shape, dtype=np.int64):
    return rng(name).integers(lo, hi, shape).astype(dtype)


def recurrent():
    S, B, I, H = 5, 3, 4, 6
    for op, g in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for direction, d in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            for lens in (None, np.array([5, 2, 4], np.int32)):
                for init in (False, True):
                    name = f"{op.lower()}_{direction}{'_lens' if lens is not None else ''}{'_init' if init else ''}"
                    x, w, r, b = f(name, S, B, I), f(name + "w", d, g * H, I, scale=0.5), f(name + "r", d, g * H, H, scale=0.5), f(name + "b", d, 2 * g * H)
                    xs = [x, w, r, b, lens, f(name + "h", d, B, H) if init else None]
                    n = 2
                    if op == "LSTM":
                        xs += [f(name + "c", d, B, H) if init else None, f(name + "p", d, 3 * H) if init else None]
                        n = 3
                    while xs[-1] is None:
                        xs.pop()
                    case(name, op, xs, n, hidden_size=H, direction=direction, opset=14, const=(1, 2, 3))
    x = f("gru", S, B, I)
    case("gru_linear_before_reset", "GRU", [x, f("w", 1, 18, I), f("r", 1, 18, H), f("b", 1, 36)], 2, hidden_size=H, linear_before_reset=1, opset=14)
    case("gru_lbr_bidirectional", "GRU", [x, f("w", 2, 18, I), f("r", 2, 18, H), f("b", 2, 36)], 2, hidden_size=H, linear_before_reset=1, direction="bidirectional", opset=14)
    case("lstm_acts", "LSTM", [x, f("w", 1, 24, I), f("r", 1, 24, H), f("b", 1, 48)], 3, hidden_size=H, activations=["HardSigmoid", "Softsign", "LeakyRelu"], activation_alpha=[0.3, 0.2], activation_beta=[0.4], clip=0.7, opset=14)
    case("lstm_forget", "LSTM", [x, f("w", 1, 24, I), f("r", 1, 24, H)], 3, hidden_size=H, input_forget=1, opset=14)
    case("rnn_relu_nobias", "RNN", [x, f("w", 1, H, I), f("r", 1, H, H)], 2, hidden_size=H, activations=["Relu"], opset=14)
    q = lambda n, *s: ints(n, -127, 127, *s, dtype=np.int8)
    for d, direction in ((1, "forward"), (2, "bidirectional")):
        case(f"dqlstm_{direction}", "DynamicQuantizeLSTM", [x, q("wq", d, I, 4 * H), q("rq", d, H, 4 * H), f("b", d, 8 * H), None, f("h", d, B, H), f("c", d, B, H), None,
             np.full((d,), 0.01, np.float32), np.zeros((d,), np.int8), np.full((d,), 0.012, np.float32), np.zeros((d,), np.int8)], 3,
             domain="com.microsoft", hidden_size=H, direction=direction, const=(1, 2, 3, 8, 9, 10, 11), rtol=2e-2, atol=2e-2)


def contrib():
    m = dict(domain="com.microsoft")
    x, g, be = f("x", 2, 5, 8), f("g", 8), f("be", 8)
    case("gelu", "Gelu", [x], **m)
    case("quickgelu", "QuickGelu", [x], alpha=1.3, **m)
    case("biasgelu", "BiasGelu", [x, g], **m)
    case("fastgelu", "FastGelu", [x], **m)
    case("fastgelu_bias", "FastGelu", [x, g], **m)
    case("skipln", "SkipLayerNormalization", [x, f("s", 2, 5, 8), g, be], epsilon=1e-5, **m)
    case("skipln_bias_sum", "SkipLayerNormalization", [x, f("s", 2, 5, 8), g, be, f("bias", 8)], names=["y", "", "", "s"], epsilon=1e-5, **m)
    case("skipln_broadcast", "SkipLayerNormalization", [x, f("s", 1, 5, 8), g, be], epsilon=1e-5, **m)
    case("skip_simplified", "SkipSimplifiedLayerNormalization", [x, f("s", 2, 5, 8), g], names=["y", "", "", "s"], epsilon=1e-5, **m)
    case("simplified_ln", "SimplifiedLayerNormalization", [x, g], epsilon=1e-5, axis=-1, stash_type=1)
    ids = ints("ids", 0, 20, 2, 5, dtype=np.int32)
    case("embed_ln", "EmbedLayerNormalization", [ids, ints("seg", 0, 2, 2, 5, dtype=np.int32), f("we", 20, 8), f("pe", 7, 8), f("se", 2, 8), g, be, np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)], 2, epsilon=1e-5, **m)
    case("embed_ln_plain", "EmbedLayerNormalization", [ids, None, f("we", 20, 8), f("pe", 7, 8), None, g, be], 2, epsilon=1e-5, **m)
    case("fused_matmul", "FusedMatMul", [f("a", 2, 4, 3), f("b", 2, 5, 4)], transA=1, transB=1, alpha=0.5, **m)
    case("fused_matmul_batch", "FusedMatMul", [f("a", 3, 2, 4), f("b", 2, 4, 5)], transBatchA=1, **m)
    case("fused_conv", "FusedConv", [f("x4", 1, 3, 6, 6), f("w4", 4, 3, 3, 3), f("b4", 4), f("z4", 1, 4, 6, 6)], kernel_shape=[3, 3], pads=[1, 1, 1, 1], activation="Relu", **m)
    case("fused_conv_leaky", "FusedConv", [f("x4", 1, 3, 6, 6), f("w4", 4, 3, 3, 3)], kernel_shape=[3, 3], activation="LeakyRelu", activation_params=[0.2], **m)
    case("fused_gemm", "FusedGemm", [f("a", 4, 3), f("b", 3, 5), f("c", 5)], activation="Relu", alpha=0.7, beta=0.3, **m)
    u8 = lambda n, *s: ints(n, 0, 255, *s, dtype=np.uint8)
    i8 = lambda n, *s: ints(n, -127, 127, *s, dtype=np.int8)
    s = lambda v: np.array(v, np.float32)
    case("matmul_int_to_float", "MatMulIntegerToFloat", [u8("a", 4, 6), i8("b", 6, 5), s(0.02), f("bs", 5) ** 2 + 0.01, np.array(120, np.uint8), np.array([1, -2, 3, 0, 5], np.int8), f("bias", 5)], **m)
    case("dq_matmul", "DynamicQuantizeMatMul", [f("a", 4, 6), i8("b", 6, 5), s(0.03), np.array(2, np.int8), f("bias", 5)], **m)
    case("qlinear_add", "QLinearAdd", [u8("a", 3, 4), s(0.05), np.array(100, np.uint8), u8("b", 3, 4), s(0.03), np.array(90, np.uint8), s(0.07), np.array(110, np.uint8)], atol=1, **m)
    case("qlinear_mul", "QLinearMul", [u8("a", 3, 4), s(0.05), np.array(100, np.uint8), u8("b", 4), s(0.03), np.array(90, np.uint8), s(0.17), np.array(110, np.uint8)], atol=1, **m)
    case("qlinear_sigmoid", "QLinearSigmoid", [u8("a", 3, 4), s(0.05), np.array(100, np.uint8), s(1 / 256), np.array(0, np.uint8)], atol=1, **m)
    z = lambda v: np.array(v, np.uint8)
    q4 = lambda n: u8(n, 1, 3, 6, 5)
    for op in ("QLinearAdd", "QLinearMul"):
        case(f"{op.lower()}_i8", op, [i8("a", 3, 4), s(0.05), np.array(4, np.int8), i8("b", 4), s(0.03), np.array(-9, np.int8), s(0.17), np.array(11, np.int8)], atol=1, **m)
    case("qlinear_concat", "QLinearConcat", [s(0.06), z(100), u8("a", 2, 3), s(0.05), z(110), u8("b", 2, 4), s(0.06), z(100), u8("c", 2, 1), s(0.02), z(0)], axis=1, atol=1, const=(0, 1, 3, 4, 6, 7, 9, 10), **m)
    case("qlinear_softmax", "QLinearSoftmax", [u8("a", 3, 5), s(0.05), z(100), s(1 / 256), z(0)], axis=-1, attributes={"opset": 13}, atol=1, const=(1, 2, 3, 4), **m)
    case("qlinear_softmax_flat", "QLinearSoftmax", [u8("a", 2, 3, 5), s(0.05), z(100), s(1 / 256), z(0)], axis=1, attributes={"opset": 12}, atol=1, const=(1, 2, 3, 4), **m)
    case("qlinear_where", "QLinearWhere", [ints("w", 0, 2, 3, 4, dtype=bool), u8("a", 3, 4), s(0.05), z(100), u8("b", 4), s(0.03), z(90), s(0.07), z(110)], atol=1, const=(2, 3, 5, 6, 7, 8), **m)
    for last in (0, 1):
        case(f"qlinear_avgpool_{last}", "QLinearAveragePool", [q4("a"), s(0.05), z(100), s(0.04), z(90)], kernel_shape=[2, 2], strides=[2, 1] if not last else [1, 1], pads=[1, 0, 0, 1], channels_last=last, atol=1, const=(1, 2, 3, 4), **m)
        case(f"qlinear_gap_{last}", "QLinearGlobalAveragePool", [q4("a"), s(0.05), z(100), s(0.04), z(90)], channels_last=last, atol=1, const=(1, 2, 3, 4), **m)
        w = i8("w", 6, 2, 3, 3)
        case(f"qlinearconv_ms_{last}", "QLinearConv", [u8("qx", 1, 5, 6, 4) if last else u8("qx", 1, 4, 5, 6), s(0.02), z(128), w, (np.abs(f("qs", 6)) + 0.01) * 0.01, np.zeros(6, np.int8), s(0.05), z(120), ints("qb", -500, 500, 6, dtype=np.int32)], channels_last=last, group=2, pads=[1, 1, 1, 1], atol=1, const=(1, 2, 3, 4, 5, 6, 7, 8), **m)
    case("qlinear_avgpool_count", "QLinearAveragePool", [q4("a"), s(0.05), z(100), s(0.04), z(90)], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, atol=1, const=(1, 2, 3, 4), **m)
    for t, x8 in (("u8", u8("n", 1, 6, 5, 3)), ("i8", i8("n", 1, 6, 5, 3))):
        case(f"nhwc_maxpool_{t}", "NhwcMaxPool", [x8], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **m)
    case("nhwc_maxpool_dilated", "NhwcMaxPool", [u8("n", 1, 7, 7, 3)], kernel_shape=[2, 2], dilations=[2, 2], ceil_mode=1, strides=[2, 2], **m)
    for trans in (0, 1):
        bs = (np.abs(f("gs", 5)) + 0.1) * 0.02
        case(f"qgemm_float_{trans}", "QGemm", [u8("a", 4, 6), s(0.05), z(100), i8("b", *((5, 6) if trans else (6, 5))), bs, np.zeros(5, np.int8), ints("c", -300, 300, 5, dtype=np.int32)], transB=trans, const=(1, 2, 3, 4, 5, 6), **m)
        case(f"qgemm_{trans}", "QGemm", [u8("a", *((6, 4) if trans else (4, 6))), s(0.05), z(100), i8("b", 6, 5), s(0.03), np.array(3, np.int8), ints("c", -300, 300, 5, dtype=np.int32), s(0.9), z(120)], transA=trans, alpha=0.75, atol=1, const=(1, 2, 3, 4, 5, 6, 7, 8), **m)
    case("qgemm_plain", "QGemm", [u8("a", 4, 6), s(0.05), z(100), i8("b", 6, 5), s(0.03), np.array(3, np.int8)], const=(1, 2, 3, 4, 5), **m)
    for bits in (2, 4, 8):
        for zeros in ("", "packed", "float") if bits < 8 else ("", "packed"):
            K, NN, bs = 40, 6, 16
            nb = (K + bs - 1) // bs
            blob = bs * bits // 8
            zp = None if not zeros else u8("nz", NN * ((nb * bits + 7) // 8)) if zeros == "packed" else f("nzf", NN, nb) + 7
            case(f"nbits{bits}_{zeros}", "MatMulNBits", [f("na", 2, 3, K), u8("nb", NN, nb, blob), f("ns", NN, nb, scale=0.1), zp], K=K, N=NN, bits=bits, block_size=bs, const=(1, 2, 3) if zeros else (1, 2), **m)
    case("nbits_flat_bias", "MatMulNBits", [f("na", 3, 32), u8("nb", 6, 1, 16), f("ns", 6, scale=0.1), None, None, f("nbias", 6)], K=32, N=6, bits=4, block_size=32, const=(1, 2, 5), **m)
    case("nbits_vector", "MatMulNBits", [f("na", 1, 32), u8("nb", 6, 2, 8), f("ns", 12, scale=0.1), None, np.array([0, 1] * 16, np.int32)], K=32, N=6, bits=4, block_size=16, const=(1, 2, 4), **m)
    case("dq_matmul_wide", "DynamicQuantizeMatMul", [f("a3", 2, 4, 6), i8("b", 6, 5), (np.abs(f("bs", 5)) + 0.1) * 0.02, np.array([1, -2, 3, 0, 5], np.int8)], const=(1, 2, 3), atol=2e-2, **m)
    case("matmul_int_to_float_plain", "MatMulIntegerToFloat", [u8("a3", 2, 4, 6), i8("b", 6, 5), s(0.02), s(0.01)], **m)
    case("fused_matmul_batch_both", "FusedMatMul", [f("a", 3, 2, 4), f("b", 4, 2, 5)], transBatchA=1, transBatchB=1, alpha=-2.0, **m)
    for act in ("Relu", "Tanh", "Sigmoid", "HardSigmoid", "Clip", "LeakyRelu"):
        params = {"HardSigmoid": [0.3, 0.4], "Clip": [-0.5, 0.75], "LeakyRelu": [0.2]}.get(act)
        case(f"fused_conv_{act}", "FusedConv", [f("x4", 1, 3, 6, 6), f("w4", 4, 3, 3, 3), f("b4", 4)], kernel_shape=[3, 3], strides=[2, 2], activation=act, **({"activation_params": params} if params else {}), **m)
        extra = {} if not params else {"activation_alpha": params[0], **({"activation_beta": params[1]} if len(params) > 1 else {})}
        if act == "Clip":
            continue
        case(f"fused_gemm_{act}", "FusedGemm", [f("a", 3, 4), f("b", 5, 3), f("c", 4, 5)], activation=act, transA=1, transB=1, **extra, **m)
    case("inverse", "Inverse", [f("inv", 2, 3, 4, 4) + 3 * np.eye(4, dtype=np.float32)], rtol=1e-3, **m)
    case("inverse_pivot", "Inverse", [np.array([[0, 2, 0], [1, 0, 0], [0, 0, 4]], np.float32)], **m)
    case("inverse_f64", "Inverse", [rng("inv64").standard_normal((3, 3)) + 2 * np.eye(3)], **m)
    roi = np.array([[0.1, 0.2, 0.8, 0.9], [-0.2, 0.1, 0.6, 1.3], [0.7, 0.8, 0.2, 0.1]], np.float32)
    for mode in ("bilinear", "nearest"):
        case(f"crop_{mode}", "CropAndResize", [f("cr", 2, 3, 7, 6), roi, np.array([0, 1, 1], np.int32), np.array([4, 3], np.int32)], mode=mode, extrapolation_value=-1.5, const=(3,), **m)
        case(f"crop_one_{mode}", "CropAndResize", [f("cr", 2, 3, 7, 6), roi, np.array([0, 1, 1], np.int32), np.array([1, 1], np.int32)], mode=mode, const=(3,), **m)
    for metric in ("euclidean", "sqeuclidean"):
        case(f"cdist_{metric}", "CDist", [f("ca", 4, 3), f("cb", 5, 3)], metric=metric, rtol=1e-3, **m)
    case("ms_trilu", "Trilu", [f("tr", 3, 4, 5), np.array(1, np.int64)], upper=0, const=(1,), **m)
    case("ms_gathernd", "GatherND", [f("gn", 3, 4), ints("gni", 0, 3, 2, 1)], **m)
    case("qlinear_leaky", "QLinearLeakyRelu", [u8("a", 3, 4), s(0.05), np.array(100, np.uint8), s(0.06), np.array(80, np.uint8)], alpha=0.1, atol=1, const=(1, 2, 3, 4), **m)


def attention():
    m = dict(domain="com.microsoft")
    B, S, N, Hd = 2, 4, 2, 3
    E = N * Hd
    q, k, v = f("q", B, S, E), f("k", B, 5, E), f("v", B, 5, E)
    case("mha", "MultiHeadAttention", [q, k, v], num_heads=N, **m)
    case("mha_bias", "MultiHeadAttention", [q, k, v, f("bias", 3 * E)], num_heads=N, **m)
    case("mha_mask", "MultiHeadAttention", [q, k, v, None, np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)], num_heads=N, **m)
    case("mha_mask1d", "MultiHeadAttention", [q, k, v, None, np.array([3, 5], np.int32)], num_heads=N, **m)
    case("mha_extra", "MultiHeadAttention", [q, k, v, None, None, f("extra", 1, N, S, 5)], num_heads=N, scale=0.4, **m)
    case("mha_past", "MultiHeadAttention", [q, f("k4", B, S, E), f("v4", B, S, E), None, None, None, f("pk", B, N, 3, Hd), f("pv", B, N, 3, Hd)], 3, num_heads=N, unidirectional=1, **m)
    x, w, b = f("ax", B, S, 5), f("aw", 5, 3 * E, scale=0.4), f("ab", 3 * E)
    case("attn", "Attention", [x, w, b], num_heads=N, **m)
    case("attn_causal", "Attention", [x, w, b], num_heads=N, unidirectional=1, **m)
    case("attn_mask2d", "Attention", [x, w, b, np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.int32)], num_heads=N, **m)
    case("attn_mask1d", "Attention", [x, w, b, np.array([2, 4], np.int32)], num_heads=N, **m)
    qx, qw = ints("qax", 0, 255, B, S, 5, dtype=np.uint8), ints("qaw", -127, 127, 5, 3 * E, dtype=np.int8)
    s = lambda v: np.array(v, np.float32)
    case("qattn", "QAttention", [qx, qw, f("qab", 3 * E), s(0.02), s(0.01), None, np.array(120, np.uint8), np.array(3, np.int8)], num_heads=N, const=(1, 2, 3, 4, 6, 7), **m)
    case("qattn_mask", "QAttention", [qx, qw, f("qab", 3 * E), s(0.02), s(0.01), np.array([2, 4], np.int32), np.array(120, np.uint8), np.array(3, np.int8)], num_heads=N, const=(1, 2, 3, 4, 6, 7), **m)
    case("qattn_past", "QAttention", [qx, qw, f("qab", 3 * E), s(0.02), s(0.01), None, np.array(120, np.uint8), np.array(3, np.int8), f("past", 2, B, N, 3, Hd)], 2, num_heads=N, unidirectional=1, const=(1, 2, 3, 4, 6, 7), **m)
    case("attn_extra", "Attention", [x, w, b, None, None, f("extra", B, N, S, S)], num_heads=N, scale=0.3, **m)
    case("attn_mask3d", "Attention", [x, w, b, ints("am3", 0, 2, B, S, S, dtype=np.int32)], num_heads=N, **m)
    case("attn_mask_filter", "Attention", [x, w, b, np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.int32)], num_heads=N, mask_filter_value=-3.0, **m)
    case("attn_sizes", "Attention", [x, f("aws", 5, 2 * E + 8, scale=0.4), f("abs", 2 * E + 8)], num_heads=N, qkv_hidden_sizes=[E, E, 8], **m)
    case("mha_value_size", "MultiHeadAttention", [q, k, f("v8", B, 5, 8)], num_heads=N, **m)
    case("mha_mask3d", "MultiHeadAttention", [q, k, v, None, ints("mm3", 0, 2, B, S, 5, dtype=np.int32)], num_heads=N, **m)
    case("mha_causal", "MultiHeadAttention", [q, f("k4", B, S, E), f("v4", B, S, E)], num_heads=N, unidirectional=1, **m)
    case("mha_heads", "MultiHeadAttention", [q, f("kh", B, N, 5, Hd), f("vh", B, N, 5, Hd)], num_heads=N, **m)
    case("attn_past", "Attention", [x, w, b, None, f("past", 2, B, N, 3, Hd)], 2, num_heads=N, unidirectional=1, **m)
    D = 16
    for packed in (False, True):
        for rot in (0, 1):
            for past in (0, 3):
                name = f"gqa{'_packed' if packed else ''}{'_rot' if rot else ''}{'_past' if past else ''}"
                s = 1 if past else S
                H, G = 4, 2
                if packed:
                    qkv = [f(name, B, s, (H + 2 * G) * D), None, None]
                else:
                    qkv = [f(name, B, s, H * D), f(name + "k", B, s, G * D), f(name + "v", B, s, G * D)]
                pk = [f(name + "pk", B, G, past, D), f(name + "pv", B, G, past, D)]
                xs = qkv + pk + [np.full((B,), past + s - 1, np.int32), np.array(past + s, np.int32)]
                if rot:
                    ang = np.outer(np.arange(16), 1.0 / 10 ** np.arange(D // 2)).astype(np.float32)
                    xs += [np.cos(ang), np.sin(ang)]
                case(name, "GroupQueryAttention", xs, 3, num_heads=H, kv_num_heads=G, do_rotary=rot, **m)
    case("gqa_window", "GroupQueryAttention", [f("gw", B, 6, 64), f("gwk", B, 6, 32), f("gwv", B, 6, 32), f("e1", B, 2, 0, 16), f("e2", B, 2, 0, 16), np.full((B,), 5, np.int32), np.array(6, np.int32)], 3, num_heads=4, kv_num_heads=2, local_window_size=3, softcap=5.0, **m)
    cache = np.outer(np.arange(10), 1.0 / 10 ** np.arange(4)).astype(np.float32)
    for inter in (0, 1):
        case(f"rotary_ms_{inter}", "RotaryEmbedding", [f("rx", B, S, 16), np.array([[0, 1, 2, 3], [2, 3, 4, 5]], np.int64), np.cos(cache), np.sin(cache)], interleaved=inter, **m)
        case(f"rotary_ms_offset_{inter}", "RotaryEmbedding", [f("rx4", B, 2, S, 8), np.array([2], np.int64), np.cos(cache), np.sin(cache)], interleaved=inter, **m)


def ml():
    m = dict(domain="ai.onnx.ml")
    x = f("mlx", 6, 4)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        case(f"lin3_{post}", "LinearClassifier", [x], 2, coefficients=f("c", 12).tolist(), intercepts=f("i", 3).tolist(), classlabels_ints=[5, 7, 9], post_transform=post, **m)
        case(f"lin1_{post}", "LinearClassifier", [x], 2, coefficients=f("c", 4).tolist(), intercepts=[0.3], classlabels_ints=[5, 7], post_transform=post, **m)
        case(f"linreg_{post}", "LinearRegressor", [x], 1, coefficients=f("c", 8).tolist(), intercepts=f("i", 2).tolist(), targets=2, post_transform=post, **m)
    for norm in ("MAX", "L1", "L2"):
        case(f"normalizer_{norm}", "Normalizer", [x], norm=norm, **m)
    case("scaler", "Scaler", [x], offset=[0.1, 0.2, 0.3, 0.4], scale=[1.0, 2.0, 3.0, 4.0], **m)
    case("scaler_one", "Scaler", [x], offset=[0.5], scale=[2.0], **m)
    case("scaler_int", "Scaler", [ints("si", 0, 9, 6, 4)], offset=[0.5], scale=[2.0], **m)
    case("binarizer", "Binarizer", [x], threshold=0.2, **m)
    xn = x.copy(); xn[0, 1] = np.nan; xn[3, 2] = np.nan
    case("imputer", "Imputer", [xn], imputed_value_floats=[1.0, 2.0, 3.0, 4.0], replaced_value_float=float("nan"), **m)
    case("imputer_int", "Imputer", [np.array([[0, 1], [2, 0]], np.int64)], imputed_value_int64s=[7, 8], replaced_value_int64=0, **m)
    case("featvec", "FeatureVectorizer", [x, f("x2", 6, 3)], inputdimensions=[4, 3], **m)
    case("onehotenc", "OneHotEncoder", [ints("oh", 0, 5, 6)], cats_int64s=[1, 2, 4], zeros=1, **m)
    case("labelenc", "LabelEncoder", [ints("le", 0, 5, 6)], keys_int64s=[1, 2, 4], values_floats=[0.5, 1.5, 2.5], default_float=-3.0, **m)
    case("labelenc_f", "LabelEncoder", [np.array([1.0, 3.5, 2.5, 9.0], np.float32)], keys_floats=[1.0, 3.5, 2.5], values_int64s=[10, 20, 30], default_int64=-7, **m)
    for kernel, params in (("LINEAR", [0.5, 0.0, 3.0]), ("POLY", [0.5, 1.0, 3.0]), ("RBF", [0.4, 0.0, 0.0]), ("SIGMOID", [0.3, 0.1, 0.0])):
        case(f"svr_{kernel}", "SVMRegressor", [x], coefficients=f("svc", 5).tolist(), support_vectors=f("sv", 20).tolist(), n_supports=5, rho=[0.25], kernel_type=kernel, kernel_params=params, rtol=1e-3, **m)
        case(f"svc_{kernel}", "SVMClassifier", [x], 2, coefficients=f("svcc", 12).tolist(), support_vectors=f("sv", 24).tolist(), vectors_per_class=[2, 3, 1], rho=[0.25, -0.1, 0.3], kernel_type=kernel, kernel_params=params, classlabels_ints=[3, 4, 8], rtol=1e-3, **m)
        case(f"svc2_{kernel}", "SVMClassifier", [x], 2, coefficients=f("svcd", 5).tolist(), support_vectors=f("sv", 20).tolist(), vectors_per_class=[2, 3], rho=[0.05], kernel_type=kernel, kernel_params=params, classlabels_ints=[3, 4], rtol=1e-3, **m)
    pairs = dict(vectors_per_class=[2, 3, 1], rho=[0.25, -0.1, 0.3], kernel_type="RBF", kernel_params=[0.4, 0.0, 0.0], coefficients=f("svcc", 12).tolist(), support_vectors=f("sv", 24).tolist())
    case("svc_prob", "SVMClassifier", [x], 2, prob_a=[-1.2, -0.7, -2.0], prob_b=[0.1, -0.2, 0.05], classlabels_ints=[3, 4, 8], **pairs, **m)
    for post in ("LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        case(f"svc_{post}", "SVMClassifier", [x], 2, post_transform=post, classlabels_ints=[3, 4, 8], **pairs, **m)
        case(f"svc_prob_{post}", "SVMClassifier", [x], 2, post_transform=post, prob_a=[-1.2, -0.7, -2.0], prob_b=[0.1, -0.2, 0.05], classlabels_ints=[3, 4, 8], **pairs, **m)
        case(f"svc2_{post}", "SVMClassifier", [x], 2, post_transform=post, coefficients=f("svcd", 5).tolist(), support_vectors=f("sv", 20).tolist(), vectors_per_class=[2, 3], rho=[0.05], kernel_type="RBF", kernel_params=[0.4, 0.0, 0.0], classlabels_ints=[3, 4], **m)
        case(f"svc_linear_{post}", "SVMClassifier", [x], 2, post_transform=post, coefficients=f("svl", 12).tolist(), rho=[0.1], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 3.0], classlabels_ints=[3, 4, 8], **m)
    case("svc_linear", "SVMClassifier", [x], 2, coefficients=f("svl", 12).tolist(), rho=[0.1], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 3.0], classlabels_ints=[3, 4, 8], **m)
    case("svc_linear2", "SVMClassifier", [x], 2, coefficients=f("svl", 8).tolist(), rho=[0.1], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 3.0], classlabels_ints=[3, 4], **m)
    case("svr_linear", "SVMRegressor", [x], coefficients=f("svl", 4).tolist(), rho=[0.1], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 3.0], n_supports=0, **m)
    case("svr_one_class", "SVMRegressor", [x], coefficients=f("svc", 5).tolist(), support_vectors=f("sv", 20).tolist(), n_supports=5, rho=[-0.1], kernel_type="RBF", kernel_params=[0.4, 0.0, 0.0], one_class=1, **m)
    for name, t in (("f64", np.float64), ("i64", np.int64), ("i32", np.int32)):
        xt = (x * 3).astype(t)
        case(f"svc_{name}", "SVMClassifier", [xt], 2, classlabels_ints=[3, 4, 8], **pairs, **m)
        case(f"lin_{name}", "LinearClassifier", [xt], 2, coefficients=f("c", 12).tolist(), intercepts=f("i", 3).tolist(), classlabels_ints=[5, 7, 9], post_transform="SOFTMAX", **m)
        case(f"scaler_{name}", "Scaler", [xt], offset=[0.1, 0.2, 0.3, 0.4], scale=[1.0, 2.0, 3.0, 4.0], **m)
        case(f"normalizer_{name}", "Normalizer", [xt], norm="L2", **m)
        if name != "i32":
            case(f"onehotenc_{name}", "OneHotEncoder", [xt], cats_int64s=[-1, 0, 1, 2], zeros=1, **m)
        case(f"featvec_{name}", "FeatureVectorizer", [xt, xt[:, :2].copy()], inputdimensions=[4, 2], **m)
        case(f"afe_{name}", "ArrayFeatureExtractor", [xt, np.array([2, 0, 3], np.int64)], **m)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        case(f"lin2_{post}", "LinearClassifier", [x], 2, coefficients=f("c", 8).tolist(), intercepts=f("i", 2).tolist(), classlabels_ints=[5, 7], post_transform=post, **m)
    case("lin_probit", "LinearRegressor", [np.abs(x) * 0.1 + 0.1], 1, coefficients=[0.1, 0.3, 0.2, 0.3], intercepts=[0.2], post_transform="PROBIT", **m)
    case("linreg_vector", "LinearRegressor", [x[0].copy()], 1, coefficients=f("c", 4).tolist(), intercepts=[0.2], **m)
    case("normalizer_zero", "Normalizer", [np.array([[0, 0], [1, -3]], np.float32)], norm="L1", **m)
    case("normalizer_max", "Normalizer", [np.array([[0, 0], [-1, -3], [2, -5]], np.float32)], norm="MAX", **m)
    case("imputer_one", "Imputer", [xn], imputed_value_floats=[1.5], replaced_value_float=float("nan"), **m)
    case("afe_column", "ArrayFeatureExtractor", [f("af", 5), np.array([[2], [0], [4]], np.int64)], **m)
    case("afe_3d", "ArrayFeatureExtractor", [f("af3", 2, 3, 5), np.array([[2, 0]], np.int64)], **m)
    case("labelenc_ii", "LabelEncoder", [ints("le", 0, 5, 6)], keys_int64s=[1, 2, 4], values_int64s=[7, 8, 9], **m)
    trees(x, m)


def trees(x, m):
    def forest(prefix, classes, seed, modes, count=3):
        r = rng(seed)
        a = {k: [] for k in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true")}
        b = {k: [] for k in (f"{prefix}_treeids", f"{prefix}_nodeids", f"{prefix}_ids", f"{prefix}_weights")}
        for t in range(count):
            for n in range(7):
                leaf = n >= 3
                a["nodes_treeids"].append(t); a["nodes_nodeids"].append(n); a["nodes_featureids"].append(int(r.integers(0, 4)))
                a["nodes_modes"].append("LEAF" if leaf else modes[int(r.integers(0, len(modes)))]); a["nodes_values"].append(float(r.standard_normal() * 0.5))
                a["nodes_truenodeids"].append(0 if leaf else 2 * n + 1); a["nodes_falsenodeids"].append(0 if leaf else 2 * n + 2)
                a["nodes_missing_value_tracks_true"].append(int(r.integers(0, 2)))
                if leaf:
                    for c in classes:
                        b[f"{prefix}_treeids"].append(t); b[f"{prefix}_nodeids"].append(n); b[f"{prefix}_ids"].append(c)
                        b[f"{prefix}_weights"].append(float(r.uniform(0, 1) if "pos" in seed else r.standard_normal()))
        return {**a, **b}
    le = ["BRANCH_LEQ"]
    mixed = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
    xn = x.copy(); xn[1, :] = np.nan
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        case(f"tree3_{post}", "TreeEnsembleClassifier", [x], 2, classlabels_int64s=[2, 5, 6], post_transform=post, **forest("class", [0, 1, 2], f"t3{post}", le), **m)
        case(f"tree1_{post}", "TreeEnsembleClassifier", [x], 2, classlabels_int64s=[2, 5], post_transform=post, **forest("class", [0], f"t1{post}", le), **m)
        case(f"tree1pos_{post}", "TreeEnsembleClassifier", [x], 2, classlabels_int64s=[2, 5], post_transform=post, **forest("class", [0], f"t1pos{post}", le, 1), **m)
    case("tree_base", "TreeEnsembleClassifier", [x], 2, classlabels_int64s=[2, 5, 6], base_values=[0.1, 0.5, -0.2], **forest("class", [0, 1, 2], "tb", le), **m)
    case("tree1_base", "TreeEnsembleClassifier", [x], 2, classlabels_int64s=[2, 5], base_values=[0.3], post_transform="LOGISTIC", **forest("class", [0], "t1b", le), **m)
    case("tree_mixed", "TreeEnsembleClassifier", [xn], 2, classlabels_int64s=[2, 5, 6], **forest("class", [0, 1, 2], "tm", mixed), **m)
    for agg in ("SUM", "AVERAGE", "MIN", "MAX"):
        case(f"treereg_{agg}", "TreeEnsembleRegressor", [x], n_targets=2, aggregate_function=agg, base_values=[0.5, -0.5], **forest("target", [0, 1], f"tr{agg}", mixed), **m)


def older():
    x4 = f("o", 1, 2, 4, 4)
    for mode in ("nearest", "linear"):
        case(f"upsample9_{mode}", "Upsample", [x4, np.array([1, 1, 2, 3], np.float32)], mode=mode, opset=9, const=(1,))
        case(f"upsample7_{mode}", "Upsample", [x4], mode=mode, scales=[1.0, 1.0, 2.0, 1.5], opset=8)
        case(f"resize10_{mode}", "Resize", [x4, np.array([1, 1, 0.5, 0.5], np.float32)], mode=mode, opset=10, const=(1,))
        case(f"resize10_up_{mode}", "Resize", [x4, np.array([1, 1, 1.7, 2], np.float32)], mode=mode, opset=10, const=(1,))
    e = np.array([], np.float32)
    for ct in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn"):
        for nm in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            for k, sc in enumerate(([1, 1, 2, 3], [1, 1, 0.5, 1.5], [1, 1, 1 / 3, 1])):
                case(f"resize_{ct}_{nm}_{k}", "Resize", [f("rz", 1, 2, 6, 4), e, np.array(sc, np.float32)], mode="nearest", coordinate_transformation_mode=ct, nearest_mode=nm, opset=11, const=(1, 2))
        if ct != "tf_half_pixel_for_nn":
            case(f"resize_linear_{ct}", "Resize", [f("rz", 1, 2, 6, 4), e, np.array([1, 1, 1 / 3, 2], np.float32)], mode="linear", coordinate_transformation_mode=ct, opset=11, const=(1, 2))
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for axis in (0, 1, 2, -1):
            if axis >= 0 or op:
                case(f"{op.lower()}11_{axis}", op, [f("s", 2, 3, 4)], axis=axis, opset=11)
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"):
        x = np.abs(f("r", 2, 3, 4)) + 0.1
        case(f"{op.lower()}_axes", op, [x], axes=[0, -1], keepdims=0, opset=11)
        case(f"{op.lower()}_all", op, [x], keepdims=1, opset=11)
        if op not in ("ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceL1"):
            case(f"{op.lower()}_int", op, [ints("ri", 1, 5, 2, 3, 4, dtype=np.int32)], axes=[1], opset=11)
    case("slice1", "Slice", [f("sl", 5, 6)], starts=[1, -3], ends=[4, 100], axes=[0, 1], opset=9)
    case("pad2", "Pad", [f("p", 2, 3)], pads=[1, 0, 0, 2], value=1.5, opset=10)
    for mode in ("constant", "reflect", "edge"):
        case(f"pad_neg_{mode}", "Pad", [f("pn", 5, 6), np.array([2, -1, -1, 2], np.int64)], mode=mode, opset=13, const=(1,))
    case("split2", "Split", [f("sp", 2, 7)], 2, axis=1, split=[3, 4], opset=11)
    case("clip6", "Clip", [f("cl", 3, 4)], min=-0.5, max=0.5, opset=10)
    case("topk1", "TopK", [f("tk", 3, 9)], 2, k=4, axis=1, opset=9)
    case("topk_big", "TopK", [f("tkb", 4, 60), np.array([33], np.int64)], 2, axis=1, largest=0, opset=13)
    case("topk_ties", "TopK", [ints("tkt", 0, 4, 3, 20).astype(np.float32), np.array([11], np.int64)], 2, axis=1, opset=13)
    case("unique_axis1", "Unique", [ints("u", 0, 2, 3, 9).astype(np.float32)], 4, axis=1, opset=11)
    case("unique_flat", "Unique", [ints("uf", 0, 9, 4, 9)], 4, opset=11)
    case("unique_unsorted", "Unique", [ints("uu", 0, 9, 40).astype(np.float32)], 4, sorted=0, opset=11)
    case("nonzero", "NonZero", [ints("nz", 0, 2, 3, 4, 5).astype(np.float32)], opset=13)
    case("cumsum_rev_ex", "CumSum", [f("cs", 3, 4), np.array(1, np.int64)], reverse=1, exclusive=1, opset=14, const=(1,))
    case("lrn_even", "LRN", [f("lrn", 1, 7, 3, 3)], size=5, alpha=0.5, beta=0.6, bias=1.5, opset=13)
    case("mvn", "MeanVarianceNormalization", [f("mvn", 2, 3, 4, 4)], opset=13)
    case("instance", "InstanceNormalization", [f("in", 2, 3, 4, 4), f("ins", 3), f("inb", 3)], opset=13)
    case("bn9", "BatchNormalization", [f("bn", 2, 3, 4), f("bs", 3), f("bb", 3), f("bm", 3), np.abs(f("bv", 3)) + 0.1], opset=9, const=(1, 2, 3, 4))
    case("grid3d", "GridSample", [f("g3", 1, 2, 3, 4, 5), f("gg", 1, 2, 3, 4, 3, scale=0.7)], mode="linear", padding_mode="reflection", opset=20)
    case("convt_group", "ConvTranspose", [f("ct", 1, 4, 5, 5), f("cw", 4, 3, 3, 3)], group=2, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1], opset=11, const=(1,))
    case("nms", "NonMaxSuppression", [np.abs(f("nb", 1, 30, 4)), np.abs(f("ns", 1, 2, 30)), np.array([5], np.int64), np.array([0.3], np.float32), np.array([0.2], np.float32)], opset=11)
    case("det", "Det", [f("det", 3, 5, 5)], opset=11)
    case("einsum_many", "Einsum", [f("e1", 2, 3, 4), f("e2", 2, 4, 5), f("e3", 5, 2)], equation="bij,bjk,kb->bi", opset=12)
    # Less than one window: onnxruntime gives one output where less than a stride is missing.
    for op in ["MaxPool", "AveragePool", "LpPool"]:
        for size, k, s, pads in [(1, 2, 2, [0, 0, 0, 0]), (2, 3, 2, [0, 0, 0, 0]), (2, 5, 4, [0, 0, 0, 0]), (1, 4, 3, [1, 1, 0, 0]), (1, 4, 3, [0, 0, 1, 1])]:
            name = f"small_{op.lower()}_{size}_{k}_{pads[0]}{pads[2]}"
            case(name, op, [f(name, 1, 2, size, size + 3)], kernel_shape=[k, k], strides=[s, s], pads=pads)
    case("small_pool_count", "AveragePool", [f("spc", 1, 2, 1, 4)], kernel_shape=[4, 4], strides=[3, 3], pads=[0, 0, 1, 1], count_include_pad=1, opset=19)
    case("maxroipool", "MaxRoiPool", [f("mr", 2, 2, 8, 8), np.array([[0, 1, 1, 6, 5], [1, 0, 2, 3, 7]], np.float32)], pooled_shape=[2, 3], spatial_scale=1.0, opset=11)
    case("qlinearconv", "QLinearConv", [ints("qx", 0, 255, 1, 4, 5, 5, dtype=np.uint8), np.array(0.02, np.float32), np.array(128, np.uint8), ints("qw", -127, 127, 6, 2, 3, 3, dtype=np.int8), (np.abs(f("qs", 6)) + 0.01).astype(np.float32) * 0.01,
         np.zeros(6, np.int8), np.array(0.05, np.float32), np.array(120, np.uint8), ints("qb", -500, 500, 6, dtype=np.int32)], group=2, pads=[1, 1, 1, 1], opset=10, const=(1, 2, 3, 4, 5, 6, 7, 8), atol=1)


def graph(name, nodes, inputs, outputs, init=()):
    info = lambda n, t, s: h.make_tensor_value_info(n, t, s)
    return h.make_graph(nodes, name, [info(*i) for i in inputs], [info(*o) for o in outputs], list(init))


def whole(name, g, feeds):
    add(name, h.make_model(g, opset_imports=[h.make_opsetid("", 17)], ir_version=8), feeds, 1e-5, 1e-6, sorted({n.op_type for n in g.node}))


def control():
    F, I, B = T.FLOAT, T.INT64, T.BOOL
    N = h.make_node
    c = lambda n, v, t: nh.from_array(np.array(v, t), n)
    x = f("ctl", 3, 4)
    # Branches of different extents.
    then = graph("then", [N("Slice", ["x", "s0", "s2"], ["t"])], [], [("t", F, None)], [c("s0", [0], np.int64), c("s2", [2], np.int64)])
    other = graph("else", [N("Neg", ["x"], ["e"])], [], [("e", F, None)])
    g = graph("if", [N("If", ["b"], ["y"], then_branch=then, else_branch=other), N("ReduceSum", ["y"], ["z"], keepdims=0)], [("b", B, []), ("x", F, [3, 4])], [("y", F, None), ("z", F, None)])
    for flag in (True, False):
        whole(f"if_shapes_{flag}", g, {"b": np.array(flag), "x": x})
    # A loop that its condition ends, with a scan output and a carried value.
    body = graph("body", [
        N("Add", ["v", "x"], ["v2"]), N("ReduceSum", ["v2"], ["s"], keepdims=0), N("Less", ["s", "limit"], ["go"]), N("Identity", ["v2"], ["scan"]),
    ], [("i", I, []), ("go_in", B, []), ("v", F, [3, 4])], [("go", B, []), ("v2", F, [3, 4]), ("scan", F, [3, 4])])
    g = graph("loop", [N("Loop", ["m", "b", "v0"], ["v", "scans"], body=body)], [("m", I, []), ("b", B, []), ("x", F, [3, 4]), ("v0", F, [3, 4]), ("limit", F, [])], [("v", F, None), ("scans", F, None)])
    for m, limit in ((10, 40.0), (2, 1e9), (10, -1e9)):
        whole(f"loop_until_{m}_{int(limit)}", g, {"m": np.array(m), "b": np.array(True), "x": np.abs(x), "v0": x * 0, "limit": np.array(limit, np.float32)})
    # No condition: the number of iterations is known in the run, or at compile time.
    body = graph("body", [N("Identity", ["c_in"], ["c"]), N("Cast", ["i"], ["fi"], to=F), N("Mul", ["x", "fi"], ["scan"]), N("Add", ["v", "scan"], ["v2"])],
                 [("i", I, []), ("c_in", B, []), ("v", F, [3, 4])], [("c", B, []), ("v2", F, [3, 4]), ("scan", F, [3, 4])])
    g = graph("loop", [N("Loop", ["m", "", "v0"], ["v", "scans"], body=body)], [("m", I, []), ("x", F, [3, 4]), ("v0", F, [3, 4])], [("v", F, None), ("scans", F, None)])
    for m in (0, 1, 5):
        whole(f"loop_times_{m}", g, {"m": np.array(m), "x": x, "v0": x})
    # A carried value that grows, and two that change places.
    body = graph("body", [N("Identity", ["c_in"], ["c"]), N("Concat", ["a", "x"], ["a2"], axis=0), N("Identity", ["p"], ["q2"]), N("Add", ["q", "x"], ["p2"])],
                 [("i", I, []), ("c_in", B, []), ("a", F, ["A", 4]), ("p", F, [3, 4]), ("q", F, [3, 4])], [("c", B, []), ("a2", F, ["A2", 4]), ("p2", F, [3, 4]), ("q2", F, [3, 4])])
    g = graph("loop", [N("Loop", ["m", "", "x", "x", "v0"], ["a", "p", "q"], body=body)], [("m", I, []), ("x", F, [3, 4]), ("v0", F, [3, 4])], [("a", F, None), ("p", F, None), ("q", F, None)])
    for m in (0, 3):
        whole(f"loop_grows_{m}", g, {"m": np.array(m), "x": x, "v0": x * 2})
    # A scan in both directions, along axes other than the first, with a captured value.
    body = graph("body", [N("Add", ["s", "u"], ["s1"]), N("Mul", ["s1", "k"], ["s2"]), N("Sub", ["s2", "w"], ["o"])],
                 [("s", F, [3]), ("u", F, [3]), ("w", F, [3])], [("s2", F, [3]), ("o", F, [3])])
    g = graph("scan", [N("Scan", ["s0", "x", "y"], ["s", "o"], body=body, num_scan_inputs=2, scan_input_axes=[1, 0], scan_input_directions=[0, 1], scan_output_axes=[1], scan_output_directions=[1])],
              [("s0", F, [3]), ("x", F, [3, 4]), ("y", F, [4, 3]), ("k", F, [])], [("s", F, None), ("o", F, None)])
    whole("scan_axes", g, {"s0": x[:, 0].copy(), "x": x, "y": x.T.copy(), "k": np.array(0.5, np.float32)})


def main(folder):
    for group in (recurrent, contrib, attention, ml, older, control):
        group()
    index = []
    for name, model, feeds, results, rtol, atol, ops in cases:
        d = os.path.join(folder, name, "test_data_set_0")
        os.makedirs(d, exist_ok=True)
        onnx.save(model, os.path.join(folder, name, "model.onnx"))
        for k, (n, a) in enumerate(feeds.items()):
            open(os.path.join(d, f"input_{k}.pb"), "wb").write(nh.from_array(a, n).SerializeToString())
        for k, r in enumerate(results):
            open(os.path.join(d, f"output_{k}.pb"), "wb").write(nh.from_array(r, model.graph.output[k].name).SerializeToString())
        index.append({"name": name, "kind": "onnxruntime", "rtol": rtol, "atol": atol, "ops": ops, "opset": {}, "sets": 1, "inputs": ["tensor"] * len(feeds), "outputs": ["tensor"] * len(results)})
    json.dump(index, open(os.path.join(folder, "index.json"), "w"))
    print(len(index), "cases")


main(sys.argv[1])

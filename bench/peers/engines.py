# SPDX-License-Identifier: Apache-2.0
"""The peers. Each class makes what it needs once, in the cache folder, and then turns a padded
batch (ids, mask, types) into logits, or into hidden states for a model without a head. An engine
that cannot run a model raises NotRun with the reason, which becomes a row of the table.

    precision   the class it is compared in: a peer of a higher precision counts too
    hidden      True: the answer is the hidden states, also where the model has a head
    rest        seconds that its threads go on spinning after a run of more than one thread; the
                next engine is not started before
    keeps_amx   True: nothing turns its use of AMX off (--no-amx says so in its rows)
    note        what its rows say besides its name
    ways        the ways to run a mixed batch that differ for it; None: all
    fix(B, T)   where there is one: told before a shape is measured, for engines that compile for a
                shape
"""
import importlib.util
import shutil

import numpy as np

import inputs


class NotRun(Exception):
    """Why a peer has no figures."""


def need(package):
    if importlib.util.find_spec(package) is None:
        raise NotRun(f"{package} is not installed")


def onnx_file(job):
    """The model as ONNX, exported once."""
    import torch
    path = job.cache / job.name / "model.onnx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = tuple(torch.ones(2, 16, dtype=torch.long) for _ in range(3))
    axes = {0: "batch", 1: "length"}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(job.wrapped(), batch, str(path), input_names=names, output_names=["out"],
                      dynamic_axes={n: axes for n in names}, opset_version=17, dynamo=False)
    return path


class Engine:
    precision, hidden, rest, keeps_amx, note, ways = "f32", False, 0.05, False, "", None

    def fix(self, sequences, length):
        pass


class OnnxRuntime(Engine):

    def __init__(self, job, path=None):
        need("onnxruntime")
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = (
            job.threads, 1, 3)
        self.session = ort.InferenceSession(str(path or onnx_file(job)), options,
                                            providers=["CPUExecutionProvider"])
        self.names = [i.name for i in self.session.get_inputs()]

    def __call__(self, batch):
        given = dict(zip(("input_ids", "attention_mask", "token_type_ids"), batch))
        return self.session.run(None, {n: given[n] for n in self.names})[0]


def fused_file(job):
    """What ONNX Runtime's transformers optimiser makes of a BERT; it does not know SqueezeBERT."""
    need("onnxruntime")
    if job.model_type != "bert":
        raise NotRun("the optimiser refuses this architecture")
    path = job.cache / job.name / "fused.onnx"
    if not path.exists():
        from onnxruntime.transformers import optimizer
        config = job.config
        optimised = optimizer.optimize_model(str(onnx_file(job)), model_type="bert",
                                             num_heads=config.num_attention_heads,
                                             hidden_size=config.hidden_size, opt_level=0)
        optimised.save_model_to_file(str(path))
    return path


class OnnxRuntimeFused(OnnxRuntime):
    def __init__(self, job):
        super().__init__(job, fused_file(job))


class OnnxRuntimeDynamic(OnnxRuntime):
    precision, keeps_amx = "s8", True

    def __init__(self, job, source=onnx_file, name="dynamic.onnx"):
        need("onnxruntime")
        path = job.cache / job.name / name
        if not path.exists():
            import onnx
            from onnxruntime.quantization import QuantType, quantize_dynamic
            # the optimiser's own operators have no shape inference
            unknown_is_float = {"DefaultTensorType": onnx.TensorProto.FLOAT}
            quantize_dynamic(str(source(job)), str(path), weight_type=QuantType.QInt8,
                             extra_options=unknown_is_float)
        super().__init__(job, path)


class OnnxRuntimeFusedDynamic(OnnxRuntimeDynamic):
    def __init__(self, job):
        super().__init__(job, fused_file, "fused_dynamic.onnx")


class OpenVino(Engine):
    """Compiled for any shape, and once more for the shape at hand, which is a quarter faster on
    short inputs."""
    hint = "f32"

    def __init__(self, job):
        need("openvino")
        import openvino
        self.core, self.path, self.fixed = openvino.Core(), str(self.file(job)), None
        self.config = {"INFERENCE_NUM_THREADS": job.threads, "INFERENCE_PRECISION_HINT": self.hint,
                       "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        compiled = self.core.compile_model(self.path, "CPU", self.config)
        self.names = [i.any_name for i in compiled.inputs]
        self.request = compiled.create_infer_request()

    def file(self, job):
        return onnx_file(job)

    def fix(self, sequences, length):
        model = self.core.read_model(self.path)
        model.reshape({n: [sequences, length] for n in self.names})
        self.fixed = (sequences, length), self.core.compile_model(
            model, "CPU", self.config).create_infer_request()

    def __call__(self, batch):
        given = dict(zip(("input_ids", "attention_mask", "token_type_ids"), batch))
        request = self.fixed[1] if self.fixed and self.fixed[0] == batch[0].shape else self.request
        request.infer({n: given[n] for n in self.names})
        return request.get_output_tensor(0).data.copy()


class OpenVinoBf16(OpenVino):
    precision, hint = "bf16", "bf16"


class OpenVinoInt8(OpenVino):
    """NNCF, static, calibrated on sentences of the training splits of SST-2 and STS-B."""
    precision = "s8"

    def file(self, job):
        need("nncf")
        import nncf
        import openvino
        path = job.cache / job.name / "int8.xml"
        if not path.exists():
            samples = [dict(zip(("input_ids", "attention_mask", "token_type_ids"), batch))
                       for batch in inputs.calibration(job.tokenizer, job.options.data)]
            model = openvino.Core().read_model(str(onnx_file(job)))
            names = {i.any_name for i in model.inputs}
            data = nncf.Dataset(samples, lambda sample: {n: sample[n] for n in names})
            openvino.save_model(nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER,
                                              subset_size=len(samples)), str(path),
                                compress_to_fp16=False)
        return path


class OpenVinoInt8Bf16(OpenVinoInt8):
    hint = "bf16"


class Torch(Engine):

    def __init__(self, job):
        import torch
        torch.set_num_threads(job.threads)
        self.torch, self.model = torch, self.change(torch, job.wrapped())

    def change(self, torch, model):
        return model

    def __call__(self, batch):
        with self.torch.inference_mode():
            return self.model(*(self.torch.from_numpy(np.ascontiguousarray(part))
                                for part in batch)).float().numpy()


class TorchBf16(Torch):
    precision = "bf16"

    def change(self, torch, model):
        return model.bfloat16()


class TorchDynamic(Torch):
    precision = "s8"

    def change(self, torch, model):
        linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
        if len(linears) < 8:
            raise NotRun("dynamic quantisation knows Linear alone, this model is made of "
                         "convolutions")
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def save_encoder(job, folder):
    """The encoder with its vocabulary, as Transformers writes them."""
    encoder = job.encoder()
    # Transformers 5 dropped it, CTranslate2's converter asks for it
    encoder.config.position_embedding_type = "absolute"
    encoder.save_pretrained(folder)
    job.tokenizer.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')


class CTranslate2(Engine):
    """Only encoders of BERT; its answer is the hidden states of the encoder, without the head. Its
    threads spin for 0.2 s."""
    compute, hidden, rest = "float32", True, 0.25

    def __init__(self, job):
        need("ctranslate2")
        if job.model_type != "bert":
            raise NotRun("no converter for this architecture")
        import ctranslate2
        path = job.cache / job.name / "ctranslate2"
        if not path.exists():
            source = job.cache / job.name / "hf_encoder"
            save_encoder(job, source)
            ctranslate2.converters.TransformersConverter(str(source)).convert(str(path))
            shutil.rmtree(source)
        self.library = ctranslate2
        self.encoder = ctranslate2.Encoder(str(path), device="cpu", compute_type=self.compute,
                                           inter_threads=1, intra_threads=job.threads)

    def __call__(self, batch):
        ids, mask, _ = batch
        lengths = mask.sum(1).astype(np.int32)
        storage = self.library.StorageView.from_array
        out = self.encoder.forward_batch(storage(ids.astype(np.int32)), storage(lengths))
        return np.array(out.last_hidden_state)


class CTranslate2Int8(CTranslate2):
    precision, compute = "s8", "int8"


class TextEmbeddingsInference(Engine):
    def __init__(self, job):
        raise NotRun("a server that takes text over HTTP; no package holds it, and it takes no ids")


PEERS = {
    "ONNX Runtime f32": OnnxRuntime, "ONNX Runtime f32, fused": OnnxRuntimeFused,
    "ONNX Runtime dynamic int8": OnnxRuntimeDynamic,
    "ONNX Runtime dynamic int8, fused": OnnxRuntimeFusedDynamic, "OpenVINO f32": OpenVino,
    "OpenVINO bf16": OpenVinoBf16,
    "OpenVINO int8, f32 hint": OpenVinoInt8, "OpenVINO int8, bf16 hint": OpenVinoInt8Bf16,
    "PyTorch f32": Torch, "PyTorch bf16": TorchBf16,
    "PyTorch dynamic int8": TorchDynamic, "CTranslate2 f32": CTranslate2,
    "CTranslate2 int8": CTranslate2Int8,
    "text-embeddings-inference": TextEmbeddingsInference,
}

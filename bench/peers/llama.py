# SPDX-License-Identifier: Apache-2.0
"""llama.cpp as a peer: BERT encoders in its own file layout, run through its C interface on ids.
Its answer is hidden states. A batch is run one sequence at a time: together, its attention looks at
every pair of the batch's tokens.
"""
import ctypes
import subprocess
import sys

import numpy as np

from engines import Engine, NotRun, need

LINEARS = {"attention.self.query": "attn_q", "attention.self.key": "attn_k",
           "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
           "intermediate.dense": "ffn_up", "output.dense": "ffn_down"}
NORMS = {"attention.output.LayerNorm": "attn_output_norm", "output.LayerNorm": "layer_output_norm"}


def describe(writer, config, vocabulary):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    # its converter writes a word's first piece with a leading U+2581 and continuations without "##"
    writer.add_token_list([p[2:] if p.startswith("##") else p if p.startswith("[")
                           and p.endswith("]") else "\u2581" + p for p in vocabulary])
    writer.add_token_types([1] * len(vocabulary))
    writer.add_token_type_count(config.type_vocab_size)
    for name, piece in (("unknown", "[UNK]"), ("seperator", "[SEP]"), ("padding", "[PAD]"),
                        ("cls", "[CLS]"), ("bos", "[CLS]"), ("eos", "[SEP]"), ("mask", "[MASK]")):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", vocabulary.index(piece))


def write(job, path, kind):
    """Matrices as `kind` ("F16", "Q8_0"), the rest f32."""
    import gguf
    encoder = getattr(job.model, "bert", job.model)
    state = {name: np.ascontiguousarray(tensor.detach().float().numpy())
             for name, tensor in encoder.state_dict().items()}
    vocabulary = open(job.options.vocab, encoding="utf-8").read().splitlines()
    writer = gguf.GGUFWriter(str(path), "bert")
    describe(writer, job.config, vocabulary)
    quantised = gguf.GGMLQuantizationType[kind]

    def put(name, value, matrix=False):
        writer.add_tensor(name, gguf.quants.quantize(value, quantised) if matrix else value,
                          raw_dtype=quantised if matrix else None)

    put("token_embd.weight", state["embeddings.word_embeddings.weight"], True)
    put("position_embd.weight", state["embeddings.position_embeddings.weight"])
    put("token_types.weight", state["embeddings.token_type_embeddings.weight"])
    for part in ("weight", "bias"):
        put(f"token_embd_norm.{part}", state[f"embeddings.LayerNorm.{part}"])
        for i in range(job.config.num_hidden_layers):
            for theirs, name in (LINEARS | NORMS).items():
                put(f"blk.{i}.{name}.{part}", state[f"encoder.layer.{i}.{theirs}.{part}"],
                    part == "weight" and theirs in LINEARS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Encoder:
    """A model file and a context for `most` tokens. extra: weights repacked for AMX and the
    like."""

    def __init__(self, path, threads, most, extra):
        import llama_cpp
        self.lib = llama_cpp
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, None)
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_default_params()
        model.use_extra_bufts = extra
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = most
        context.n_threads = context.n_threads_batch = threads
        context.embeddings, context.pooling_type = True, llama_cpp.LLAMA_POOLING_TYPE_NONE
        self.context = llama_cpp.llama_init_from_model(self.model, context) if self.model else None
        if not self.context:
            raise NotRun(f"llama.cpp does not open {path}")
        self.width = llama_cpp.llama_model_n_embd(self.model)
        self.batch = llama_cpp.llama_batch_init(most, 0, 1)

    def __call__(self, ids):
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, 1
            batch.seq_id[i][0] = 0
        if status := self.lib.llama_encode(self.context, batch):
            raise RuntimeError(f"llama_encode: {status}")
        out = self.lib.llama_get_embeddings(self.context)
        return np.ctypeslib.as_array(ctypes.cast(out, ctypes.POINTER(ctypes.c_float)),
                                     (len(ids), self.width)).copy()


def amx_faults(path):
    """llama.cpp built by gcc 12 dies in its AMX code (that compiler's ldtilecfg reads eight bytes
    of its operand): tried in another process."""
    return subprocess.run([sys.executable, __file__, str(path)], capture_output=True).returncode < 0


class LlamaCpp(Engine):
    precision, hidden, kind, ways = "bf16", True, "F16", ("", "one by one")

    def __init__(self, job):
        need("llama_cpp")
        need("gguf")
        if job.model_type != "bert":
            raise NotRun("llama.cpp does not know this architecture")
        path = job.cache / job.name / f"llama_{self.kind.lower()}.gguf"
        if not path.exists():
            partial = path.with_suffix(".partial")
            write(job, partial, self.kind)
            partial.rename(path)
        extra = not job.options.no_amx and not amx_faults(path)
        self.note = "" if extra or job.options.no_amx else "its AMX code faults, off"
        self.encoder = Encoder(path, job.threads, job.config.max_position_embeddings, extra)

    def __call__(self, batch):
        ids, mask, _ = batch
        out = np.zeros(ids.shape + (self.encoder.width,), np.float32)
        for row, n in enumerate(mask.sum(1)):
            out[row, :n] = self.encoder(ids[row, :n])
        return out


class LlamaCppQ8(LlamaCpp):
    precision, kind = "s8", "Q8_0"


PEERS = {"llama.cpp f16": LlamaCpp, "llama.cpp q8_0": LlamaCppQ8}

if __name__ == "__main__":
    Encoder(sys.argv[1], 1, 512, True)(range(1000, 1064))

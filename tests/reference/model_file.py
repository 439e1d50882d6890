#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Transformers model as a model file (doc/format.md), written by the gguf package and knowing
nothing of our importer: a mistake in that one cannot hide a mistake in the encoder. For
squeezebert, bert, distilbert and electra, with no head or one that classifies sequences.

    model_file.py FOLDER VOCAB.txt OUT.gguf [RANK]

With RANK the linears of the blocks, which must be of that rank, are written as factors.
"""
import sys

import gguf
import numpy as np

LINEARS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"]
BERT = dict(layer="encoder.layer.{}.",
            linears=["attention.self.query", "attention.self.key", "attention.self.value",
                     "attention.output.dense", "intermediate.dense", "output.dense"],
            norms=["attention.output.LayerNorm", "output.LayerNorm"])
NAMES = {
    "bert": BERT,
    "electra": BERT,
    "distilbert": dict(layer="transformer.layer.{}.",
                       linears=["attention.q_lin", "attention.k_lin", "attention.v_lin",
                                "attention.out_lin", "ffn.lin1", "ffn.lin2"],
                       norms=["sa_layer_norm", "output_layer_norm"]),
    "squeezebert": dict(layer="encoder.layers.{}.",
                        linears=["attention.query", "attention.key", "attention.value",
                                 "post_attention.conv1d", "intermediate.conv1d", "output.conv1d"],
                        norms=["post_attention.layernorm", "output.layernorm"]),
}
HEADS = {  # pool, activation, dense, output
    "bert": ("pooler", "identity", None, "classifier"),
    "squeezebert": ("pooler", "identity", None, "classifier"),
    "distilbert": ("cls", "relu", "pre_classifier", "classifier"),
    "electra": ("cls", "gelu", "classifier.dense", "classifier.out_proj"),
}


def encoder_numbers(config):
    """Blocks, heads, feed-forward width, epsilon of the embedding's norm and of the blocks'
    norms."""
    if config.model_type == "distilbert":
        return config.n_layers, config.n_heads, config.hidden_dim, 1e-12, 1e-12
    in_blocks = 1e-12 if config.model_type == "squeezebert" else config.layer_norm_eps
    return (config.num_hidden_layers, config.num_attention_heads, config.intermediate_size,
            config.layer_norm_eps, in_blocks)


def describe(writer, model, embedding, rank):
    config = model.config
    n_blocks, n_heads, ffn, epsilon, block_epsilon = encoder_numbers(config)
    width = config.dim if config.model_type == "distilbert" else config.hidden_size
    groups = [getattr(config, name + "_groups", 1)
              for name in ("q", "k", "v", "post_attention", "intermediate", "output")]
    writer.add_uint32("sqz.version", 1)
    writer.add_array("sqz.requires", ["groups"] * (max(groups) > 1) + ["low_rank"] * (rank > 0))
    u32s(writer, "sqz.width", width)
    u32s(writer, "sqz.blocks", n_blocks)
    u32s(writer, "sqz.vocabulary", embedding["word"].shape[0])
    u32s(writer, "sqz.max_positions", embedding["position"].shape[0])
    u32s(writer, "sqz.token_types",
         embedding["types"].shape[0] if embedding["types"] is not None else 0)
    u32s(writer, "sqz.embedding.width", embedding["word"].shape[1])
    writer.add_float64("sqz.embedding.norm_epsilon", epsilon)
    for key, value in (("heads", n_heads), ("head_width", width // n_heads), ("ffn_width", ffn)):
        u32s(writer, "sqz.block." + key, [value] * n_blocks)
    for name, n in zip(LINEARS, groups):
        u32s(writer, f"sqz.block.{name}.groups", [n] * n_blocks)
    for key in ("attn_norm_epsilon", "ffn_norm_epsilon"):
        f64s(writer, "sqz.block." + key, [block_epsilon] * n_blocks)
    writer.add_array("sqz.block.activation", ["gelu"] * n_blocks)


def u32s(writer, key, value):
    """The gguf package's add_array guesses i32 for whole numbers; the format wants u32."""
    if isinstance(value, list):
        writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY,
                             sub_type=gguf.GGUFValueType.UINT32)
    else:
        writer.add_uint32(key, value)


def f64s(writer, key, value):
    writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.FLOAT64)


def put_tokenizer(writer, vocabulary):
    writer.add_string("tokenizer.ggml.model", "bert")
    writer.add_array("tokenizer.ggml.tokens", vocabulary)
    special = {"unknown": "[UNK]", "cls": "[CLS]", "seperator": "[SEP]", "padding": "[PAD]",
               "mask": "[MASK]"}
    for key, piece in special.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", vocabulary.index(piece))
    for key in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"):
        writer.add_bool("sqz.tokenizer." + key, True)
    writer.add_string("sqz.tokenizer.prefix", "##")
    writer.add_uint32("sqz.tokenizer.max_word_chars", 100)
    u32s(writer, "sqz.tokenizer.added.ids", [vocabulary.index(piece) for piece in special.values()])
    writer.add_array("sqz.tokenizer.added.texts", list(special.values()))
    u32s(writer, "sqz.tokenizer.added.flags", [1] * len(special))
    writer.add_array("sqz.tokenizer.template.single", ["[CLS]:0", "$A:0", "[SEP]:0"])
    writer.add_array("sqz.tokenizer.template.pair",
                     ["[CLS]:0", "$A:0", "[SEP]:0", "$B:1", "[SEP]:1"])


def put_linear(writer, state, name, source, rank=0):
    weight = state[source + ".weight"]
    weight = weight.reshape(weight.shape[0], -1)
    if rank:
        u, s, v = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
        assert s[rank:].max() < 1e-4 * s[0], f"{name}: not of rank {rank}"
        root = np.sqrt(s[:rank])
        writer.add_tensor(name + ".a", (root[:, None] * v[:rank]).astype(np.float32))
        writer.add_tensor(name + ".b", (u[:, :rank] * root).astype(np.float32))
    else:
        writer.add_tensor(name + ".weight", weight)
    writer.add_tensor(name + ".bias", state[source + ".bias"])


def put_norm(writer, state, name, source):
    for part in ("weight", "bias"):
        writer.add_tensor(f"{name}.{part}", state[f"{source}.{part}"])


def put_encoder(writer, state, names, n_blocks, rank):
    put_norm(writer, state, "token_embd_norm", "embeddings.LayerNorm")
    if "embeddings_project.weight" in state:
        put_linear(writer, state, "embd_output", "embeddings_project")
    for i in range(n_blocks):
        layer = names["layer"].format(i)
        for ours, theirs in zip(LINEARS, names["linears"]):
            put_linear(writer, state, f"blk.{i}.{ours}", layer + theirs, rank)
        for ours, theirs in zip(("attn_output_norm", "layer_output_norm"), names["norms"]):
            put_norm(writer, state, f"blk.{i}.{ours}", layer + theirs)
    if "pooler.dense.weight" in state:
        put_linear(writer, state, "pooler", "pooler.dense")


def put_head(writer, state, kind):
    pool, activation, dense, output = HEADS[kind]
    if output + ".weight" not in state:
        return
    writer.add_string("sqz.head.kind", "sequence")
    writer.add_string("sqz.head.pool", pool)
    writer.add_string("sqz.head.activation", activation)
    writer.add_array("sqz.head.labels",
                     [f"LABEL_{k}" for k in range(state[output + ".weight"].shape[0])])
    writer.add_bool("sqz.head.labels_named", False)
    if dense:
        put_linear(writer, state, "head.dense", dense)
    put_linear(writer, state, "head.output", output)


def write(model, vocabulary, path, rank=0):
    """Write the Transformers model (f32) to `path`; `vocabulary` is the list of its pieces."""
    kind = model.config.model_type
    prefix = model.base_model_prefix + "."
    state = {name.removeprefix(prefix): np.ascontiguousarray(tensor.detach().float().numpy())
             for name, tensor in model.state_dict().items()}
    embedding = {"word": state["embeddings.word_embeddings.weight"],
                 "position": state["embeddings.position_embeddings.weight"],
                 "types": state.get("embeddings.token_type_embeddings.weight")}
    writer = gguf.GGUFWriter(str(path), "sqz-encoder")
    writer.add_custom_alignment(64)
    describe(writer, model, embedding, rank)
    put_tokenizer(writer, vocabulary)
    for ours, tensor in (("token_embd", embedding["word"]),
                         ("position_embd", embedding["position"]),
                         ("token_types", embedding["types"])):
        if tensor is not None:
            writer.add_tensor(ours + ".weight", tensor)
    put_encoder(writer, state, NAMES[kind], encoder_numbers(model.config)[0], rank)
    put_head(writer, state, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_vocabulary(path):
    return open(path, encoding="utf-8").read().splitlines()


if __name__ == "__main__":
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    has_head = any("SequenceClassification" in name
                   for name in AutoConfig.from_pretrained(sys.argv[1]).architectures or [])
    loader = AutoModelForSequenceClassification if has_head else AutoModel
    write(loader.from_pretrained(sys.argv[1]), read_vocabulary(sys.argv[2]), sys.argv[3],
          int(sys.argv[4]) if len(sys.argv) > 4 else 0)

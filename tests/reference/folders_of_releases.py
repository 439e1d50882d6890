# SPDX-License-Identifier: Apache-2.0
"""Model folders as releases of Transformers wrote them: names of tensors, keys of config.json,
archives.

What each release wrote was read from its save_pretrained:

  2.1     config.json holds every attribute, but neither model_type nor architectures; BERT's norms
          are called gamma and beta in the checkpoints of that time; every BERT has a pooler
  2.8     the same with model_type, architectures, _num_labels and the settings of generation
  3.5     config.json holds what differs from the defaults of the base class; position_ids are saved
  4.10    transformers_version, torch_dtype, problem_type; position_ids still; poolers only where
          they are read
  4.40    no buffers; in safetensors a tied table is saved once, under one of its names
  5       this release's own save_pretrained

folders_of_tokenizers.py writes the tokenizer's files, folders_of_sentences.py what
    Sentence-Transformers adds.
"""
import json

import torch
import transformers
from safetensors.torch import save_file

RELEASES = ["2.1", "2.8", "3.5", "4.10", "4.40", "5"]
CLASSES = {"bert": "Bert", "distilbert": "DistilBert", "electra": "Electra",
           "squeezebert": "SqueezeBert"}
HEADS = {
    "none": "Model", "single": "ForSequenceClassification", "multi": "ForSequenceClassification",
    "regression": "ForSequenceClassification", "token": "ForTokenClassification",
    "question": "ForQuestionAnswering", "masked-lm": "ForMaskedLM", "choice": "ForMultipleChoice",
    "pre-training": "ForPreTraining", "next-sentence": "ForNextSentencePrediction"}
LABELS = {"single": ["negatív", "neutral", "positive"], "multi": ["sport", "music", "art", "other"],
          "regression": ["score"], "token": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}
PROBLEMS = {"single": "single_label_classification", "multi": "multi_label_classification",
            "regression": "regression"}
WIDTH, HEADS_OF_A_BLOCK, INNER, BLOCKS, POSITIONS, NARROW = 48, 4, 96, 2, 64, 20
SHARD = 40_000  # bytes; a tiny model makes a few of them


def class_of(kind, head):
    return getattr(transformers, CLASSES[kind] + HEADS[head], None)


def config_of(kind, head, vocabulary, pad):
    if kind == "distilbert":
        sizes = dict(dim=WIDTH, n_heads=HEADS_OF_A_BLOCK, hidden_dim=INNER, n_layers=BLOCKS)
    else:
        sizes = dict(hidden_size=WIDTH, num_attention_heads=HEADS_OF_A_BLOCK,
                     intermediate_size=INNER,
                     num_hidden_layers=BLOCKS)
    if kind == "electra":
        sizes |= dict(embedding_size=NARROW)
    if kind == "squeezebert":
        sizes |= dict(embedding_size=WIDTH, q_groups=4, k_groups=2, v_groups=3,
                      post_attention_groups=1,
                      intermediate_groups=6, output_groups=4)
    labels = LABELS.get(head)
    if labels:
        sizes |= dict(id2label=dict(enumerate(labels)),
                      label2id={label: i for i, label in enumerate(labels)})
    if head in PROBLEMS:
        sizes |= dict(problem_type=PROBLEMS[head])
    return transformers.AutoConfig.for_model(kind, vocab_size=vocabulary,
                                             max_position_embeddings=POSITIONS,
                                             pad_token_id=pad, **sizes)


@torch.no_grad()
def random_model(kind, head, vocabulary, pad, seed):
    """Weights N(0, 0.06 sqrt(768 / fan in)): what flows through is then as large as in a model of
    real width with N(0, 0.06), and an activation works where it bends. Biases and norms are random
    too."""
    torch.manual_seed(seed)
    model = class_of(kind, head)(config_of(kind, head, vocabulary, pad)).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            fan_in = 768 if "embeddings." in name else parameter[0].numel()
            parameter.normal_(0, 0.06 * (768 / fan_in) ** 0.5)
        else:
            gain = "norm" in name.lower() and name.endswith("weight")
            parameter.normal_(1 if gain else 0, 0.1)
    return model


# ---- tensors ----

def cast(tensors, dtype):
    """In this type; what shared its numbers before shares them again."""
    done = {}
    return {name: done.setdefault(tensor.data_ptr(), tensor.detach().to(dtype).clone())
            for name, tensor in tensors.items()}


def tensors_of(model, release, dtype):
    tensors = cast(model.state_dict(), dtype)
    kind = model.config.model_type
    prefix = "" if type(model).__name__.endswith("Model") else model.base_model_prefix + "."
    if kind == "bert" and release in ("2.1", "2.8",
                                      "3.5") and prefix + "pooler.dense.weight" not in tensors:
        tensors[prefix + "pooler.dense.weight"] = torch.randn(WIDTH, WIDTH).to(dtype)
        tensors[prefix + "pooler.dense.bias"] = torch.randn(WIDTH).to(dtype)
    if release in ("3.5", "4.10"):
        tensors[prefix + "embeddings.position_ids"] = torch.arange(POSITIONS).expand((1, -1))
    if release in ("2.1", "2.8"):
        tensors.pop("cls.predictions.decoder.bias", None)
    if release == "2.1" and kind == "bert":
        tensors = {name.replace("LayerNorm.weight",
                                "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"):
                   tensor for name, tensor in tensors.items()}
    return tensors


def without_twins(tensors, keep_last):
    """Safetensors holds no tensor twice; which of its names stayed depended on the program."""
    chosen = {}
    for name, tensor in tensors.items():
        if keep_last or tensor.data_ptr() not in chosen:
            chosen[tensor.data_ptr()] = name
    return {name: tensors[name].contiguous() for name in chosen.values()}


def in_shards(tensors):
    shards, bytes_left = [{}], SHARD
    for name, tensor in tensors.items():
        if tensor.nbytes > bytes_left and shards[-1]:
            shards.append({})
            bytes_left = SHARD
        shards[-1][name] = tensor
        bytes_left -= tensor.nbytes
    return shards


def write_tensors(folder, tensors, weights, keep_last):
    """weights: safetensors, zip, legacy, safetensors-shards or zip-shards."""
    safe = weights.startswith("safetensors")
    stem, end = ("model", "safetensors") if safe else ("pytorch_model", "bin")

    def write(part, name):
        if safe:
            save_file(part, folder / name, metadata={"format": "pt"})
        else:
            torch.save(part, folder / name, _use_new_zipfile_serialization=weights != "legacy")

    if safe:
        tensors = without_twins(tensors, keep_last)
    if not weights.endswith("shards"):
        return write(tensors, f"{stem}.{end}")
    shards, places = in_shards(tensors), {}
    for i, shard in enumerate(shards):
        name = f"{stem}-{i + 1:05}-of-{len(shards):05}.{end}"
        write(shard, name)
        places |= dict.fromkeys(shard, name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
             "weight_map": places}
    (folder / f"{stem}.{end}.index.json").write_text(
        json.dumps(index, indent=2, sort_keys=True) + "\n")


# ---- config.json ----

BASE_2_1 = dict(finetuning_task=None, is_decoder=False, output_attentions=False,
                output_hidden_states=False,
                output_past=True, pruned_heads={}, torchscript=False, use_bfloat16=False)
BASE_2_8 = BASE_2_1 | dict(
    bos_token_id=None, decoder_start_token_id=None, do_sample=False, early_stopping=False,
    eos_token_id=None, is_encoder_decoder=False, length_penalty=1.0, max_length=20,
    min_length=0, no_repeat_ngram_size=0, num_beams=1, num_return_sequences=1, prefix=None,
    repetition_penalty=1.0, task_specific_params=None, temperature=1.0, top_k=50, top_p=1.0)
OWN_KEYS = (
    "attention_probs_dropout_prob hidden_act hidden_dropout_prob hidden_size initializer_range "
    "intermediate_size layer_norm_eps max_position_embeddings num_attention_heads "
    "num_hidden_layers "
    "type_vocab_size vocab_size embedding_size q_groups k_groups v_groups post_attention_groups "
    "intermediate_groups output_groups activation attention_dropout dim dropout hidden_dim n_heads "
    "n_layers "
    "qa_dropout seq_classif_dropout sinusoidal_pos_embds").split()


def config_json(model, head, release, dtype):
    """What this release wrote, as a dictionary."""
    now = model.config.to_dict()
    kind, labels = now["model_type"], LABELS.get(head, [])
    written = {key: now[key] for key in OWN_KEYS if key in now}
    if kind == "distilbert":
        written["tie_weights_"] = True
    if release == "2.1":
        return written | BASE_2_1 | {"num_labels": len(labels) or 2}
    names = labels or ["LABEL_0", "LABEL_1"]
    named = {"id2label": {str(i): name for i, name in enumerate(names)},
             "label2id": {name: i for i, name in enumerate(names)}}
    written |= {"model_type": kind, "architectures": [type(model).__name__],
                "pad_token_id": now["pad_token_id"]}
    if release == "2.8":
        return written | BASE_2_8 | named | {"_num_labels": len(names)}
    if labels:
        written |= named
    if kind == "electra":
        written |= dict(summary_activation="gelu", summary_last_dropout=0.1, summary_type="first",
                        summary_use_proj=True)
    if kind == "bert":
        written |= dict(gradient_checkpointing=False)
    if release == "3.5":
        return written
    if kind in ("bert", "electra"):
        written |= dict(position_embedding_type="absolute", use_cache=True, classifier_dropout=None)
    if head in PROBLEMS:
        written["problem_type"] = PROBLEMS[head]
    version = {"4.10": "4.10.2", "4.40": "4.40.1"}[release]
    return written | {"_name_or_path": "someone/an-ancestor", "transformers_version": version,
                      "torch_dtype": str(dtype).removeprefix("torch.")}


def write_model(folder, model, head, release, weights, dtype, keep_last):
    """config.json and the weights."""
    if release == "5" and weights.startswith("safetensors"):
        size = SHARD if weights.endswith("shards") else "5GB"
        return model.to(dtype).save_pretrained(folder, max_shard_size=size)
    if release == "5":
        model.config.architectures = [type(model).__name__]
        model.config.dtype = dtype
        model.config.save_pretrained(folder)
    else:
        config = config_json(model, head, release, dtype)
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_tensors(folder, tensors_of(model, release, dtype), weights, keep_last)

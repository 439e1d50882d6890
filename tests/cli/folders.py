#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Imports of folders as people have them: folders.py PROGRAM WORK. Every check is a function whose
name is its claim; what fails is printed.

A folder is made by make_folder.py, changed in one thing, imported, and its tensors and metadata are
compared with those of the plain folder.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

import same_model

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM, WORK = sys.argv[1], sys.argv[2]
failures = 0
claims = []


class Failure(Exception):
    pass


def plain(name):
    """The folder of make_folder.py for a class, made once."""
    path = os.path.join(WORK, "plain", name)
    if not os.path.exists(path):
        subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, "make_folder.py"), path, name], check=True
        )
    return path


def folder(name, at="folder"):
    path = os.path.join(WORK, at)
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(plain(name), path)
    return path


def change_config(path, change, file="config.json"):
    path = os.path.join(path, file)
    with open(path) as f:
        config = json.load(f)
    config = change(config) or config
    with open(path, "w") as f:
        json.dump(config, f)


def read_tensors(path):
    data = open(os.path.join(path, "model.safetensors"), "rb").read()
    n = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + n])
    return {
        k: (
            v["dtype"],
            v["shape"],
            data[8 + n + v["data_offsets"][0] : 8 + n + v["data_offsets"][1]],
        )
        for k, v in header.items()
    }


def write_tensors(path, tensors, name="model.safetensors"):
    header, data = {}, b""
    for key, (dtype, shape, block) in tensors.items():
        header[key] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(block)],
        }
        data += block
    text = json.dumps(header).encode()
    with open(os.path.join(path, name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def change_tensors(path, change):
    tensors = read_tensors(path)
    write_tensors(path, change(tensors) or tensors)


def rename(path, how):
    change_tensors(path, lambda tensors: {how(key): value for key, value in tensors.items()})


def run(path, *options):
    output = os.path.join(WORK, "out.gguf")
    if os.path.exists(output):
        os.remove(output)
    done = subprocess.run(
        [PROGRAM, "import", path, "-o", output, *options], capture_output=True, text=True
    )
    return done.returncode, done.stderr, output


def imported(path, *options, says=()):
    code, text, output = run(path, *options)
    if code != 0:
        raise Failure(f"exit {code}: {text}")
    for word in says:
        if word not in text:
            raise Failure(f"'{word}' is not in: {text}")
    return same_model.read(output)


def quiet(path, *options):
    code, text, output = run(path, *options)
    if code != 0 or len(text.splitlines()) != 1:
        raise Failure(f"exit {code}, more than 'wrote': {text}")
    return same_model.read(output)


def refused(path, *words, options=(), code=3):
    got, text, output = run(path, *options)
    if got != code or os.path.exists(output) or len(text.splitlines()) > 2:
        raise Failure(f"exit {got} ({code} expected), output {os.path.exists(output)}: {text}")
    for word in words:
        if word not in text:
            raise Failure(f"'{word}' is not in: {text}")


expected = {}


def same(name, got, but=()):
    """The tensors of the plain folder of this class came out."""
    if name not in expected:
        expected[name] = imported(plain(name))[1]
    wanted = {key: value for key, value in expected[name].items() if not key.startswith("verify.")}
    tensors = {key: value for key, value in got[1].items() if not key.startswith("verify.")}
    wrong = [
        key
        for key in sorted(wanted.keys() | tensors.keys())
        if key not in but and wanted.get(key) != tensors.get(key)
    ]
    if wrong:
        raise Failure(f"other tensors than those of {name}: {wrong[:5]}")


def equal(got, wanted):
    if got != wanted:
        raise Failure(f"{got!r}, {wanted!r} expected")


SEQUENCE, MASKED = "BertForSequenceClassification", "BertForMaskedLM"

# ---- names of tensors ----


@claims.append
def prefixes_may_be_there_or_not_before_encoder_and_head():
    ways = {
        "module everywhere": lambda k: "module." + k,
        "model everywhere": lambda k: "model." + k,
        "encoder bare": lambda k: k.removeprefix("bert."),
        "head under module": lambda k: k if k.startswith("bert.") else "module." + k,
        "encoder under module": lambda k: "module." + k if k.startswith("bert.") else k,
        "encoder of one's own name": lambda k: k.replace("bert.", "encoder.", 1),
        "two of one's own": lambda k: "net." + k.replace("bert.", "backbone.", 1),
        "sentence-transformers": lambda k: k.replace("bert.", "0.auto_model.", 1),
    }
    for name in (SEQUENCE, MASKED, "SqueezeBertForSequenceClassification"):
        for way, how in ways.items():
            path = folder(name)
            rename(
                path,
                (
                    (lambda k, how=how: how(k.replace("transformer.", "bert.", 1)))
                    if name.startswith("Squeeze") and "one's" in way
                    else how
                ),
            )
            try:
                same(name, imported(path) if name == MASKED else quiet(path))
            except Failure as failure:
                raise Failure(f"{name}, {way}: {failure}")


@claims.append
def norms_may_say_gamma_and_beta_anywhere():
    for name in (SEQUENCE, MASKED, "SqueezeBertForSequenceClassification"):
        path = folder(name)
        rename(path, lambda k: k.replace("orm.weight", "orm.gamma").replace("orm.bias", "orm.beta"))
        same(name, imported(path))


@claims.append
def the_table_of_words_may_stand_under_the_decoders_name():
    path = folder(MASKED)
    rename(path, lambda k: "cls.predictions.decoder.weight" if "word_embeddings" in k else k)
    same(
        MASKED,
        imported(path, says=["the table of words is read from 'cls.predictions.decoder.weight'"]),
    )
    change_config(path, lambda c: c.update(tie_word_embeddings=False))
    refused(
        path, "embeddings.word_embeddings.weight' is missing", "of 44 tensors, unused are 'bert."
    )


@claims.append
def a_decoder_of_other_numbers_is_not_tied():
    path = folder(MASKED)
    word = "bert.embeddings.word_embeddings.weight"
    change_tensors(path, lambda t: t.update({"cls.predictions.decoder.weight": t[word]}))
    same(MASKED, imported(path))
    dtype, shape, block = read_tensors(path)[word]
    change_tensors(
        path,
        lambda t: t.update(
            {"cls.predictions.decoder.weight": (dtype, shape, struct.pack("<f", 0.5) + block[4:])}
        ),
    )
    values, tensors = imported(path, says=["differs from the table of words"])
    equal((values["sqz.head.tied"], len(tensors["head.output.weight"][2])), (False, len(block)))


@claims.append
def what_the_model_does_not_use_may_be_of_any_type():
    path = folder(SEQUENCE)
    extra = {
        "loss.weight": ("F32", [2], bytes(8)),
        "quantised": ("F8_E4M3", [3], b"abc"),
        "none": ("F32", [0, 7], b""),
        "five": ("F16", [1, 1, 1, 1, 2], bytes(4)),
        "flags": ("BOOL", [2], b"\1\0"),
        "bert.embeddings.position_ids": ("I64", [1, 2], bytes(16)),
        "unsigned": ("U32", [], bytes(4)),
    }
    change_tensors(path, lambda t: {**extra, **t})
    same(
        SEQUENCE,
        imported(
            path, says=["not used: 6 tensors: five, flags, loss.weight, none, quantised, unsigned"]
        ),
    )
    refused(path, "6 tensors belong to no part of", "loss.weight", options=["--strict"])
    change_tensors(
        path, lambda t: t.update({"bert.pooler.dense.bias": ("F8_E4M3", [24], bytes(24))})
    )
    refused(path, "'bert.pooler.dense.bias' cannot be read: its type")


@claims.append
def a_missing_tensor_is_told_beside_those_that_are_there():
    path = folder(SEQUENCE)
    rename(
        path, lambda k: k.replace("layer.1.output.dense.weight", "layer.1.ffn.output.dense.weight")
    )
    refused(
        path,
        "the tensor 'bert.encoder.layer.1.output.dense.weight' is missing",
        "'bert.encoder.layer.1.ffn.output.dense.weight'",
    )


@claims.append
def of_several_encoders_the_usual_one_is_read_or_none():
    path = folder(SEQUENCE)
    change_tensors(path, lambda t: {**{"teacher." + k: v for k, v in t.items()}, **t})
    same(SEQUENCE, imported(path, says=["not used: 41 tensors: teacher.bert."]))
    change_tensors(
        path, lambda t: {k if k.startswith("teacher.") else "student." + k: v for k, v in t.items()}
    )
    refused(path, "several encoders", "student.bert.", "teacher.bert.")


@claims.append
def floats_of_every_size_are_read():
    path = folder(SEQUENCE)
    wide = lambda block: b"".join(struct.pack("<d", x) for (x,) in struct.iter_unpack("<f", block))
    change_tensors(
        path, lambda t: {k: ("F64", shape, wide(block)) for k, (_, shape, block) in t.items()}
    )
    same(SEQUENCE, quiet(path))


# ---- config.json ----


@claims.append
def absent_keys_have_the_defaults_of_the_class():
    path = folder(SEQUENCE)
    change_config(
        path,
        lambda c: [c.pop(k) for k in ("type_vocab_size", "hidden_act", "layer_norm_eps")] and None,
    )
    same(
        SEQUENCE,
        imported(path, says=["leaves out what the class of bert takes so: type_vocab_size = 2"]),
    )
    change_config(path, lambda c: c.pop("max_position_embeddings") and None)
    refused(path, "[40, 24] in 2 dimensions, [512, 24] expected")


@claims.append
def without_model_type_class_or_keys_tell():
    path = folder(SEQUENCE)
    change_config(path, lambda c: c.pop("model_type") and None)
    same(SEQUENCE, imported(path, says=["names no model_type: read as bert by its class"]))
    change_config(path, lambda c: c.pop("architectures") and None)
    got = imported(path, says=["read as bert by its keys", "names no architecture"])
    equal(got[0]["sqz.head.kind"], b"none")
    same(SEQUENCE, imported(path, "--head", "sequence"))
    change_config(path, lambda c: c.update(architectures=["RobertaModel"]))
    refused(path, "'model_type' is missing, its class is RobertaModel", "--model-type")
    same(SEQUENCE, imported(path, "--head", "sequence", "--model-type", "bert"))


@claims.append
def model_type_can_be_given():
    path = folder(SEQUENCE)
    change_config(path, lambda c: c.update(model_type="mybert"))
    refused(path, "model_type 'mybert' is not known")
    same(SEQUENCE, imported(path, "--model-type", "bert", says=["'mybert' is read as bert"]))
    refused(path, "'roberta' is none of", options=["--model-type", "roberta"], code=2)


@claims.append
def a_class_of_ones_own_suggests_its_head():
    path = folder(SEQUENCE)
    for name, says in (
        ("MyBertForSequenceClassification", "is read as BertForSequenceClassification"),
        ("BertForMultiLabelSequenceClassification", "multi_label_classification"),
    ):
        change_config(path, lambda c, name=name: c.update(architectures=[name]))
        same(SEQUENCE, imported(path, says=[says]))
    change_config(path, lambda c: c.update(architectures=["OwnForQuestionAnswering"]))
    equal(
        imported(path, says=["has no 'qa_outputs.weight': the encoder alone"])[0]["sqz.head.kind"],
        b"none",
    )
    for name in ("Ranker", "BertForNextSentencePrediction"):
        change_config(path, lambda c, name=name: c.update(architectures=[name]))
        equal(
            imported(
                path,
                says=[
                    name,
                    "the encoder alone is read",
                    "not used: 2 tensors: classifier.bias, classifier.weight",
                ],
            )[0]["sqz.head.kind"],
            b"none",
        )
    change_config(
        path, lambda c: c.update(architectures=["Ranker", "BertForSequenceClassification"])
    )
    same(
        SEQUENCE,
        imported(path, says=["several architectures: read as BertForSequenceClassification"]),
    )
    change_config(path, lambda c: c.update(architectures="BertForSequenceClassification"))
    same(SEQUENCE, quiet(path))


@claims.append
def the_head_can_be_chosen():
    path = folder(SEQUENCE)
    equal(imported(path, "--head", "none")[0]["sqz.head.kind"], b"none")
    equal(imported(path, "--head", "token")[0]["sqz.head.kind"], b"token")
    refused(path, "'bert.qa_outputs.weight' is missing", options=["--head", "question"])
    refused(
        path,
        "'bert.cls.predictions.transform.dense.weight' is missing",
        options=["--head", "masked-lm"],
    )
    refused(path, "--head is one of", options=["--head", "tail"], code=2)


@claims.append
def pre_training_checkpoints_give_what_they_have():
    path = folder(MASKED)
    change_config(path, lambda c: c.update(architectures=["BertForPreTraining"]))
    change_tensors(
        path,
        lambda t: t.update(
            {
                "cls.seq_relationship.weight": ("F32", [2, 24], bytes(192)),
                "cls.seq_relationship.bias": ("F32", [2], bytes(8)),
            }
        ),
    )
    same(MASKED, imported(path, says=["not used: 4 tensors"]))
    change_tensors(path, lambda t: {k: v for k, v in t.items() if not k.startswith("cls.pred")})
    equal(
        imported(path, says=["BertForPreTraining has no 'cls.predictions.transform.dense.weight'"])[
            0
        ]["sqz.head.kind"],
        b"none",
    )
    path = folder("BertModel")
    rename(path, lambda k: "electra." + k)
    change_config(
        path,
        lambda c: c.update(
            architectures=["ElectraForPreTraining"], model_type="electra", embedding_size=24
        ),
    )
    change_tensors(
        path,
        lambda t: {
            **{k: v for k, v in t.items() if "pooler" not in k},
            "discriminator_predictions.dense_prediction.bias": ("F32", [1], bytes(4)),
        },
    )
    got = imported(
        path,
        says=[
            "the head of ElectraForPreTraining is not run",
            "not used: 1 tensors: discriminator_predictions",
        ],
    )
    same("BertModel", got, but=("pooler.weight", "pooler.bias"))


@claims.append
def labels_come_in_every_form():
    path = folder(SEQUENCE)

    def labels(**keys):
        change_config(
            path,
            lambda c: {**{k: v for k, v in c.items() if k not in ("id2label", "label2id")}, **keys},
        )
        values = imported(path)[0]
        return values["sqz.head.labels"], values["sqz.head.labels_named"]

    equal(labels(id2label={"0": 3, "1": "x", "2": 1.5}), ([b"3", b"x", b"1.5"], True))
    equal(labels(id2label=["a", "b", "a"]), ([b"a", b"b", b"a"], True))
    equal(labels(label2id={"c": 2, "a": 0, "b": "1"}), ([b"a", b"b", b"c"], True))
    equal(labels(id2label={"0": "a", "2": "c"}), ([b"a", b"LABEL_1", b"c"], True))
    equal(labels(), ([b"LABEL_0", b"LABEL_1", b"LABEL_2"], False))
    equal(labels(id2label=None, num_labels=3), ([b"LABEL_0", b"LABEL_1", b"LABEL_2"], False))
    change_config(path, lambda c: c.update(id2label={"0": "a", "1": "b", "2": "c", "3": "d"}))
    refused(path, "a label for class 3, and the classifier has 3 classes")


@claims.append
def given_labels_stand_in_the_place_of_those_of_the_config():
    path = folder(SEQUENCE)
    values = imported(path, "--labels", "low, middle ,high")[0]
    equal(values["sqz.head.labels"], [b"low", b"middle", b"high"])
    equal(values["sqz.head.labels_named"], True)
    change_config(path, lambda c: {k: v for k, v in c.items() if "label" not in k})
    equal(quiet(path, "--labels", "a,b,c")[0]["sqz.head.labels"], [b"a", b"b", b"c"])
    for labels, words in (
        ("a,b", "2 labels are given, the classifier has 3 classes"),
        ("a,b,a", "labels 0 and 2 are both 'a'"),
        ("a,,b", "name 2 is empty"),
        ("a,b,\n", "label 2 is empty, or no UTF-8"),
    ):
        refused(path, words, options=("--labels", labels), code=2)
    refused(plain("BertModel"), "has no classes", options=("--labels", "a,b,c"), code=2)


@claims.append
def activations_go_by_all_their_names():
    path = folder(SEQUENCE)
    for name, ours in (
        ("gelu_python", b"gelu"),
        ("gelu_fast", b"gelu_tanh"),
        ("gelu_accurate", b"gelu_tanh"),
        ("gelu_python_tanh", b"gelu_tanh"),
        ("relu", b"relu"),
    ):
        change_config(path, lambda c, name=name: c.update(hidden_act=name))
        equal(quiet(path)[0]["sqz.block.activation"], [ours] * 2)


@claims.append
def a_cross_encoders_activation_decides_its_scores():
    subprocess.run(
        [
            sys.executable,
            "-B",
            os.path.join(HERE, "make_folder.py"),
            os.path.join(WORK, "plain", "one"),
            SEQUENCE,
            "one",
        ],
        check=True,
    )
    for key in (
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
    ):
        path = folder("one")
        change_config(path, lambda c, key=key: c.update(key))
        equal(
            imported(path, says=["by the activation 'Identity'"])[0]["sqz.head.problem"],
            b"regression",
        )
    path = folder(SEQUENCE)
    change_config(
        path,
        lambda c: c.update(
            sentence_transformers={"activation_fn": "torch.nn.modules.activation.Sigmoid"}
        ),
    )
    equal(imported(path)[0]["sqz.head.problem"], b"multi_label")


@claims.append
def a_saved_cross_encoders_own_file_decides_over_config_json():
    library, torch = "sentence_transformers.base.modules.", "torch.nn.modules."
    for name, activation, modules, problem in (
        ("one", "linear.Identity", True, b"regression"),
        ("one", "activation.Sigmoid", True, b"single_label"),
        (SEQUENCE, "activation.Sigmoid", True, b"multi_label"),
        (SEQUENCE, "activation.Softmax", True, b"single_label"),
        (SEQUENCE, "linear.Identity", True, b"regression"),
        (SEQUENCE, "linear.Identity", False, b"multi_label"),
    ):
        path = folder(name)
        change_config(path, lambda c: c.update(problem_type="multi_label_classification"))
        own = {"model_type": "CrossEncoder", "activation_fn": torch + activation}
        files = {"config_sentence_transformers.json": own}
        if modules:
            kind = library + "transformer.Transformer"
            files["modules.json"] = [{"idx": 0, "name": "0", "path": "", "type": kind}]
        for file, content in files.items():
            with open(os.path.join(path, file), "w") as f:
                json.dump(content, f)
        says = [activation[-7:]] if modules else []
        equal(imported(path, says=says)[0]["sqz.head.problem"], problem)


@claims.append
def what_would_change_a_number_is_refused_by_name():
    for key, value in (
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("quantization_config", {"load_in_8bit": True}),
        ("per_layer_config", {"0": {}}),
        ("is_encoder_decoder", True),
    ):
        path = folder(SEQUENCE)
        change_config(path, lambda c, key=key, value=value: c.update({key: value}))
        refused(path, key)


@claims.append
def keys_without_effect_are_skipped_and_unknown_ones_told_once():
    path = folder(SEQUENCE)
    change_config(
        path,
        lambda c: c.update(
            use_cache=False,
            chunk_size_feed_forward=0,
            pruned_heads={},
            classifier_dropout=None,
            gradient_checkpointing=True,
            torch_dtype="float32",
            top_k=50,
            directionality="bidi",
            position_embedding_type="absolute",
            is_decoder=False,
            quantization_config=None,
        ),
    )
    same(SEQUENCE, quiet(path))
    change_config(path, lambda c: c.update(rotary_dim=4, alibi=True))
    code, text, _ = run(path)
    equal(
        (code, text.splitlines()[0].split(": ", 1)[1]),
        (
            0,
            (
                "config.json: not read, as the bert of Transformers does not read it: rotary_dim,"
                " alibi"
            ),
        ),
    )


# ---- layouts ----


def cache(*revisions, main=None):
    root = os.path.join(WORK, "hub", "models--maker--small-model")
    shutil.rmtree(os.path.join(WORK, "hub"), ignore_errors=True)
    os.makedirs(os.path.join(root, "blobs"))
    os.makedirs(os.path.join(root, "snapshots"))
    for revision in revisions:
        source, snapshot = plain(SEQUENCE), os.path.join(root, "snapshots", revision)
        os.makedirs(snapshot)
        for name in os.listdir(source):
            shutil.copy(os.path.join(source, name), os.path.join(root, "blobs", name + ".blob"))
            os.symlink(
                os.path.join("..", "..", "blobs", name + ".blob"), os.path.join(snapshot, name)
            )
    if main:
        os.makedirs(os.path.join(root, "refs"))
        open(os.path.join(root, "refs", "main"), "w").write(main)
    return root


@claims.append
def a_cache_of_the_hub_stands_for_its_snapshot():
    for path in (
        cache("aa", main="aa"),
        cache("aa", "bb", main="bb\n"),
        cache("aa"),
        os.path.join(cache("aa"), "snapshots", "aa"),
    ):
        got = quiet(path)
        same(SEQUENCE, got)
        equal(got[0]["general.name"], b"maker/small-model")
    refused(cache("aa", "bb"), "holds 2 snapshots and no refs/main")
    refused(cache(), "0 snapshots", "download the model")
    refused(os.path.dirname(cache("aa")), "a cache of 1 models", "models--maker--small-model")


@claims.append
def a_transformer_may_have_a_folder_of_its_own():
    for inside, kind in (
        ("0_Transformer", "sentence_transformers.models.Transformer"),
        ("0_BERT", "sentence_transformers.models.BERT"),
        ("deep/er", "sentence_transformers.models.Transformer"),
    ):
        path = os.path.join(WORK, "sentence")
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(os.path.join(path, "1_Pooling"))
        shutil.copytree(plain("BertModel"), os.path.join(path, inside))
        json.dump(
            {
                "word_embedding_dimension": 24,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": False,
            },
            open(os.path.join(path, "1_Pooling", "config.json"), "w"),
        )
        modules = [
            {"idx": 0, "name": "0", "path": inside, "type": kind},
            {
                "idx": 1,
                "name": "1",
                "path": "1_Pooling",
                "type": "sentence_transformers.models.Pooling",
            },
        ]
        json.dump(
            modules if "BERT" not in kind else modules[:1],
            open(os.path.join(path, "modules.json"), "w"),
        )
        if "BERT" in kind:
            os.remove(os.path.join(path, "modules.json"))  # lost; the folder's name is enough
        got = imported(path)
        same("BertModel", got)
        if "BERT" not in kind:
            equal(got[0]["sqz.pool"], b"cls")
        if inside == "0_Transformer":
            same(
                "BertModel",
                imported(
                    os.path.join(path, inside),
                    says=["a part of a sentence-transformers folder", f"give {path} for"],
                ),
            )
        equal(got[0]["general.name"], b"sentence")
    modules[0]["path"] = "../plain/BertModel"
    json.dump(modules, open(os.path.join(path, "modules.json"), "w"))
    refused(path, "leaves the folder")
    modules[0]["path"] = "elsewhere"
    json.dump(modules, open(os.path.join(path, "modules.json"), "w"))
    refused(path, "'elsewhere', which is no folder")
    json.dump(
        [{"path": "", "type": "x.StaticEmbedding"}], open(os.path.join(path, "modules.json"), "w")
    )
    refused(path, "none of its modules is a Transformer, the first is 'StaticEmbedding'")


@claims.append
def a_file_stands_for_its_folder():
    path = folder(SEQUENCE)
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        same(SEQUENCE, quiet(os.path.join(path, name)))
    os.rename(os.path.join(path, "model.safetensors"), os.path.join(path, "model.best.safetensors"))
    refused(path, "holds neither model.safetensors", "'model.best.safetensors', give that file")
    same(SEQUENCE, quiet(os.path.join(path, "model.best.safetensors")))
    done = subprocess.run(
        [PROGRAM, "import", "model.best.safetensors", "-o", os.path.join(WORK, "out.gguf")],
        cwd=path,
        capture_output=True,
        text=True,
    )
    equal((done.returncode, done.stderr), (0, f"squeezebert: wrote {WORK}/out.gguf\n"))


@claims.append
def a_model_file_needs_no_import():
    path = os.path.join(WORK, "already.gguf")
    os.replace(run(plain(SEQUENCE))[2], path)
    refused(path, "is a model file already")
    open(path, "wb").write(b"GGUF" + bytes(100))
    refused(path, "is a GGUF file of another program")


@claims.append
def weights_of_other_kinds_are_told_by_name():
    for name, words in (
        ("model.onnx", "an ONNX model"),
        ("tf_model.h5", "TensorFlow's"),
        ("flax_model.msgpack", "Flax's"),
        ("bert_model.ckpt.index", "a checkpoint of TensorFlow 1"),
        ("adapter_model.safetensors", "an adapter without its model"),
        ("rust_model.ot", "rust-bert's"),
        ("openvino_model.xml", "OpenVINO"),
        ("model.tflite", "Lite"),
        ("epoch-3.pt", "'epoch-3.pt', give that file"),
        ("nothing.txt", "download the weights"),
    ):
        path = folder(SEQUENCE)
        os.remove(os.path.join(path, "model.safetensors"))
        open(os.path.join(path, name), "w").write("x")
        open(os.path.join(path, "training_args.bin"), "w").write("x")
        refused(path, "holds neither model.safetensors nor pytorch_model.bin", words)
        if name not in ("nothing.txt", "epoch-3.pt", "adapter_model.safetensors"):
            refused(os.path.join(path, name), words)
    path = folder(SEQUENCE)
    for text, words in (
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
        ("<!DOCTYPE html><html></html>", "a web page"),
        ("GGUF....", "a GGUF file"),
    ):
        open(os.path.join(path, "model.safetensors"), "w").write(text)
        refused(path, "model.safetensors", words)


@claims.append
def a_folder_without_a_configuration_says_where_one_is():
    path = folder(SEQUENCE)
    os.rename(os.path.join(path, "config.json"), os.path.join(path, "bert_config.json"))
    same(SEQUENCE, quiet(path))
    outer = os.path.join(WORK, "outer")
    for inner, words in (
        ("checkpoint-12", "the output of a trainer"),
        ("saved_model", "has one: give that folder"),
        ("weights", "config.json: cannot open"),
    ):
        shutil.rmtree(outer, ignore_errors=True)
        shutil.copytree(plain(SEQUENCE), os.path.join(outer, inner))
        refused(outer, words)
        same(SEQUENCE, quiet(os.path.join(outer, inner)))
    refused(os.path.join(WORK, "no-such-folder"), "cannot open")
    done = subprocess.run(
        [PROGRAM, "import", "maker/small", "-o", os.path.join(WORK, "out.gguf")],
        cwd=WORK,
        capture_output=True,
        text=True,
    )
    equal((done.returncode, "download it first" in done.stderr), (3, True))


# ---- where a model comes from ----


def name_of(path, *options, cwd=None):
    output = os.path.join(WORK, "out.gguf")
    done = subprocess.run(
        [PROGRAM, "import", path, "-o", output, *options], cwd=cwd, capture_output=True, text=True
    )
    if done.returncode:
        raise Failure(done.stderr)
    return same_model.read(output)[0]["general.name"].decode()


@claims.append
def the_name_is_the_models_own():
    path = folder(SEQUENCE, "some-folder")
    change_config(path, lambda c: c.update(_name_or_path="bert-base-uncased"))
    equal(name_of(path), "some-folder")
    equal(name_of(path + "//"), "some-folder")
    equal(name_of(".", cwd=path), "some-folder")
    equal(name_of("config.json", cwd=path), "some-folder")
    equal(name_of(path, "--name", "The Model"), "The Model")
    card = lambda text: open(os.path.join(path, "README.md"), "w", encoding="utf-8").write(text)
    for text, name in (
        (
            "---\nlicense: mit\n# no title\n---\n\nWords\n# **Ein schönes Modell** #\n# Other\n",
            "Ein schönes Modell",
        ),
        ("```\n# code\n```\n# Mine\n", "Mine"),
        ("# Model Card for Model ID\n# Later\n", "some-folder"),
        ("# SentenceTransformer based on x/y\n", "some-folder"),
        ("## Second\n", "some-folder"),
        ("# \0\1\n", "some-folder"),
    ):
        card(text)
        equal(name_of(path), name)
    open(os.path.join(path, "README.md"), "wb").write(b"# \xff\xfe latin\n")
    equal(name_of(path), "some-folder")


@claims.append
def licence_languages_and_base_models_come_from_the_card():
    path = folder(SEQUENCE, "carded")
    open(os.path.join(path, "README.md"), "w").write(
        '---\r\nlanguage:\r\n- en\r\n-  "no" # Norwegian\r\nlicense: apache-2.0\r\nlicense_link:'
        ' null\r\ntags: [a, \'b c\', ]\r\nbase_model:\r\n  - maker/large\r\n  -'
        ' alone\r\nmodel-index:\r\n- name: x\r\n---\r\n# T\r\n'
    )
    values = quiet(path)[0]
    got = {key: value for key, value in values.items() if key.startswith("general.")}
    equal(
        got,
        {
            "general.architecture": b"sqz-encoder",
            "general.alignment": 64,
            "general.name": b"T",
            "general.license": b"apache-2.0",
            "general.languages": [b"en", b"no"],
            "general.tags": [b"a", b"b c"],
            "general.base_model.count": 2,
            "general.base_model.0.name": b"large",
            "general.base_model.0.organization": b"maker",
            "general.base_model.0.repo_url": b"https://huggingface.co/maker/large",
            "general.base_model.1.name": b"alone",
            "general.base_model.1.repo_url": b"https://huggingface.co/alone",
        },
    )
    shutil.rmtree(os.path.join(WORK, "exported"), ignore_errors=True)
    model = run(path)[2]
    subprocess.run(
        [PROGRAM, "export", model, "-o", os.path.join(WORK, "exported")],
        check=True,
        capture_output=True,
    )
    again = {
        key: value
        for key, value in imported(os.path.join(WORK, "exported"))[0].items()
        if key.startswith("general.")
    }
    equal(again, got)


@claims.append
def the_files_of_weights_are_named_with_their_digests():
    path = folder(SEQUENCE)
    values = quiet(path)[0]
    digest = (
        hashlib.sha256(open(os.path.join(path, "model.safetensors"), "rb").read())
        .hexdigest()
        .encode()
    )
    equal(
        (values["sqz.source.files"], values["sqz.source.sha256"]),
        ([b"model.safetensors"], [digest]),
    )


for claim in claims:
    try:
        claim()
    except Failure as failure:
        print(f"FAILED: {claim.__name__.replace('_', ' ')}: {failure}")
        failures += 1
print(f"{len(claims)} claims, {failures} failed")
sys.exit(1 if failures else 0)

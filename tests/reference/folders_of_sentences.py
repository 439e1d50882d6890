# SPDX-License-Identifier: Apache-2.0
"""What Sentence-Transformers puts around a Transformers folder, as three of its releases wrote it.

  0.3   the model in 0_Transformer, pooling_mode_* of four kinds, the version in config.json of the
        root
  2.2   the model in the root, config_sentence_transformers.json, Normalize as a module of its own
  5.4   new names of modules, embedding_dimension and pooling_mode, prompts and a similarity, the
        length in the tokenizer's files
"""
import json

POOLING_KEYS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens",
                "max": "pooling_mode_max_tokens",
                "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens"}
PROMPTS = {"query": "the query: ", "passage": "a passage: "}
LENGTH = 24  # pieces, where these files name a length


def write(folder, name, value, **options):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value, **options))


def modules(root, normalize, new):
    names = [("Transformer", root),
             ("Pooling", "1_Pooling")] + [("Normalize", "2_Normalize")] * normalize
    places = {"Transformer": "base.modules.transformer", "Normalize": "base.modules.normalize",
              "Pooling": "sentence_transformer.modules.pooling"}
    return [{"idx": i, "name": str(i), "path": path,
             "type": f"sentence_transformers.{places[name] if new else 'models'}.{name}"}
            for i, (name, path) in enumerate(names)]


def write_sentence_files(folder, release, width, pooling, normalize, lower, default_prompt):
    """folder: the root; the model's own files go to model_folder(folder, release)."""
    new = release == "5.4"
    write(folder, "modules.json",
          modules("0_Transformer" if release == "0.3" else "", normalize, new), indent=2)
    old_pooling = {"word_embedding_dimension": width} | {key: kind == pooling
                                                         for kind, key in POOLING_KEYS.items()}
    write(folder, "1_Pooling/config.json", old_pooling if not new else
          {"embedding_dimension": width, "pooling_mode": pooling, "include_prompt": True}, indent=2)
    settings = {"max_seq_length": LENGTH, "do_lower_case": lower}
    if release == "0.3":
        write(folder, "config.json", {"__version__": "0.3.8"}, indent=2)
        write(folder, "0_Transformer/sentence_bert_config.json", settings, indent=2)
        return
    version = {"sentence_transformers": "2.2.2", "transformers": "4.28.0", "pytorch": "1.13.1"}
    if new:
        settings = {"transformer_task": "feature-extraction",
                    "module_output_name": "token_embeddings",
                    "modality_config": {"text": {"method": "forward",
                                                 "method_output_name": "last_hidden_state"}}}
        version = {"sentence_transformers": "5.4.1", "transformers": "5.6.0", "pytorch": "2.11.0"}
    prompts = {"prompts": PROMPTS, "default_prompt_name": default_prompt,
               "similarity_fn_name": "cosine"}
    write(folder, "sentence_bert_config.json", settings, indent=2)
    write(folder, "config_sentence_transformers.json", {"__version__": version} | (
        {"model_type": "SentenceTransformer"} | prompts if new else prompts if default_prompt
        else {}), indent=2)


def model_folder(folder, release):
    return folder / "0_Transformer" if release == "0.3" else folder

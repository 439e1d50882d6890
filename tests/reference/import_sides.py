# SPDX-License-Identifier: Apache-2.0
"""A folder of import_compare.py and its two readers: Transformers (with Sentence-Transformers) and
the program."""
import json
import random
import subprocess

import torch
import transformers

import folders_of_releases
import folders_of_sentences
import folders_of_tokenizers
from import_combinations import matches

SEED = 20261129
HEAD_OPTION = {"single": "sequence", "multi": "sequence", "regression": "sequence"}


class Folder:
    """One combination on disk: the root, the folder of the model in it, and how it was made."""

    def __init__(self, row, index, work):
        self.row, self.pick = row, random.Random(SEED + index)
        self.root = work / f"folder-{index}"
        self.root.mkdir()
        sentences = row["layout"].partition("-")[2]
        self.path = folders_of_sentences.model_folder(self.root, sentences)
        self.path.mkdir(exist_ok=True)
        self.model_class = folders_of_releases.class_of(row["type"], row["head"])
        pieces, added = folders_of_tokenizers.vocabulary(), row["added"] == "tokens"
        n = len(pieces) + len(folders_of_tokenizers.ADDED) * added
        n += 6 * (row["type"] == "squeezebert")  # rows that fill up, as in the published model
        # the one table under the decoder's name, which a class without decoder does not look at
        keep_last = index % 2 == 1 and not sentences
        model = folders_of_releases.random_model(row["type"], row["head"], n, 0, SEED + index)
        folders_of_releases.write_model(self.path, model, row["head"], row["release"],
                                        row["weights"], getattr(torch, row["dtype"]),
                                        keep_last)
        folders_of_tokenizers.write_tokenizer(self.path, row["type"], pieces, row["case"], added,
                                              row["release"], row["tokenizer"])
        if sentences:
            folders_of_sentences.write_sentence_files(
                self.root, sentences, folders_of_releases.WIDTH, row["pooling"],
                self.pick.random() < 0.5, self.pick.random() < 0.3,
                self.pick.choice([None, "query"]))


class Reference:
    """The folder through Transformers, in float64, and through Sentence-Transformers."""

    def __init__(self, folder):
        self.folder, row = folder, folder.row
        self.model, facts = folder.model_class.from_pretrained(
            folder.path, dtype=torch.float32, output_loading_info=True)
        if facts["missing_keys"] or facts["mismatched_keys"]:
            raise ValueError(f"Transformers lacks {sorted(facts['missing_keys'])[:3]}")
        self.model.eval()
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path)
        except ValueError:
            if row["release"] != "2.1":
                raise
            # without model_type nothing but vocab.txt is there to go by
            self.tokenizer = transformers.BertTokenizer.from_pretrained(folder.path)
        self.length = min(self.tokenizer.model_max_length,
                          self.model.config.max_position_embeddings)
        self.untyped, self.sentences = row["type"] == "distilbert", None
        if row["layout"] != "plain":
            from sentence_transformers import SentenceTransformer
            self.sentences = SentenceTransformer(str(folder.root), device="cpu",
                                                 model_kwargs={"dtype": torch.float32})
            self.length = min(self.sentences.max_seq_length or self.length, self.length)

    def run(self, ids, types):
        """[hidden, pooled or None, logits or None] of each sequence."""
        self.model.double()
        base, rows = getattr(self.model, self.model.base_model_prefix, self.model), []
        with torch.no_grad():
            for one, kinds in zip(ids, types):
                inputs = {"input_ids": torch.tensor([one]),
                          "attention_mask": torch.ones(1, len(one))}
                if self.folder.row["type"] != "distilbert":
                    inputs["token_type_ids"] = torch.tensor([kinds])
                out = base(**inputs)
                pooled = getattr(out, "pooler_output", None)
                rows.append([out.last_hidden_state[0].numpy(),
                             None if pooled is None else pooled.numpy(), self.logits(inputs)])
        self.model.float()
        return rows

    def logits(self, inputs):
        head = self.folder.row["head"]
        if (head in ("none", "next-sentence") or head == "pre-training"
            and self.folder.row["type"] == "electra"):
            return None
        if head == "choice":
            inputs = {key: value[None] for key, value in inputs.items()}
        out = self.model(**inputs)
        if head == "question":
            return torch.stack([out.start_logits[0], out.end_logits[0]], -1).numpy()
        value = out.prediction_logits if head == "pre-training" else out.logits
        return value.reshape(-1, value.shape[-1]).numpy()

    def scores(self, texts):
        """[{label: score}] of the text-classification pipeline."""
        pipe = transformers.pipeline("text-classification", model=self.model,
                                     tokenizer=self.tokenizer, device="cpu")
        return [{row["label"]: row["score"] for row in
                 pipe(text, top_k=None, truncation=True, max_length=self.length)}
                for text in texts]


class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments, records=None):
        """(exit code, objects of stdout or its text, stderr)"""
        stdin = None if records is None else "".join(json.dumps(r) + "\n" for r in records)
        done = subprocess.run([self.path, *map(str, arguments)], input=stdin, capture_output=True,
                              text=True, timeout=120)
        out = [json.loads(line)
               for line in done.stdout.splitlines()] if records is not None else done.stdout
        return done.returncode, out, done.stderr.strip()

    def imported(self, folder, row):
        """None or the message of a refusal. Options that a message or a note names are given."""
        arguments, rc, error = [], 1, ""
        options = {"--model-type": row["type"], "--head": HEAD_OPTION.get(row["head"], row["head"])}
        if row["head"] in ("pre-training", "next-sentence"):
            options["--head"] = "masked-lm" if matches(
                row, dict(head="pre-training", type="bert")) else "none"
        while True:
            rc, _, error = self("import", folder.root, "-o", str(folder.root) + ".gguf", *arguments)
            asked = [o for o in options if o in error and o not in arguments]
            if not asked:
                break
            arguments += [asked[0], options[asked[0]]]
        return error.replace(str(folder.root), "FOLDER") if rc else None

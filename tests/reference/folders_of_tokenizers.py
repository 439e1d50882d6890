# SPDX-License-Identifier: Apache-2.0
"""Tokenizer files as releases of Transformers wrote them; the releases are those of
folders_of_releases.py.

  2.1     tokenizer_config.json with max_len and init_inputs, added_tokens.json even where it is
          empty
  2.8     tokenizer_config.json with model_max_length, added_tokens.json where there are any
  3.5     every argument of the tokenizer, no length, paths of files that are null
  4.10    model_max_length and tokenizer_class; truncation in tokenizer.json
  4.40    added_tokens_decoder, a length of 10^30; truncation and padding in tokenizer.json, with
          their directions
  5       this release's own save_pretrained

tokenizer.json beside the files of 2.x is what `tokenizers` wrote at that time: a model without
type, BertProcessing.
"""
import json

import transformers
from tokenizers import (AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors)

import folders_of_releases

SPECIAL = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
           "mask_token": "[MASK]"}
ADDED = [("blorx", False), ("<e1>", True)]  # text, special
LENGTH = 40  # pieces, where the tokenizer's files name a length
CASES = {  # lowercase, strip_accents, tokenize_chinese_chars
    "uncased": (True, None, True), "cased": (False, None, True), "accents": (True, False, False)}
WORDS = ("the a of and to in it is was for on are with they at be this have from or one by word "
         "but not what all "
         "were we when your can said there use each which she do how their if will up other about "
         "out many then "
         "them these so some her would make like him into time has look two more write go see "
         "number no way could "
         "people my than first water been call who oil its now find long down day did get come "
         "made may part "
         "running river bicycle mountain garden kitchen yellow quickly ohne straße köln größe élan "
         "naïve café "
         "Berlin Paris The What New York привет мир город это не как").split()
PARTS = ("ing ed er est ly s es tion ness ment able un re pre y al ic ous ful less ize ist ity ß ä "
         "é ов ия ть".split())
CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()[]<>-_/@#$%&*+=~"
    "äöüßéèêàçñøåığşœабвгдежзийклмнопрстуфхцчшщъыьэюяёαβγδεζηθικλμνξοπρστυφχψωاबकمرن我你他中国人大天气"
    "很好京东京都カタナひらがな한국어ㅋ€–—…")


def vocabulary():
    """About 500 pieces in an order like BERT's: reserved ones and [UNK], [CLS], [SEP], [MASK] in
    their midst."""
    pieces = ["[PAD]"] + [f"[unused{i}]" for i in range(5)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += list(CHARACTERS) + ["##" + c
                                  for c in CHARACTERS] + WORDS + ["##" + part for part in PARTS]
    return list(dict.fromkeys(pieces))


def fast_tokenizer(pieces, case, added):
    """The `tokenizers` object of tokenizer.json."""
    lower, accents, chinese = CASES[case]
    ids = {piece: i for i, piece in enumerate(pieces)}
    t = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=chinese,
                                              strip_accents=accents,
                                              lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece(prefix="##")
    t.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    t.add_special_tokens(sorted(SPECIAL.values(), key=ids.get))
    for text, special in ADDED if added else ():
        (t.add_special_tokens if special else t.add_tokens)([AddedToken(text, special=special)])
    return t


def tokenizer_json(pieces, case, added, release):
    t = fast_tokenizer(pieces, case, added)
    if release in ("4.10", "4.40"):
        t.enable_truncation(LENGTH)
    if release == "4.40":
        t.enable_padding(length=LENGTH, pad_token="[PAD]", pad_id=pieces.index("[PAD]"))
    whole = json.loads(t.to_str())
    if release in ("2.1", "2.8", "3.5"):
        del whole["model"]["type"]
    if release in ("2.1", "2.8"):
        whole["post_processor"] = {"type": "BertProcessing",
                                   "sep": ["[SEP]", pieces.index("[SEP]")],
                                   "cls": ["[CLS]", pieces.index("[CLS]")]}
    if release == "4.10":
        del whole["truncation"]["direction"]
    return whole


def config_json(kind, pieces, case, added, release):
    lower, accents, chinese = CASES[case]
    given = {"do_lower_case": lower}
    if release in ("2.1", "2.8"):  # only the arguments that were given
        given |= {} if accents is None else {"strip_accents": accents,
                                             "tokenize_chinese_chars": chinese}
        return given | ({"max_len": LENGTH, "init_inputs": []} if release == "2.1"
                        else {"model_max_length": LENGTH})
    given |= SPECIAL | {"tokenize_chinese_chars": chinese, "strip_accents": accents}
    if release == "3.5":
        return given | {"do_basic_tokenize": True, "never_split": None,
                        "special_tokens_map_file": None,
                        "full_tokenizer_file": None, "name_or_path": "someone/an-ancestor"}
    given |= {"tokenizer_class": folders_of_releases.CLASSES[kind] + "Tokenizer"}
    if release == "4.10":
        return given | {"model_max_length": LENGTH, "special_tokens_map_file": None,
                        "name_or_path": "someone/an-ancestor"}
    tokens = [(pieces.index(text), text, True) for text in SPECIAL.values()]
    tokens += [(len(pieces) + i, text, special) for i, (text, special) in enumerate(ADDED) if added]
    return given | {
        "added_tokens_decoder": {
            str(i): {"content": text, "lstrip": False, "normalized": not special, "rstrip": False,
                     "single_word": False, "special": special}
            for i, text, special in sorted(tokens)},
        "additional_special_tokens": [text for text, special in ADDED if special and added],
        "clean_up_tokenization_spaces": True, "model_max_length": int(1e30),
        "do_basic_tokenize": True,
        "never_split": None}


def write_now(folder, kind, pieces, case, added, files):
    """As this release does; where vocab.txt is asked for, its vocabulary goes there."""
    lower, accents, chinese = CASES[case]
    made = getattr(transformers, folders_of_releases.CLASSES[kind] + "Tokenizer",
                   transformers.BertTokenizer)(
        vocab={piece: i for i, piece in enumerate(pieces)}, do_lower_case=lower,
        strip_accents=accents,
        tokenize_chinese_chars=chinese, model_max_length=LENGTH)
    for text, special in ADDED if added else ():
        made.add_tokens([AddedToken(text, special=special)], special_tokens=special)
    made.save_pretrained(folder)
    if files == "vocab.txt":
        (folder / "tokenizer.json").unlink()


def write_tokenizer(folder, kind, pieces, case, added, release, files):
    """files: tokenizer.json, vocab.txt or both. Case "disagree": tokenizer_config.json says
    uncased, tokenizer.json cased."""
    told, stored = ("uncased", "cased") if case == "disagree" else (case, case)
    dump = dict(ensure_ascii=False) if release in ("2.1", "2.8", "3.5",
                                                   "4.10") else dict(ensure_ascii=False, indent=2)

    def write(name, value):
        (folder / name).write_text(json.dumps(value, **dump), encoding="utf-8")

    if files != "tokenizer.json":
        (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces),
                                          encoding="utf-8")
    if release == "5":
        write_now(folder, kind, pieces, told, added, files)
    else:
        write("tokenizer_config.json", config_json(kind, pieces, told, added, release))
        write("special_tokens_map.json", SPECIAL | (
            {"additional_special_tokens": [text for text, special in ADDED if special]} if added
            else {}))
        if added or release == "2.1":
            write("added_tokens.json",
                  {text: len(pieces) + i for i, (text, _) in enumerate(ADDED) if added})
    if files != "vocab.txt" and (release != "5" or told != stored):
        write("tokenizer.json", tokenizer_json(pieces, stored, added, release))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer of a model file with the `tokenizers` package: ids, types, offsets, word
numbers, windows.

  tokenizer_compare.py LIBRARY MODEL.gguf TOKENIZER.json [--text FILE ...] [--random N] [--seed S]

Every line of the texts, and N random strings made of what breaks tokenizers. Prints what differs;
exit 1 if anything does.
"""
import argparse
import ctypes as C
import random
import sys
import unicodedata

import numpy as np
from tokenizers import Tokenizer

PIECE = np.dtype([("id", "u4"), ("begin_byte", "u4"), ("end_byte", "u4"), ("begin", "u4"),
                  ("end", "u4"), ("word", "u4"), ("type", "u1"), ("sequence", "u1"),
                  ("special", "u1"), ("pad", "u1")])


class Text(C.Structure):
    _fields_ = [("bytes", C.c_char_p), ("n", C.c_size_t)]


class Options(C.Structure):
    _fields_ = [("max_length", C.c_uint32), ("truncation", C.c_int), ("stride", C.c_uint32),
                ("windows", C.c_int), ("no_special_tokens", C.c_int),
                ("literal_special_tokens", C.c_int), ("reserved", C.c_uint64 * 4)]


class Ours:
    def __init__(self, library, model):
        self.lib = lib = C.CDLL(library)
        lib.sqz_model_tokenizer.restype = lib.sqz_encoding_pieces.restype = C.c_void_p
        self.error = (C.c_char * 1024)()
        context, opened, self.encoding = C.c_void_p(), C.c_void_p(), C.c_void_p()
        self.check(lib.sqz_context_open(None, C.byref(context), self.error))
        self.check(lib.sqz_model_open(context, model.encode(), C.byref(opened), self.error))
        self.check(lib.sqz_encoding_open(context, C.byref(self.encoding), self.error))
        self.tokenizer = C.c_void_p(lib.sqz_model_tokenizer(opened))

    def check(self, status):
        if status:
            sys.exit(f"status {status}: {bytes(self.error)!r}")

    def __call__(self, first, second=None, **options):
        first_text = Text(first, len(first))
        second_text = C.byref(Text(second, len(second))) if second is not None else None
        status = self.lib.sqz_tokenize(self.tokenizer, first_text, second_text,
                                       C.byref(Options(**options)), self.encoding, self.error)
        if status:
            return status
        n = self.lib.sqz_encoding_windows(self.encoding)
        at = [self.lib.sqz_encoding_first(self.encoding, w) for w in range(n + 1)]
        address = self.lib.sqz_encoding_pieces(self.encoding)
        all_pieces = np.frombuffer(C.string_at(address, at[-1] * PIECE.itemsize),
                                   PIECE) if at[-1] else np.zeros(0, PIECE)
        return [all_pieces[a:b] for a, b in zip(at, at[1:])]


def rows_of(encoding):
    words = [UNSET if w is None else w for w in encoding.word_ids]
    return list(zip(encoding.ids, encoding.type_ids, [o[0] for o in encoding.offsets],
                    [o[1] for o in encoding.offsets], words))


UNSET = 2**32 - 1


def rows_of_ours(pieces):
    return list(zip(pieces["id"].tolist(), pieces["type"].tolist(), pieces["begin"].tolist(),
                    pieces["end"].tolist(), pieces["word"].tolist()))


class Comparison:
    def __init__(self, ours, theirs):
        self.ours, self.theirs, self.n, self.different = ours, theirs, 0, 0

    def __call__(self, first, second=None, **options):
        self.n += 1
        read = [x if x is None else x.decode("utf-8", "replace") for x in (first, second)]
        try:
            encoding = self.theirs.encode(*([read[0]] if second is None else read))
            wanted = [rows_of(e) for e in [encoding] + (encoding.overflowing
                                                        if options.get("windows") else [])]
        except BaseException as error:  # the package panics where it should refuse
            wanted = repr(error)
        got = self.ours(first, second, **options)
        if isinstance(wanted, str) and isinstance(got, int):
            return
        got = got if isinstance(got, int) else [rows_of_ours(w) for w in got]
        if got != wanted:
            self.different += 1
            if self.different <= 10:
                print(f"DIFFERENT {first!r} {second!r} {options}\n  ours   {got}\n"
                      f"  theirs {wanted}")


def pools(theirs):
    assigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Co")]
    marks = [c for c in assigned if unicodedata.combining(chr(c))
             or unicodedata.category(chr(c)) in ("Mn", "Mc", "Me")]
    words = list(theirs.get_vocab())
    emoji = ["\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F1E9\U0001F1EA", "\u2764\ufe0f",
             "\U0001F44D\U0001F3FD"]
    special = ["[SEP]", "[CLS]", "[MASK]", "[MASK", "[UNK]", "[PAD]", "[[SEP]]", "SEP", "[sep]"]
    bad = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x92", b"\xed\xa0\x80", b"\xc0\xaf", b"\x00",
           b"\xf4\x90\x80\x80", b"\xe0\x80"]
    return assigned, marks, words, emoji, special, bad


def random_text(r, pool):
    assigned, marks, words, emoji, special, bad = pool
    out = b""
    for _ in range(r.randrange(1, 12)):
        k = r.randrange(16)
        if k < 4:
            out += "".join(chr(r.choice(assigned)) for _ in range(r.randrange(1, 5))).encode()
        elif k < 6:
            out += (r.choice("aeioué\u0130ſßK") +
                    "".join(chr(r.choice(marks)) for _ in range(r.randrange(1, 4)))).encode()
        elif k < 9:
            w = r.choice(words).removeprefix("##")
            out += (w if r.randrange(2) else w.upper()).encode()
        elif k == 9:
            out += r.choice(emoji).encode()
        elif k == 10:
            out += r.choice(special).encode()
        elif k == 11:
            out += r.choice(bad)
        elif k == 12:
            out += "".join(chr(r.randrange(0xAC00, 0xD7A4)) for _ in range(2)).encode()
        elif k == 13:
            out += bytes(r.randrange(0, 128) for _ in range(r.randrange(1, 6)))
        elif k == 14:
            out += (r.choice("abc1") * r.randrange(90, 110)).encode()
        else:
            out += b" \xc2\xa0\t"[: r.randrange(1, 4)].replace(b"\xc2\xa0"[:1], b" ")
        if r.randrange(3) == 0:
            out += b" "
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("model")
    parser.add_argument("tokenizer")
    parser.add_argument("--text", nargs="*", default=[])
    parser.add_argument("--random", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--code-points", action="store_true",
                        help="each code point between letters and alone: minutes")
    a = parser.parse_args()
    theirs = Tokenizer.from_file(a.tokenizer)
    theirs.no_truncation()
    theirs.no_padding()
    compare = Comparison(Ours(a.library, a.model), theirs)
    for path in a.text:
        with open(path, "rb") as f:
            for line in f:
                compare(line.rstrip(b"\n"))
    print(f"{compare.n} lines of text, {compare.different} differ")
    for c in range(0x110000) if a.code_points else ():  # each code point between letters, and alone
        if not 0xD800 <= c < 0xE000:
            compare(b"a" + chr(c).encode() + b"b " + chr(c).encode())
    print(f"{compare.n} with the code points, {compare.different} differ")
    r, pool = random.Random(a.seed), pools(theirs)
    names = ["longest_first", "only_first", "only_second"]
    for i in range(a.random):
        first, second = random_text(r, pool), random_text(r, pool) if r.randrange(2) else None
        if i % 4 == 0:
            kind, length, windows = r.randrange(3), r.randrange(6, 30), r.randrange(2)
            stride = r.randrange(0, length - 4)
            theirs.enable_truncation(length, stride=stride, strategy=names[kind])
            if windows or stride == 0:
                compare(first, second, max_length=length, truncation=kind, stride=stride,
                        windows=windows)
            theirs.no_truncation()
        else:
            compare(first, second)
    print(f"{compare.n} in all, {compare.different} differ")
    return compare.different > 0


if __name__ == "__main__":
    sys.exit(main())

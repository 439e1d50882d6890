#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer with the `tokenizers` package: ids, types, offsets in bytes and code
points, word numbers, windows.

Usage: tokenizer_strings.py DRIVER VOCABULARY_FOLDER [--text FILE.gz] [--megabytes N] [--random N]
[--seed N] [--vocabulary NAME] Beside tokenizer_compare.py, which takes a model file, this one
builds its own descriptions: added tokens of every kind, cased and multilingual vocabularies,
invalid UTF-8, pairs, truncation with windows, and every code point. DRIVER is
tests/reference/test_tokenizer_driver.c, built: cc -std=c11 -O2 -Isrc -Iinclude
tests/reference/test_tokenizer_driver.c build/libsqueezebert.a -lpthread -lm
"""
import argparse
import codecs
import gzip
import itertools
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading

import numpy
import tokenizers
from tokenizers import (AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors)

NONE = 0xFFFFFFFF
STRATEGIES = ["longest_first", "only_first", "only_second"]
ADDED = [AddedToken("<ent>", normalized=False, special=False), AddedToken("ÄBC", normalized=True),
         AddedToken("new word", normalized=True, single_word=True),
         AddedToken("<l>", lstrip=True, normalized=False),
         AddedToken("<r>", rstrip=True, normalized=False),
         AddedToken("<b>", lstrip=True, rstrip=True, normalized=False),
         AddedToken("solo", single_word=True, normalized=False),
         AddedToken("<ent>s", normalized=False),
         AddedToken("zz", normalized=True, lstrip=True, rstrip=True)]


def read_vocabulary(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [line.rstrip("\n") for line in f]


def build(pieces, cased, added):
    ids = {p: i for i, p in enumerate(pieces)}
    t = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens([x for x in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]") if x in ids])
    t.add_tokens(added)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    return t


def write_description(t, pieces, cased, path):
    out, n = [], t.get_vocab_size()
    spelt = [p.encode() for p in pieces] + [b""] * (n - len(pieces))
    added = sorted(t.get_added_tokens_decoder().items())
    cls, sep = t.token_to_id("[CLS]"), t.token_to_id("[SEP]")
    single = [(cls, 255, 0), (0, 0, 0), (sep, 255, 0)]
    pair = single + [(0, 1, 1), (sep, 255, 1)]
    numbers = [1, 1, int(not cased), int(not cased), 100, n, len(added), len(single), len(pair)]
    numbers += [t.token_to_id(x) if t.token_to_id(x) is not None else NONE
                for x in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")]
    out.append(struct.pack("<%dI" % len(numbers), *numbers))
    out += [struct.pack("<I", len(b)) + b for b in spelt]
    for i, a in added:
        flags = a.special | a.single_word << 1 | a.lstrip << 2 | a.rstrip << 3 | a.normalized << 4
        out.append(struct.pack("<III", i, flags, len(a.content.encode())) + a.content.encode())
    out += [struct.pack("<III", *item) for item in single + pair]
    with open(path, "wb") as f:
        f.write(b"".join(out))


class Driver:
    def __init__(self, program, description):
        self.process = subprocess.Popen([program, description], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, requests, options):
        """requests: (bytes, bytes or None); options: (max_length, truncation, stride, windows,
        no_special, literal)."""
        def feed():
            for a, b in requests:
                self.process.stdin.write(struct.pack("<8I", len(a), NONE if b is None else len(b),
                                                     *options) + a + (b or b""))
            self.process.stdin.flush()
        thread = threading.Thread(target=feed)
        thread.start()
        read = self.process.stdout.read
        for _ in requests:
            head = read(12)
            if len(head) < 12:
                sys.exit("the driver ended early")
            status, cut, windows = struct.unpack("<3I", head)
            if status:
                yield None
                continue
            first = numpy.frombuffer(read(4 * (windows + 1)), numpy.uint32)
            rows = numpy.frombuffer(read(28 * int(first[-1])),
                                    numpy.uint32).reshape(-1, 7).astype(numpy.int64)
            yield [rows[first[i]:first[i + 1]] for i in range(windows)]
        thread.join()


def decode(data):
    """The text, and where each code point begins in bytes (one more at the end)."""
    text = data.decode("utf-8", "replace")
    if len(text) == len(data):
        return text, None
    try:
        data.decode("utf-8")
        lengths = [len(c.encode()) for c in text]
    except UnicodeDecodeError:
        lengths, at = [], 0
        while at < len(data):
            for n in (1, 2, 3, 4):
                try:
                    data[at:at + n].decode("utf-8")
                    break
                except UnicodeDecodeError as e:
                    if e.end - e.start < n or "unexpected end" not in e.reason or at + n >= len(
                            data):
                        n = e.end - e.start
                        break
            lengths.append(n)
            at += n
    assert len(lengths) == len(text), data
    return text, numpy.concatenate([[0], numpy.cumsum(lengths)])


def expected(encoding, starts):
    rows = numpy.zeros((len(encoding.ids), 7), numpy.int64)
    if not len(rows):
        return rows
    rows[:, 0] = encoding.ids
    rows[:, 3:5] = encoding.offsets
    sequences = [255 if s is None else s for s in encoding.sequence_ids]
    special = encoding.special_tokens_mask
    rows[:, 5] = [NONE if w is None else w for w in encoding.word_ids]
    rows[:, 6] = numpy.array(encoding.type_ids) + (numpy.array(sequences) << 8) + (
        numpy.array(special) << 16)
    for s in (0, 1, 255):
        of = numpy.array(sequences) == s
        points = starts[s] if s < 255 else None
        for byte, point in ((1, 3), (2, 4)):
            rows[of, byte] = rows[of, point] if points is None else points[rows[of, point]]
    return rows


class Comparison:
    def __init__(self, name):
        self.name, self.n, self.bad, self.bytes = name, 0, 0, 0

    def run(self, driver, t, requests, options=(0, 0, 0, 0, 0, 0)):
        texts = [(decode(a), None if b is None else decode(b)) for a, b in requests]
        batch = [x[0] if y is None else (x[0], y[0]) for x, y in texts]
        try:
            want = t.encode_batch(batch, add_special_tokens=not options[4])
        except BaseException:
            want = []
            for x in batch:
                try:
                    want += [t.encode(*(x if isinstance(x, tuple) else (x,)),
                                      add_special_tokens=not options[4])]
                except BaseException:  # a panic is none of Exception
                    want += [None]
        for (a, b), text, w, got in zip(requests, texts, want, driver.ask(requests, options)):
            self.n += 1
            self.bytes += len(a) + len(b or b"")
            starts = (text[0][1], text[1][1] if text[1] else None)
            if w is None or got is None:
                same = w is None and got is None
                w = None if w is None else [w.ids]
            else:
                w = [expected(e, starts) for e in [w] + (w.overflowing if options[3] else [])]
                same = len(w) == len(got) and all(numpy.array_equal(x, y) for x, y in zip(w, got))
            if not same:
                self.bad += 1
                if self.bad <= 5:
                    g = [x.tolist() for x in got] if got is not None else None
                    e = [getattr(x, "tolist", lambda: x)() for x in w] if w else w
                    only = [(k, x, y) for k, (v, u) in enumerate(zip(e or [], g or []))
                            for x, y in zip(v, u) if x != y][:3]
                    print(f"{self.name}: {options} windows {e and len(e)} {g and len(g)}; first "
                          f"rows {only}; texts {a!r} {b!r}"[:1500])

    def report(self):
        print(f"{self.name}: {self.n} texts, {self.bytes / 1e6:.1f} MB, {self.bad} differ",
              flush=True)
        return self.bad


def random_text(r, pools):
    parts = []
    for _ in range(r.choice((1, 2, 4, 8, 16))):
        pool = r.choice(pools)
        x = "".join(r.choice(pool) for _ in range(r.randint(1, 6)))
        parts.append(x.encode("utf-8", "surrogatepass"))
        if r.random() < 0.4:
            parts.append(b" ")
    if r.random() < 0.1:
        at = r.randrange(len(parts))
        parts.insert(
            at, bytes(r.choice((0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xF5, 0xFF,
                                0x9F, 0xA0, 0x90, 0x41)) for _ in range(r.randint(1, 5))))
    return b"".join(parts)


def pools_of():
    import unicodedata
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000
             and unicodedata.category(chr(c)) not in ("Cn", "Co")]
    marks = [c for c in every if unicodedata.category(c)[0] == "M"]
    classed = [c for c in every if unicodedata.combining(c)]
    decomposing = [c for c in every if unicodedata.decomposition(c)
                   and not unicodedata.decomposition(c).startswith("<")]
    cased = [c for c in every if c.lower() != c]
    odd = [c for c in every if unicodedata.category(c) in ("Cc", "Cf", "Zs", "Zl", "Zp")] + [
        "\ufffd", "\x00", "\ue000", "\U000e0001", "\ufffe", "\U0010ffff"]
    hangul = [chr(c) for c in range(0xAC00, 0xD7A4)] + [chr(c) for c in range(0x1100, 0x1200)]
    emoji = [chr(c) for c in range(0x1F300, 0x1FAFF)] + ["\u200d", "\ufe0f", "\U0001f3fb"] * 20
    ascii_ = [chr(c) for c in range(128)]
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ      '.,-")
    words = ["the ", "playing", "unaffable", "Hello", "[SEP]", "[MASK]", "[CLS]", "[UNK]", "[sep]",
             "[SEP", "SEP]", "<ent>", "<ent>s", "äbc", "ÄBC", "new word", "new  word", "solo",
             "sólo", "<l>", "  <l>",
             "<r>  ", "<r>", " <b>  ", "zz", " zz ", "ZZ", "a" * 99, "b" * 100, "c" * 101,
             "é" * 100, "e\u0301" * 100, "##ing", "\u0130", "ΑΣ", "ß", "ſ", "日本", "한국"]
    return [every, every, marks, classed, classed, decomposing, cased, odd, hangul, emoji, ascii_,
            letters, letters, words, words]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("driver")
    p.add_argument("vocabularies")
    p.add_argument("--text", action="append", default=[])
    p.add_argument("--megabytes", type=float, default=20)
    p.add_argument("--random", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--vocabulary", help="this one alone: uncased, cased or multilingual-uncased")
    o = p.parse_args()
    bad, pools = 0, pools_of()
    print("tokenizers", tokenizers.__version__, "seed", o.seed)
    for name, cased in (("uncased", False), ("cased", True), ("multilingual-uncased", False)):
        if o.vocabulary not in (None, name):
            continue
        pieces = read_vocabulary(os.path.join(o.vocabularies, f"bert-base-{name}-vocab.txt"))
        for added in ([], ADDED):
            t = build(pieces, cased, added)
            with tempfile.NamedTemporaryFile() as f:
                write_description(t, pieces, cased, f.name)
                driver = Driver(o.driver, f.name)
                head = driver.ask([(b"", None)], (0,) * 6)
                list(head)
            label = name + (" with added tokens" if added else "")
            if not added:
                for path in o.text:
                    c = Comparison(f"{label}: {os.path.basename(path)}")
                    left = o.megabytes * 1e6
                    with gzip.open(path) as f:
                        while left > 0 and (lines := list(itertools.islice(f, 2000))):
                            c.run(driver, t, [(x.rstrip(b"\n"), None) for x in lines])
                            left -= sum(map(len, lines))
                    bad += c.report()
                c = Comparison(f"{label}: every code point")
                points = [chr(x).encode() for x in range(0x110000) if not 0xD800 <= x < 0xE000]
                for a in range(0, len(points), 50000):
                    c.run(driver, t, [(b" ".join(b"a" + x + b"b" for x in points[b:b + 100]),
                                       None) for b in range(a, min(a + 50000, len(points)), 100)])
                bad += c.report()
            r = random.Random(o.seed)
            c = Comparison(f"{label}: random texts")
            for a in range(0, o.random, 2000):
                c.run(driver, t, [(random_text(r, pools), random_text(r, pools) if r.random() < 0.2
                                   else None) for _ in range(2000)])
            bad += c.report()
            c = Comparison(f"{label}: truncation")
            for _ in range(max(1, o.random // 400)):
                room, strategy = r.randint(1, 40), r.randrange(3)
                windows, special = r.randrange(2), r.randrange(2)
                # without windows we do not look at it, and the package panics where it is too long
                stride = r.randint(0, room + 1) if windows else 0
                pair = r.random() < 0.6
                limit = room + (3 if pair else 2) * special
                try:
                    t.enable_truncation(limit, stride=stride, strategy=STRATEGIES[strategy])
                except Exception:
                    continue
                requests = [(random_text(r, pools[-3:]),
                             random_text(r, pools[-3:]) if pair else None) for _ in range(50)]
                c.run(driver, t, requests, (limit, strategy, stride, windows, 1 - special, 0))
            t.no_truncation()
            bad += c.report()
            driver.process.stdin.close()
            if driver.process.wait():
                sys.exit("the driver failed")
    sys.exit(1 if bad else 0)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of the tokenizer beside `tokenizers` encode_batch, one thread each: ids, types and offsets
on both sides, interleaved.

    tokenizer_speed.py LIBRARY MODEL.gguf TOKENIZER.json ENGLISH.txt.gz [--samples 7]
        [--megabytes 1]

LIBRARY is libsqueezebert.so, MODEL a model file whose tokenizer is TOKENIZER.json's. English is
text of the file; the other scripts are sentences of their own words, made here. Ours: one
sqz_tokenize a line, through ctypes, whose cost is ours too; theirs: one encode_batch of all lines,
of which ids, type_ids and offsets are left where they are (reading them into Python is not
counted). Bars: 15 times on English, 5 on other scripts; exit 1 if one is missed.
"""
import argparse
import ctypes as C
import gzip
import os
import random
import statistics
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer

from tokenizer_compare import Options, Ours, Text

SCRIPTS = {  # pangrams and first articles of the Universal Declaration of Human Rights
    "German":
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren Sie sind mit "
        "Vernunft und Gewissen begabt Zwölf Boxkämpfer jagen Viktor quer über den großen "
        "Sylter Deich",
    "Vietnamese":
        "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi "
        "Mọi con người đều được tạo hóa ban cho lý trí và lương tâm",
    "Russian":
        "Все люди рождаются свободными и равными в своем достоинстве и правах Они "
        "наделены разумом и совестью съешь ещё этих мягких французских булок",
    "Greek":
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα "
        "δικαιώματα Είναι προικισμένοι με λογική και συνείδηση",
    "Arabic":
        "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا وعليهم "
        "أن يعامل بعضهم بعضا بروح الإخاء",
    "Hebrew":
        "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם כולם חוננו בתבונה ובמצפון "
        "לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה",
    "Hindi":
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता "
        "प्राप्त है उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है",
    "Thai":
        "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ "
        "ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。 他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。 人間は、理性と良心とを授けられており、",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다 인간은 천부적으로 이성과 양심을 부여받았으며",
    "emoji": "👍🏽 great 👨‍👩‍👧 family 🇩🇪 ❤️ love 😀😃 ok 🎉 party 🚀 go 🤷‍♀️ hm",
}


def lines_of(words, n_bytes):
    r, out, size = random.Random(3), [], 0
    while size < n_bytes:
        line = " ".join(r.choice(words) for _ in range(r.randint(8, 40)))
        out.append(line)
        size += len(line.encode())
    return out


def english(path, n_bytes):
    out, size = [], 0
    with gzip.open(path, "rt", encoding="utf-8") as f:
        for line in f:
            if line.strip():
                out.append(line.strip())
                size += len(out[-1].encode())
            if size >= n_bytes:
                return out
    return out


class Runner:
    """All lines by one loop; the arguments are made before it starts."""

    def __init__(self, ours, lines):
        self.ours, self.bytes = ours, [line.encode() for line in lines]
        self.texts = [Text(b, len(b)) for b in self.bytes]
        self.options = C.byref(Options())
        self.run = ours.lib.sqz_tokenize
        self.run.argtypes = [C.c_void_p, Text, C.c_void_p, C.c_void_p, C.c_void_p, C.c_void_p]

    def __call__(self):
        run, tokenizer, encoding, error = (self.run, self.ours.tokenizer, self.ours.encoding,
                                           self.ours.error)
        for text in self.texts:
            if run(tokenizer, text, None, self.options, encoding, error):
                sys.exit("a text was refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("library", "model", "tokenizer", "english"):
        parser.add_argument(name)
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=1)
    o = parser.parse_args()
    ours, theirs = Ours(o.library, o.model), Tokenizer.from_file(o.tokenizer)
    theirs.no_truncation()
    theirs.no_padding()
    texts = {"English": english(o.english, 1e6 * o.megabytes), **{name: lines_of(
        words.split(), 2.5e5 * o.megabytes) for name, words in SCRIPTS.items()}}
    missed = 0
    print("| script | MB | ours, MB/s | tokenizers, MB/s | ratio: median | 10-90 % | bar |\n"
          "|---|---|---|---|---|---|---|")
    for name, lines in texts.items():
        size, run, times = sum(len(x.encode()) for x in lines) / 1e6, Runner(ours, lines), []
        for _ in range(o.samples + 1):
            a = time.process_time()
            run()
            b = time.process_time()
            encodings = theirs.encode_batch(lines)
            times.append((b - a, time.process_time() - b))
            del encodings
        times = times[1:]  # the first is the warm-up
        ratios = sorted(t / u for u, t in times)
        bar, ratio = 15 if name == "English" else 5, statistics.median(ratios)
        missed += ratio < bar
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        mine, other = (size / statistics.median(t[side] for t in times) for side in (0, 1))
        print(f"| {name} | {size:.2f} | {mine:.1f} | {other:.2f} | {ratio:.1f} | "
              f"{low:.1f}-{high:.1f} | {bar}{'' if ratio >= bar else ', MISSED'} |", flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Texts for pipelines_compare.py: sentences of real words, what breaks offsets (marks, emoji, CJK,
case, controls), real tweets, long ones."""
import random

WORDS = ("the a of and in on it is was for with he she they Angela Merkel Zürich São Paulo "
         "İstanbul film good bad terrible wonderful unaffable tokenization "
         "antidisestablishmentarianism U.S. don't can't 3.14 2026 Café naïve coöperate Straße ﬁne "
         "½ € $5 e-mail O'Neill 東京 大阪 한국 Москва Αθήνα עברית العربية "
         "नमस्ते 👍🏽 👨‍👩‍👧 ❤️ é ö xyzzyplughfoo . , ! ? ; : ' \" ( ) - … — # @user "
         "http://example.org/a?b=c").split()


def sentence(r, least, most, words=WORDS):
    return " ".join(r.choice(words) for _ in range(r.randint(least, most)))


def conll(path):
    """[(words, tags)]"""
    out, words, tags = [], [], []
    for line in path.read_text(encoding="utf-8").splitlines() + [""]:
        word, _, tag = line.partition("\t")
        if word.strip() and tag.strip():
            words.append(word.strip())
            tags.append(tag.strip())
        elif words:
            out.append((words, tags))
            words, tags = [], []
    return out


def wnut_texts(folder, n):
    return [" ".join(words) for words, _ in conll(folder / "emerging.dev.conll")[:n]]


def texts(n, seed, wnut):
    r = random.Random(seed)
    out = [sentence(r, 1, 30) for _ in range(n // 2)] + ["", " ", "a", "[SEP]", "x" * 120,
                                                         "e\u0301" * 5 + "\u3000\u302e"]
    return (
        out + (wnut_texts(wnut, n) if wnut else []) + [sentence(r, 1, 30) for _ in range(n)])[:n]


def long_texts(n, seed, words=WORDS):
    r = random.Random(seed + 1)
    return [sentence(r, 100, 700, words) for _ in range(n)]


def short(texts_):
    return [" ".join(t.split()[:6]) or "who" for t in texts_]


def masked(texts_, seed):
    r, out = random.Random(seed + 2), []
    for text in texts_:
        words = text.split() or ["so"]
        for _ in range(r.choice((1, 1, 1, 2, 3))):
            words[r.randrange(len(words))] = "[MASK]"
        out.append(" ".join(words))
    return out

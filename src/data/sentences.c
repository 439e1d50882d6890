/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting at the marks that end a sentence, one sentence of each text after the other. */
#include "data/sentences.h"

#include <string.h>

#include "base/error.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes of what may stand between a full stop and the space behind it; 0: it is none of these. */
static size_t closing(const char *at, size_t left)
{
    static const char *const marks[] = {"\"",           "'",        ")", "]", "\xE2\x80\x9D",
                                        "\xE2\x80\x99", "\xC2\xBB", "*"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t n = strlen(marks[i]);
        if (n <= left && memcmp(at, marks[i], n) == 0) return n;
    }
    return 0;
}

/* U+3002, U+FF01, U+FF1F: no space follows them. */
static bool ends_ideographic(const char *at, size_t left)
{
    return left >= 3 && (memcmp(at, "\xE3\x80\x82", 3) == 0 || memcmp(at, "\xEF\xBC\x81", 3) == 0 ||
                         memcmp(at, "\xEF\xBC\x9F", 3) == 0);
}

/* Where the sentence that begins at `begin` ends. */
static size_t end_of_sentence(const sqz_text *text, size_t begin)
{
    const char *bytes = text->bytes;
    const size_t n = text->n_bytes;
    for (size_t at = begin; at < n; at++) {
        size_t end = at + 1, more;
        if (ends_ideographic(bytes + at, n - at)) {
            end = at + 3;
        } else {
            if (bytes[at] != '.' && bytes[at] != '!' && bytes[at] != '?') continue;
            while ((more = closing(bytes + end, n - end)) != 0) end += more;
            if (end < n && !is_space(bytes[end])) continue;
        }
        if (end - begin >= SQZI_SENTENCE_LEAST) return end;
    }
    return n;
}

/* The next sentence of a text, from *at on; false at its end. */
static bool next_sentence(const sqz_text *text, size_t *at, sqz_text *sentence)
{
    size_t begin = *at;
    while (begin < text->n_bytes && is_space(text->bytes[begin])) begin++;
    if (begin >= text->n_bytes) return false;
    *at = end_of_sentence(text, begin);
    *sentence = (sqz_text){text->bytes + begin, *at - begin};
    return true;
}

static size_t count(const sqz_text *texts, size_t n)
{
    size_t found = 0;
    sqz_text sentence;
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; next_sentence(&texts[i], &at, &sentence);) found++;
    return found;
}

sqz_status sqzi_sentences_make(const sqz_allocator *allocator, const sqz_text *texts, size_t n,
                               sqzi_sentences *s, sqz_error *error)
{
    *s = (sqzi_sentences){.allocator = allocator, .made = count(texts, n)};
    size_t *at = sqzi_allocate_zeroed(allocator, n, sizeof *at);
    s->all = sqzi_allocate_zeroed(allocator, s->made, sizeof *s->all);
    if (!at || !s->all) {
        sqzi_release(allocator, at, n * sizeof *at);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to cut %zu texts into sentences", n);
    }
    while (s->n < s->made)
        for (size_t i = 0; i < n; i++)
            if (next_sentence(&texts[i], &at[i], &s->all[s->n])) s->n++;
    sqzi_release(allocator, at, n * sizeof *at);
    return SQZ_OK;
}

void sqzi_sentences_discard(sqzi_sentences *s)
{
    if (s->all) sqzi_release(s->allocator, s->all, s->made * sizeof *s->all);
    *s = (sqzi_sentences){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "squeeze/possible_pieces.h"

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

enum { CODES = 0x110000, FIRST_SURROGATE = 0xD800, LAST_SURROGATE = 0xDFFF };

/* A code point of normalised text comes beside others in a word, or only by itself. */
enum { BESIDE = 1, ALONE = 2 };

/* What each code point of a text becomes: contexts move marks, and make no others. */
static sqz_status reach(const sqz_tokenizer *t, uint8_t *reached, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_encoding *encoding = NULL;
    TRY(sqzi_encoding_open(&t->allocator, &encoding, error));
    for (uint32_t code = 0; code < CODES; code++) {
        unsigned char bytes[4];
        if (code >= FIRST_SURROGATE && code <= LAST_SURROGATE) continue;
        const size_t n = sqzi_utf8_put(code, bytes);
        const bool apart = t->handle_chinese_chars &&
                           sqzi_unicode_property(code) & SQZI_UNICODE_CJK;
        TRY(sqzi_tokenizer_normalise(t, (sqz_text){(const char *)bytes, n}, encoding, error));
        const unsigned char *out = encoding->normalised.data;
        for (size_t at = 0, length; at < encoding->normalised.used; at += length)
            reached[sqzi_utf8_next(out + at, encoding->normalised.used - at, &length)] |=
                apart ? ALONE : BESIDE;
    }
fail:
    sqz_encoding_close(encoding);
    return status;
}

/* A word, or where it continues one the rest of it, can be spelt so; how many characters. */
static bool is_possible(const sqz_tokenizer *t, const uint8_t *reached, sqzi_span text,
                        bool continues, uint32_t *n_codes)
{
    const unsigned char *bytes = (const unsigned char *)text.bytes;
    bool all_beside = true;
    uint32_t n = 0;
    for (size_t at = 0, length; at < text.n; at += length, n++) {
        const uint32_t code = sqzi_utf8_next(bytes + at, text.n - at, &length);
        const uint8_t property = sqzi_unicode_property(code);
        if (!reached[code] || property & SQZI_UNICODE_SPACE) return false;
        all_beside &= reached[code] & BESIDE && !(property & SQZI_UNICODE_PUNCTUATION);
    }
    *n_codes = n;
    return n > 0 && n + continues <= t->max_word_chars && (all_beside || (n == 1 && !continues));
}

sqz_status sqzi_possible_pieces(const sqz_tokenizer *t, uint32_t n, bool *possible, bool *single,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_vocabulary *v = &t->vocabulary;
    const size_t prefix = v->prefix_bytes;
    uint8_t *reached = sqzi_allocate_zeroed(&t->allocator, CODES, sizeof *reached);
    FAIL_IF(!reached, SQZ_ENOMEM, 0, "no memory for the characters of a vocabulary");
    TRY(reach(t, reached, error));
    for (uint32_t id = 0; id < n && id < v->n; id++) {
        const sqzi_span text = sqzi_vocabulary_piece(v, id);
        uint32_t codes = 0;
        if (is_possible(t, reached, text, false, &codes)) {
            possible[id] = true;
            single[id] |= codes == 1;
        }
        if (text.n > prefix && memcmp(text.bytes, v->prefix, prefix) == 0 &&
            is_possible(t, reached, (sqzi_span){text.bytes + prefix, text.n - prefix}, true,
                        &codes)) {
            possible[id] = true;
            single[id] |= codes == 1;
        }
    }
fail:
    sqzi_release(&t->allocator, reached, CODES * sizeof *reached);
    return status;
}

/* Added tokens as they are matched; the second list's spellings are normalised already, which
 * changes none of them again. */
static void list_added(const sqz_tokenizer *t, sqzi_added_token *out)
{
    for (int i = 0; i < 2; i++)
        for (uint32_t j = 0; j < t->added[i].n; j++) {
            const sqzi_added *a = &t->added[i].tokens[j];
            *out++ = (sqzi_added_token){a->id, {a->text, a->n}, a->flags};
        }
}

sqz_status sqzi_tokenizer_without(const sqz_tokenizer *t, const bool *left_out, uint32_t n,
                                  sqz_tokenizer **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_vocabulary *v = &t->vocabulary;
    const uint32_t n_added = t->added[0].n + t->added[1].n;
    sqzi_span *pieces = sqzi_allocate(&t->allocator, v->n * sizeof *pieces);
    sqzi_added_token *added = sqzi_allocate(&t->allocator, n_added * sizeof *added);
    FAIL_IF(!pieces || !added, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", v->n);
    for (uint32_t id = 0; id < v->n; id++)
        pieces[id] = id < n && left_out[id] ? (sqzi_span){"", 0} : sqzi_vocabulary_piece(v, id);
    list_added(t, added);
    const sqzi_tokenizer_spec spec = {.pieces = pieces,
                                      .n_pieces = v->n,
                                      .clean_text = t->clean_text,
                                      .handle_chinese_chars = t->handle_chinese_chars,
                                      .strip_accents = t->strip_accents,
                                      .lowercase = t->lowercase,
                                      .prefix = {v->prefix, v->prefix_bytes},
                                      .max_word_chars = t->max_word_chars,
                                      .special = t->special,
                                      .added = added,
                                      .n_added = n_added,
                                      .single = t->templates[0],
                                      .pair = t->templates[1],
                                      .n_single = t->n_template[0],
                                      .n_pair = t->n_template[1]};
    status = sqzi_tokenizer_open(&t->allocator, &spec, out, error);
fail:
    sqzi_release(&t->allocator, pieces, v->n * sizeof *pieces);
    sqzi_release(&t->allocator, added, n_added * sizeof *added);
    return status;
}

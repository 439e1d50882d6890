/* SPDX-License-Identifier: Apache-2.0 */
/* Words to pieces: code points gather to a word, which is spelt from the vocabulary, longest piece
 * first. Apart from the walk over the text (scan.c), which knows nothing of vocabularies. */
#include "text/spell.h"

#include "base/error.h"
#include "text/unicode.h"

sqz_status sqzi_spell_piece(sqzi_scan *s, uint32_t id, sqzi_origin first, sqzi_origin last)
{
    sqzi_buffer *side = &s->encoding->side[s->sequence];
    const uint32_t i = s->n_pieces++;
    if (i >= s->keep) return SQZ_OK;
    side->used = i * sizeof(sqz_piece);
    const sqz_status status = sqzi_buffer_reserve(side, sizeof(sqz_piece), s->error);
    if (status != SQZ_OK) return status;
    sqz_piece *piece = (sqz_piece *)(void *)(side->data + side->used);
    *piece = (sqz_piece){.id = id,
                         .begin_byte = first.begin,
                         .end_byte = last.end,
                         .begin = first.code,
                         .end = last.code + 1,
                         .word = s->words,
                         .sequence = s->sequence};
    return SQZ_OK;
}

static sqzi_origin origin_of(const sqzi_scan *s, size_t i)
{
    if (!s->plain) return s->origins[i];
    const uint32_t offset = (uint32_t)i;
    return (sqzi_origin){s->first.begin + offset, s->first.begin + offset + 1,
                         s->first.code + offset};
}

/* Spell the word: longest piece first, from its beginning on. False when some part of it is no
 * piece. */
static bool spell(sqzi_scan *s, sqz_status *status)
{
    const sqzi_vocabulary *vocabulary = &s->tokenizer->vocabulary;
    for (size_t start = 0, end; start < s->n; start = end) {
        const uint32_t continuation = start > 0;
        uint32_t id = UINT32_MAX;
        const size_t longest = vocabulary->longest[continuation] < s->tokenizer->max_piece
                                   ? vocabulary->longest[continuation]
                                   : s->tokenizer->max_piece;
        end = s->n - start < longest ? s->n : start + longest;
        for (; end > start; end--) {
            if (end < s->n && (s->word[end] & 0xC0) == 0x80) continue; /* inside a code point */
            const uint64_t hash = s->hashes[end] -
                                  s->hashes[start] * s->tokenizer->powers[end - start];
            id = sqzi_vocabulary_find(vocabulary, s->word + start, end - start, hash, continuation);
            if (id != UINT32_MAX) break;
        }
        if (id == UINT32_MAX) return false;
        *status = sqzi_spell_piece(s, id, origin_of(s, start), origin_of(s, end - 1));
        if (*status != SQZ_OK) return true;
    }
    return true;
}

static sqz_status refuse_word(const sqzi_scan *s)
{
    return sqzi_fail(s->error, SQZ_ETOKEN, s->first.begin,
                     "the word at byte %u of the text cannot be spelt with the vocabulary, which "
                     "has no unknown token for it",
                     s->first.begin);
}

sqz_status sqzi_spell_word(sqzi_scan *s)
{
    if (s->n_codes == 0) return SQZ_OK;
    sqz_status status = SQZ_OK;
    const uint32_t before = s->n_pieces;
    if (s->n_codes > s->tokenizer->max_word_chars || !spell(s, &status)) {
        s->n_pieces = before;
        if (s->tokenizer->special.unk == UINT32_MAX) return refuse_word(s);
        status = sqzi_spell_piece(s, s->tokenizer->special.unk, s->first, s->last);
    }
    s->words++;
    s->n = 0;
    s->n_codes = 0;
    return status;
}

sqz_status sqzi_spell_grow(sqzi_scan *s)
{
    sqz_encoding *e = s->encoding;
    const size_t capacity = s->capacity ? 2 * s->capacity : 512;
    e->word.used = e->origins.used = e->hashes.used = 0;
    sqz_status status = SQZ_OK;
    /* the buffers keep their bytes when they grow: used tells how many */
    e->word.used = s->n;
    e->origins.used = s->n * sizeof *s->origins;
    e->hashes.used = s->n ? (s->n + 1) * sizeof *s->hashes : 0;
    sqz_error *error = s->error;
    TRY(sqzi_buffer_reserve(&e->word, capacity, error));
    TRY(sqzi_buffer_reserve(&e->origins, capacity * sizeof *s->origins, error));
    TRY(sqzi_buffer_reserve(&e->hashes, (capacity + 1) * sizeof *s->hashes, error));
    s->word = e->word.data;
    s->origins = (sqzi_origin *)(void *)e->origins.data;
    s->hashes = (uint64_t *)(void *)e->hashes.data;
    s->hashes[0] = 0;
    s->capacity = capacity;
fail:
    return status;
}

/* The notes that a plain word did without. */
void sqzi_spell_note(sqzi_scan *s)
{
    if (!s->plain) return;
    for (size_t i = 0; i < s->n; i++) s->origins[i] = origin_of(s, i);
    s->plain = false;
}

sqz_status sqzi_spell_letter(sqzi_scan *s, uint32_t code, sqzi_origin origin)
{
    if (s->n + 4 > s->capacity) {
        const sqz_status status = sqzi_spell_grow(s);
        if (status != SQZ_OK) return status;
    }
    if (s->n_codes++ == 0) {
        s->first = origin;
        s->plain = false;
    }
    s->last = origin;
    /* too long for a word: only its end is of interest */
    if (s->n_codes > s->tokenizer->max_word_chars) return SQZ_OK;
    sqzi_spell_note(s);
    const size_t length = sqzi_utf8_put(code, s->word + s->n);
    for (size_t i = 0; i < length; i++, s->n++) {
        s->origins[s->n] = origin;
        s->hashes[s->n + 1] = s->hashes[s->n] * SQZI_HASH_P + s->word[s->n] + 1;
    }
    return SQZ_OK;
}

/* A normalised code point on its way into words. */
sqz_status sqzi_spell_code(sqzi_scan *s, uint32_t code, sqzi_origin origin)
{
    sqz_status status = SQZ_OK;
    if (s->whole) {
        unsigned char bytes[4];
        const size_t n = sqzi_utf8_put(code, bytes);
        status = sqzi_buffer_append(&s->encoding->normalised, bytes, n, s->error);
        for (size_t i = 0; i < n && status == SQZ_OK; i++)
            status = sqzi_buffer_append(&s->encoding->sources, &origin, sizeof origin, s->error);
        return status;
    }
    const uint8_t property = sqzi_unicode_property(code);
    if (property & SQZI_UNICODE_SPACE) return sqzi_spell_word(s);
    if (!(property & SQZI_UNICODE_PUNCTUATION)) return sqzi_spell_letter(s, code, origin);
    status = sqzi_spell_word(s);
    if (status == SQZ_OK) status = sqzi_spell_letter(s, code, origin);
    return status == SQZ_OK ? sqzi_spell_word(s) : status;
}

sqz_status sqzi_scan_emit(sqzi_scan *s, uint32_t code, sqzi_origin origin)
{
    if (!s->tokenizer->lowercase) return sqzi_spell_code(s, code, origin);
    const sqz_status status = sqzi_spell_code(s, sqzi_unicode_lower(code), origin);
    return status == SQZ_OK && code == 0x130 ? sqzi_spell_code(s, 0x307, origin) : status;
}

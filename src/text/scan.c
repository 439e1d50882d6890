/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a text: normalising and cutting into words, which spell.c spells, in one pass over
 * the bytes.
 *
 * Stretches of ASCII letters and digits go straight through; everything else goes code point by
 * code point, each of its bytes with a note of where it came from. Offsets of a word that is all
 * ASCII need no notes.
 */
#include "text/scan.h"

#include "base/error.h"
#include "text/spell.h"
#include "text/unicode.h"

/* A code point's parts without those that strip_accents takes. *next is behind it, or behind its
 * run where one of its parts is a mark that stays. */
static sqz_status strip(sqzi_scan *s, uint32_t code, sqzi_origin origin, size_t end, size_t *next)
{
    uint32_t parts[SQZI_MAX_DECOMPOSITION];
    const size_t n = sqzi_unicode_decompose(code, parts);
    for (size_t i = 0; i < n; i++) {
        const uint8_t property = sqzi_unicode_property(parts[i]) & SQZI_UNICODE_REORDERS;
        /* the marks behind a musical note go among its own */
        if (property == SQZI_UNICODE_REORDERS) {
            s->encoding->run.used = 0;
            const sqz_status status = sqzi_scan_hold(s, parts + i, n - i, false, origin);
            return status == SQZ_OK ? sqzi_scan_marks(s, origin.end, end, origin, next) : status;
        }
        if (property == SQZI_UNICODE_MARK) {
            /* stripped, yet a starter: no run goes past it */
            if (sqzi_unicode_combining(parts[i]) == 0) s->run = origin.end;
            continue;
        }
        const sqz_status status = sqzi_scan_emit(s, parts[i], origin);
        if (status != SQZ_OK) return status;
        s->run = origin.end;
    }
    return SQZ_OK;
}

/* The code point at `at`; *next: behind it. */
static sqz_status scan_code(sqzi_scan *s, size_t at, size_t end, size_t *next)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *t = s->tokenizer;
    size_t length;
    uint32_t code = sqzi_utf8_next(s->text + at, end - at, &length);
    const uint8_t property = sqzi_unicode_property(code);
    const sqzi_origin origin = {(uint32_t)at, (uint32_t)(at + length), s->code};
    *next = at + length;
    /* a letter that stays as it is: most of them */
    if (!(property & ~SQZI_UNICODE_WORD) && !s->whole) {
        s->code++;
        s->run = at + length;
        return sqzi_spell_letter(s, code, origin);
    }
    if (t->clean_text && property & SQZI_UNICODE_DROP) {
        s->code++;
        return SQZ_OK;
    }
    if (t->strip_accents && (property & SQZI_UNICODE_REORDERS) == SQZI_UNICODE_REORDERS)
        return sqzi_scan_run(s, at, end, next);
    s->code++;
    if (t->clean_text && property & SQZI_UNICODE_SPACE) code = ' ';
    const bool apart = t->handle_chinese_chars && property & SQZI_UNICODE_CJK;
    if (apart) status = sqzi_spell_code(s, ' ', origin);
    if (status == SQZ_OK)
        status = t->strip_accents ? strip(s, code, origin, end, next)
                                  : sqzi_scan_emit(s, code, origin);
    return status == SQZ_OK && apart ? sqzi_spell_code(s, ' ', origin) : status;
}

/* A stretch of ASCII letters and digits, into the word; *next: behind it. */
static sqz_status scan_letters(sqzi_scan *s, size_t at, size_t end, size_t *next)
{
    const sqz_tokenizer *t = s->tokenizer;
    const bool fresh = s->n_codes == 0;
    const size_t begin = at,
                 room = t->max_word_chars > s->n_codes ? t->max_word_chars - s->n_codes : 0;
    const size_t most = end - at < room ? end : at + room;
    if (fresh) {
        s->first = (sqzi_origin){(uint32_t)at, (uint32_t)at + 1, s->code};
        s->plain = true;
    }
    while (at < most && t->kind[s->text[at]] == SQZI_BYTE_LETTER) {
        if (s->n + 4 > s->capacity) {
            const sqz_status status = sqzi_spell_grow(s);
            if (status != SQZ_OK) return status;
        }
        const size_t room_left = s->capacity - s->n - 3,
                     stop = most - at < room_left ? most : at + room_left;
        uint64_t hash = s->hashes[s->n];
        size_t n = s->n;
        for (; at < stop && t->kind[s->text[at]] == SQZI_BYTE_LETTER; at++) {
            const unsigned char b = t->lower[s->text[at]];
            if (!s->plain)
                s->origins[n] = (sqzi_origin){(uint32_t)at, (uint32_t)at + 1,
                                              s->code + (uint32_t)(at - begin)};
            s->word[n] = b;
            hash = hash * SQZI_HASH_P + b + 1;
            s->hashes[++n] = hash;
        }
        s->n = n;
    }
    s->n_codes += (uint32_t)(at - begin);
    size_t over = at;
    /* only where the word is too long */
    while (over < end && t->kind[s->text[over]] == SQZI_BYTE_LETTER) over++;
    if (over > at) s->n_codes = t->max_word_chars + 1;
    s->code += (uint32_t)(over - begin);
    s->last = (sqzi_origin){(uint32_t)over - 1, (uint32_t)over, s->code - 1};
    s->run = over;
    *next = over;
    return SQZ_OK;
}

static sqz_status scan_bytes(sqzi_scan *s, size_t at, size_t end)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *t = s->tokenizer;
    s->run = at;
    while (at < end && status == SQZ_OK) {
        const sqzi_byte_kind kind = s->whole ? SQZI_BYTE_OTHER
                                             : (sqzi_byte_kind)t->kind[s->text[at]];
        if (kind == SQZI_BYTE_LETTER && (s->n_codes == 0 || !s->plain)) {
            status = scan_letters(s, at, end, &at);
        } else if (kind == SQZI_BYTE_SPACE) {
            status = sqzi_spell_word(s);
            s->run = ++at;
            s->code++;
        } else {
            if (s->n_codes) sqzi_spell_note(s);
            status = scan_code(s, at, end, &at);
        }
    }
    return status == SQZ_OK ? sqzi_spell_word(s) : status;
}

static sqz_status scan_segments(sqzi_scan *s, sqzi_segmenter *segmenter,
                                sqz_status (*stretch)(sqzi_scan *, size_t, size_t),
                                const sqzi_origin *sources)
{
    sqzi_segment segment;
    while (sqzi_next_segment(segmenter, &segment)) {
        sqz_status status;
        if (!segment.token) {
            status = stretch(s, segment.begin, segment.end);
        } else {
            sqzi_origin first, last;
            if (sources) {
                first = sources[segment.begin];
                last = sources[segment.end - 1];
            } else {
                first = (sqzi_origin){(uint32_t)segment.begin, 0, s->code};
                for (size_t i = segment.begin, length; i < segment.end; i += length, s->code++)
                    (void)sqzi_utf8_next(s->text + i, segment.end - i, &length);
                last = (sqzi_origin){0, (uint32_t)segment.end, s->code - 1};
            }
            status = sqzi_spell_piece(s, segment.token->id, first, last);
            s->words++;
        }
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

/* Words of a normalised stretch: what emit does, with the notes at hand. */
static sqz_status scan_normalised(sqzi_scan *s, size_t begin, size_t end)
{
    const unsigned char *text = s->encoding->normalised.data;
    const sqzi_origin *sources = (const sqzi_origin *)(const void *)s->encoding->sources.data;
    for (size_t at = begin, length; at < end; at += length) {
        const sqz_status status = sqzi_spell_code(s, sqzi_utf8_next(text + at, end - at, &length),
                                                  sources[at]);
        if (status != SQZ_OK) return status;
    }
    return sqzi_spell_word(s);
}

/* A stretch of text without tokens found before normalisation. */
static sqz_status scan_stretch(sqzi_scan *s, size_t begin, size_t end)
{
    const sqzi_added_list *list = &s->tokenizer->added[1];
    if (list->n == 0) return scan_bytes(s, begin, end);
    sqz_encoding *e = s->encoding;
    e->normalised.used = e->sources.used = 0;
    s->whole = true;
    const sqz_status status = scan_bytes(s, begin, end);
    s->whole = false;
    if (status != SQZ_OK) return status;
    sqzi_segmenter segmenter = {
        .list = list, .text = e->normalised.data, .n = e->normalised.used, .literal = s->literal};
    return scan_segments(s, &segmenter, scan_normalised,
                         (const sqzi_origin *)(const void *)e->sources.data);
}

sqz_status sqzi_tokenizer_scan(const sqz_tokenizer *tokenizer, sqz_text text,
                               const sqz_tokenize_options *options, uint8_t sequence,
                               sqz_encoding *encoding, sqz_error *error)
{
    const bool literal = options->literal_special_tokens;
    sqzi_scan s = {.tokenizer = tokenizer,
                   .encoding = encoding,
                   .text = (const unsigned char *)text.bytes,
                   .sequence = sequence,
                   .literal = literal,
                   .error = error};
    s.keep = options->max_length && !options->windows ? options->max_length : UINT32_MAX;
    sqz_status status = sqzi_spell_grow(&s);
    if (status != SQZ_OK) return status;
    encoding->side[sequence].used = 0;
    sqzi_segmenter segmenter = {
        .list = &tokenizer->added[0], .text = s.text, .n = text.n_bytes, .literal = literal};
    status = scan_segments(&s, &segmenter, scan_stretch, NULL);
    encoding->n_side[sequence] = s.n_pieces;
    if (status != SQZ_ELIMIT) return status;
    return sqzi_fail(error, SQZ_ELIMIT, 0,
                     "a text of %zu bytes with over %u pieces: too many to hold; give a max_length "
                     "and cut, or shorter texts",
                     text.n_bytes, s.n_pieces);
}

sqz_status sqzi_tokenizer_normalise(const sqz_tokenizer *tokenizer, sqz_text text,
                                    sqz_encoding *encoding, sqz_error *error)
{
    sqzi_scan s = {.tokenizer = tokenizer,
                   .encoding = encoding,
                   .text = (const unsigned char *)text.bytes,
                   .whole = true,
                   .error = error};
    encoding->normalised.used = encoding->sources.used = 0;
    return scan_bytes(&s, 0, text.n_bytes);
}

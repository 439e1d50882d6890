/* SPDX-License-Identifier: Apache-2.0 */
/* Text to pieces: normalising, cutting into words and spelling the words from the vocabulary, in
 * one walk over the bytes.
 *
 * Stretches of ASCII letters and digits go straight through; everything else goes code point by
 * code point, each of its bytes with a note of where it came from. Offsets of a word that is all
 * ASCII need no notes.
 */
#include "text/scan.h"

#include "base/error.h"
#include "text/unicode.h"

static sqz_status push_piece(sqzi_scan *s, uint32_t id, sqzi_origin first, sqzi_origin last)
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
        *status = push_piece(s, id, origin_of(s, start), origin_of(s, end - 1));
        if (*status != SQZ_OK) return true;
    }
    return true;
}

static sqz_status end_word(sqzi_scan *s)
{
    if (s->n_codes == 0) return SQZ_OK;
    sqz_status status = SQZ_OK;
    const uint32_t before = s->n_pieces;
    if (s->n_codes > s->tokenizer->max_word_chars || !spell(s, &status)) {
        s->n_pieces = before;
        status = push_piece(s, s->tokenizer->special.unk, s->first, s->last);
    }
    s->words++;
    s->n = 0;
    s->n_codes = 0;
    return status;
}

static sqz_status grow_word(sqzi_scan *s)
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
static void note_origins(sqzi_scan *s)
{
    if (!s->plain) return;
    for (size_t i = 0; i < s->n; i++) s->origins[i] = origin_of(s, i);
    s->plain = false;
}

static sqz_status append(sqzi_scan *s, uint32_t code, sqzi_origin origin)
{
    if (s->n + 4 > s->capacity) {
        const sqz_status status = grow_word(s);
        if (status != SQZ_OK) return status;
    }
    if (s->n_codes++ == 0) {
        s->first = origin;
        s->plain = false;
    }
    s->last = origin;
    /* too long for a word: only its end is of interest */
    if (s->n_codes > s->tokenizer->max_word_chars) return SQZ_OK;
    note_origins(s);
    const size_t length = sqzi_utf8_put(code, s->word + s->n);
    for (size_t i = 0; i < length; i++, s->n++) {
        s->origins[s->n] = origin;
        s->hashes[s->n + 1] = s->hashes[s->n] * SQZI_HASH_P + s->word[s->n] + 1;
    }
    return SQZ_OK;
}

/* A normalised code point on its way into words. */
static sqz_status emit(sqzi_scan *s, uint32_t code, sqzi_origin origin)
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
    if (property & SQZI_UNICODE_SPACE) return end_word(s);
    if (!(property & SQZI_UNICODE_PUNCTUATION)) return append(s, code, origin);
    status = end_word(s);
    if (status == SQZ_OK) status = append(s, code, origin);
    return status == SQZ_OK ? end_word(s) : status;
}

sqz_status sqzi_scan_emit(sqzi_scan *s, uint32_t code, sqzi_origin origin)
{
    if (!s->tokenizer->lowercase) return emit(s, code, origin);
    const sqz_status status = emit(s, sqzi_unicode_lower(code), origin);
    return status == SQZ_OK && code == 0x130 ? emit(s, 0x307, origin) : status;
}

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
        return append(s, code, origin);
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
    if (apart) status = emit(s, ' ', origin);
    if (status == SQZ_OK)
        status = t->strip_accents ? strip(s, code, origin, end, next)
                                  : sqzi_scan_emit(s, code, origin);
    return status == SQZ_OK && apart ? emit(s, ' ', origin) : status;
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
            const sqz_status status = grow_word(s);
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
            status = end_word(s);
            s->run = ++at;
            s->code++;
        } else {
            if (s->n_codes) note_origins(s);
            status = scan_code(s, at, end, &at);
        }
    }
    return status == SQZ_OK ? end_word(s) : status;
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
            status = push_piece(s, segment.token->id, first, last);
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
        const sqz_status status = emit(s, sqzi_utf8_next(text + at, end - at, &length),
                                       sources[at]);
        if (status != SQZ_OK) return status;
    }
    return end_word(s);
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
    sqz_status status = grow_word(&s);
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

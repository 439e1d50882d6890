/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers and encodings: their making, and the calls of the public header. */
#include "text/tokenizer.h"

#include "base/error.h"
#include "text/unicode.h"

enum { MAX_TEXT = INT32_MAX, MAX_PIECE = 4096, MAX_WORD_CHARS = 1 << 16 };

sqz_status sqzi_encoding_open(const sqz_allocator *allocator, sqz_encoding **out, sqz_error *error)
{
    sqz_encoding *e = sqzi_allocate_zeroed(allocator, 1, sizeof *e);
    if (!e) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an encoding");
    e->allocator = *allocator;
    sqzi_buffer *const buffers[] = {&e->side[0], &e->side[1],    &e->pieces,  &e->ids,
                                    &e->types,   &e->first,      &e->word,    &e->origins,
                                    &e->hashes,  &e->normalised, &e->sources, &e->run};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        *buffers[i] = (sqzi_buffer){.allocator = &e->allocator, .limit = SIZE_MAX / 2};
    *out = e;
    return SQZ_OK;
}

void sqz_encoding_close(sqz_encoding *e)
{
    if (!e) return;
    sqzi_buffer *const buffers[] = {&e->side[0], &e->side[1],    &e->pieces,  &e->ids,
                                    &e->types,   &e->first,      &e->word,    &e->origins,
                                    &e->hashes,  &e->normalised, &e->sources, &e->run};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) sqzi_buffer_free(buffers[i]);
    const sqz_allocator allocator = e->allocator;
    sqzi_release(&allocator, e, sizeof *e);
}

uint32_t sqz_encoding_windows(const sqz_encoding *e)
{
    return e->n_windows;
}

uint32_t sqz_encoding_first(const sqz_encoding *e, uint32_t window)
{
    return e->n_windows ? ((const uint32_t *)(const void *)
                               e->first.data)[window <= e->n_windows ? window : e->n_windows]
                        : 0;
}

const sqz_piece *sqz_encoding_pieces(const sqz_encoding *e)
{
    return (const sqz_piece *)(const void *)e->pieces.data;
}

const uint32_t *sqz_encoding_ids(const sqz_encoding *e)
{
    return (const uint32_t *)(const void *)e->ids.data;
}

const uint8_t *sqz_encoding_types(const sqz_encoding *e)
{
    return e->types.data;
}

uint32_t sqz_encoding_cut(const sqz_encoding *e)
{
    return e->cut;
}

static void fill_kinds(sqz_tokenizer *t)
{
    for (uint32_t b = 0; b < 256; b++) {
        const uint8_t p = b < 128 ? sqzi_unicode_property(b) : 0;
        const bool dropped = t->clean_text && p & SQZI_UNICODE_DROP;
        t->kind[b] = b >= 128 || dropped || p & SQZI_UNICODE_PUNCTUATION ? SQZI_BYTE_OTHER
                     : p & SQZI_UNICODE_SPACE                            ? SQZI_BYTE_SPACE
                                                                         : SQZI_BYTE_LETTER;
        if (b < 128) t->lower[b] = (uint8_t)(t->lowercase ? sqzi_unicode_lower(b) : b);
    }
}

static sqz_status copy_template(sqz_tokenizer *t, int pair, const sqzi_template_item *items,
                                uint32_t n, sqz_error *error)
{
    bool seen[2] = {false, false};
    for (uint32_t i = 0; i < n; i++) {
        const bool text = items[i].sequence <= 1;
        if ((text && (seen[items[i].sequence] || items[i].sequence > pair)) ||
            (!text && items[i].id == UINT32_MAX))
            return sqzi_fail(
                error, SQZ_EFORMAT, i,
                "item %u of the template of %s names a text twice or one that is not there", i,
                pair ? "a pair" : "one text");
        if (text) seen[items[i].sequence] = true;
    }
    if (!seen[0] || seen[1] != pair)
        return sqzi_fail(error, SQZ_EFORMAT, 0, "the template of %s must hold each text once",
                         pair ? "a pair" : "one text");
    t->templates[pair] = sqzi_allocate_zeroed(&t->allocator, n, sizeof **t->templates);
    if (!t->templates[pair]) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a template");
    memcpy(t->templates[pair], items, n * sizeof *items);
    t->n_template[pair] = n;
    return SQZ_OK;
}

static sqz_status make_powers(sqz_tokenizer *t, sqz_error *error)
{
    const uint32_t longest = t->vocabulary.longest[0] > t->vocabulary.longest[1]
                                 ? t->vocabulary.longest[0]
                                 : t->vocabulary.longest[1];
    const uint32_t word = t->max_word_chars < MAX_PIECE / 4 ? 4 * t->max_word_chars : MAX_PIECE;
    t->max_piece = longest < word ? longest : word;
    t->powers = sqzi_allocate(&t->allocator, (t->max_piece + 1) * sizeof *t->powers);
    if (!t->powers) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a tokenizer");
    t->powers[0] = 1;
    for (uint32_t i = 0; i < t->max_piece; i++) t->powers[i + 1] = t->powers[i] * SQZI_HASH_P;
    return SQZ_OK;
}

/* Tokens that are matched after normalisation are spelt normalised. */
static sqz_status normalise_added(sqz_tokenizer *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_encoding *encoding = NULL;
    sqzi_added_list *list = &t->added[1];
    if (list->n == 0) return SQZ_OK;
    TRY(sqzi_encoding_open(&t->allocator, &encoding, error));
    for (uint32_t i = 0; i < list->n; i++) {
        sqzi_added *added = &list->tokens[i];
        TRY(sqzi_tokenizer_normalise(t, (sqz_text){added->text, added->n}, encoding, error));
        const size_t n = encoding->normalised.used;
        char *text = sqzi_allocate(&t->allocator, n + 1);
        FAIL_IF(!text, SQZ_ENOMEM, 0, "no memory for an added token");
        if (n) memcpy(text, encoding->normalised.data, n);
        text[n] = '\0';
        sqzi_release(&t->allocator, added->text, added->n + 1);
        added->text = text;
        added->n = n;
    }
    sqzi_added_list_sort(list);
fail:
    sqz_encoding_close(encoding);
    return status;
}

static sqz_status open_vocabulary(sqz_tokenizer *t, const sqzi_tokenizer_spec *spec,
                                  sqz_error *error)
{
    bool *apart = sqzi_allocate_zeroed(&t->allocator, spec->n_pieces, sizeof *apart);
    if (!apart) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a tokenizer");
    for (uint32_t i = 0; i < spec->n_added; i++)
        if (spec->added[i].id < spec->n_pieces && spec->added[i].flags & SQZI_ADDED_APART)
            apart[spec->added[i].id] = true;
    const sqz_status status = sqzi_vocabulary_open(&t->allocator, spec->pieces, spec->n_pieces,
                                                   apart, spec->prefix, &t->vocabulary, error);
    sqzi_release(&t->allocator, apart, spec->n_pieces * sizeof *apart);
    return status;
}

sqz_status sqzi_tokenizer_open(const sqz_allocator *allocator, const sqzi_tokenizer_spec *spec,
                               sqz_tokenizer **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_tokenizer *t = sqzi_allocate_zeroed(allocator, 1, sizeof *t);
    FAIL_IF(!t, SQZ_ENOMEM, 0, "no memory for a tokenizer");
    t->allocator = *allocator;
    t->clean_text = spec->clean_text;
    t->handle_chinese_chars = spec->handle_chinese_chars;
    t->strip_accents = spec->strip_accents;
    t->lowercase = spec->lowercase;
    t->max_word_chars = spec->max_word_chars;
    t->special = spec->special;
    FAIL_IF(spec->special.unk >= spec->n_pieces, SQZ_EFORMAT, 0,
            "the vocabulary has no unknown token: [UNK], or what the tokenizer calls it, must be "
            "one of its %u pieces",
            spec->n_pieces);
    FAIL_IF(spec->max_word_chars < 1 || spec->max_word_chars > MAX_WORD_CHARS, SQZ_EFORMAT, 0,
            "words of at most %u characters: 1 to %d are allowed", spec->max_word_chars,
            MAX_WORD_CHARS);
    TRY(open_vocabulary(t, spec, error));
    TRY(make_powers(t, error));
    fill_kinds(t);
    for (int i = 0; i < 2; i++)
        TRY(sqzi_added_list_open(&t->allocator, spec->added, spec->n_added, i == 1, &t->added[i],
                                 error));
    TRY(normalise_added(t, error));
    for (int i = 0; i < 2; i++)
        TRY(sqzi_added_list_index(&t->allocator, &t->added[i], error));
    TRY(copy_template(t, 0, spec->single, spec->n_single, error));
    TRY(copy_template(t, 1, spec->pair, spec->n_pair, error));
    *out = t;
    return SQZ_OK;
fail:
    sqzi_tokenizer_close(t);
    return status;
}

void sqzi_tokenizer_close(sqz_tokenizer *t)
{
    if (!t) return;
    const sqz_allocator allocator = t->allocator;
    if (t->vocabulary.slots || t->vocabulary.bytes)
        sqzi_vocabulary_close(&allocator, &t->vocabulary);
    if (t->powers) sqzi_release(&allocator, t->powers, (t->max_piece + 1) * sizeof *t->powers);
    for (int i = 0; i < 2; i++) {
        if (t->added[i].tokens) sqzi_added_list_close(&allocator, &t->added[i]);
        if (t->templates[i])
            sqzi_release(&allocator, t->templates[i], t->n_template[i] * sizeof **t->templates);
    }
    sqzi_release(&allocator, t, sizeof *t);
}

/* What a text may make of itself: with the copies that windows and tasks take, 16 times its bytes
 * and some 64 MB. Real text of a few MB fits; a longer one has to be cut, or come in more than one
 * line. */
static void set_limits(sqz_encoding *e, size_t first, size_t second)
{
    enum { PIECES = 8 << 20, NOTES = 12 << 20, WINDOWS = 20 << 20 };
    e->side[0].limit = 3 * first + PIECES;
    e->side[1].limit = 3 * second + PIECES;
    e->sources.limit = e->run.limit = 4 * (first + second) + NOTES;
    e->pieces.limit = 4 * (first + second) + WINDOWS;
}

sqz_status sqz_tokenize(const sqz_tokenizer *tokenizer, sqz_text first, const sqz_text *second,
                        const sqz_tokenize_options *options, sqz_encoding *encoding,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_tokenize_options defaults;
    if (!tokenizer || !encoding)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "sqz_tokenize: the tokenizer or the encoding is NULL");
    const sqz_tokenize_options *o = options ? options : &defaults;
    encoding->n_windows = encoding->cut = 0;
    TRY(SQZI_RESERVED(options, "sqz_tokenize_options", error));
    FAIL_IF(first.n_bytes > MAX_TEXT || (second && second->n_bytes > MAX_TEXT), SQZ_ELIMIT, 0,
            "a text of %zu bytes: at most 2^31 - 1 are allowed",
            first.n_bytes > MAX_TEXT ? first.n_bytes : second->n_bytes);
    set_limits(encoding, first.n_bytes, second ? second->n_bytes : 0);
    TRY(sqzi_tokenizer_scan(tokenizer, first, o, 0, encoding, error));
    if (second) TRY(sqzi_tokenizer_scan(tokenizer, *second, o, 1, encoding, error));
    TRY(sqzi_tokenizer_finish(tokenizer, second != NULL, o, encoding, error));
fail:
    return status;
}

uint32_t sqz_tokenizer_size(const sqz_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.n;
}

const char *sqz_tokenizer_piece(const sqz_tokenizer *tokenizer, uint32_t id)
{
    /* as `tokenizers` spells it: an added token that is matched after normalisation, normalised */
    const sqzi_added *added = sqzi_added_list_find(&tokenizer->added[1], id);
    return added                          ? added->text
           : id < tokenizer->vocabulary.n ? sqzi_vocabulary_piece(&tokenizer->vocabulary, id).bytes
                                          : NULL;
}

uint32_t sqz_tokenizer_id(const sqz_tokenizer *tokenizer, const char *piece)
{
    const size_t n = strlen(piece);
    const uint32_t found = sqzi_vocabulary_find(&tokenizer->vocabulary, piece, n,
                                                sqzi_vocabulary_hash(piece, n), 0);
    if (found != UINT32_MAX) return found;
    for (uint32_t i = 0; i < 2; i++) /* those apart are not in the table */
        for (uint32_t k = 0; k < tokenizer->added[i].n; k++) {
            const uint32_t id = tokenizer->added[i].tokens[k].id;
            if (id < tokenizer->vocabulary.n &&
                strcmp(sqzi_vocabulary_piece(&tokenizer->vocabulary, id).bytes, piece) == 0)
                return id;
        }
    return UINT32_MAX;
}

sqz_special_tokens sqz_tokenizer_special(const sqz_tokenizer *tokenizer)
{
    return tokenizer->special;
}

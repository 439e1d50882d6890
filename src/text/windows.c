/* SPDX-License-Identifier: Apache-2.0 */
/* From the pieces of one or two texts to windows with their template: what is cut, in the way of
 * `tokenizers` (truncate_encodings, Encoding::truncate, TemplateProcessing,
 * Encoding::merge_with). */
#include "base/error.h"
#include "text/tokenizer.h"

/* How one side is cut: windows of `most` pieces, each beginning `step` after the one before. */
typedef struct cut {
    uint32_t n, most, step, windows;
} cut;

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static cut whole(uint32_t n)
{
    return (cut){n, n, n ? n : 1, 1};
}

/* The side cut to `most` pieces, with windows where there is something to repeat. */
static sqz_status cut_to(uint32_t n, uint32_t most, const sqz_tokenize_options *options, cut *out,
                         sqz_error *error)
{
    *out = whole(n);
    if (most >= n) return SQZ_OK;
    *out = (cut){n, most, most ? most : 1, 1};
    if (!options->windows) return SQZ_OK;
    if (options->stride >= most)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "the stride is %u, a window holds %u pieces of this text: it must repeat "
                         "fewer than it holds",
                         options->stride, most);
    out->step = most - options->stride;
    out->windows = 1 + (n - most + out->step - 1) / out->step;
    return SQZ_OK;
}

/* The lengths of both sides after LongestFirst. */
static void share(uint32_t room, uint32_t *a, uint32_t *b)
{
    const bool swapped = *a > *b;
    uint32_t n1 = swapped ? *b : *a, n2;
    n2 = n1 > room ? n1 : n1 > room - n1 ? n1 : room - n1;
    if ((uint64_t)n1 + n2 > room) {
        n1 = room / 2;
        n2 = n1 + room % 2;
    }
    *a = swapped ? n2 : n1;
    *b = swapped ? n1 : n2;
}

static sqz_status plan(uint32_t a, uint32_t b, bool pair, uint32_t room,
                       const sqz_tokenize_options *options, cut cuts[2], sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t total = (uint64_t)a + b;
    cuts[0] = whole(a);
    cuts[1] = whole(b);
    if (total <= room) return SQZ_OK;
    const uint64_t over = total - room;
    uint32_t to_a = a, to_b = b;
    switch (options->truncation) {
    case SQZ_TRUNCATE_ERROR:
        return sqzi_fail(error, SQZ_ETOOLONG, 0, "the text has %llu pieces, %u fit",
                         (unsigned long long)total, room);
    case SQZ_TRUNCATE_ONLY_SECOND:
        if (!pair)
            return sqzi_fail(error, SQZ_ETOOLONG, 0,
                             "the text has %u pieces, %u fit, and only the second text may be cut: "
                             "there is none",
                             a, room);
        if (b <= over)
            return sqzi_fail(error, SQZ_ETOOLONG, 0,
                             "%llu pieces are too many, and the second text has only %u",
                             (unsigned long long)over, b);
        to_b = b - (uint32_t)over;
        break;
    case SQZ_TRUNCATE_ONLY_FIRST:
        if (a <= over && pair)
            return sqzi_fail(error, SQZ_ETOOLONG, 0,
                             "%llu pieces are too many, and the first text has only %u",
                             (unsigned long long)over, a);
        to_a = a - (uint32_t)over;
        break;
    default:
        if (pair) share(room, &to_a, &to_b);
        else to_a = room;
    }
    TRY(cut_to(a, to_a, options, &cuts[0], error));
    TRY(cut_to(b, to_b, options, &cuts[1], error));
fail:
    return status;
}

/* Where pieces of the result are written. */
typedef struct target {
    sqz_piece *pieces;
    uint32_t *ids;
    uint8_t *types;
    uint32_t n;
} target;

static void put(target *to, sqz_piece piece)
{
    to->pieces[to->n] = piece;
    to->ids[to->n] = piece.id;
    to->types[to->n] = piece.type;
    to->n++;
}

static void put_window(const sqz_tokenizer *tokenizer, bool pair, bool special,
                       const sqz_encoding *encoding, const cut cuts[2], uint32_t i, uint32_t j,
                       target *to)
{
    const uint32_t at[] = {i, j};
    for (uint32_t k = 0; k < tokenizer->n_template[pair]; k++) {
        const sqzi_template_item *item = &tokenizer->templates[pair][k];
        if (item->sequence > 1) {
            if (special)
                put(to, (sqz_piece){.id = item->id,
                                    .word = UINT32_MAX,
                                    .type = item->type,
                                    .sequence = 255,
                                    .special = 1});
            continue;
        }
        const cut *c = &cuts[item->sequence];
        const sqz_piece *from =
            (const sqz_piece *)(const void *)encoding->side[item->sequence].data;
        const uint32_t begin = at[item->sequence] * c->step,
                       end = begin + smaller(c->most, c->n - begin);
        for (uint32_t p = begin; p < end; p++) {
            sqz_piece piece = from[p];
            piece.type = item->type;
            put(to, piece);
        }
    }
}

static sqz_status reserve(sqz_encoding *e, uint64_t n_pieces, uint64_t n_windows, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t most = e->pieces.limit / sizeof(sqz_piece);
    FAIL_IF(n_pieces > most || n_pieces >= UINT32_MAX || n_windows > most, SQZ_ELIMIT, 0,
            "%llu windows of this text hold %llu pieces, at most %llu are allowed",
            (unsigned long long)n_windows, (unsigned long long)n_pieces, (unsigned long long)most);
    e->pieces.used = e->ids.used = e->types.used = e->first.used = 0;
    TRY(sqzi_buffer_reserve(&e->pieces, (size_t)n_pieces * sizeof(sqz_piece), error));
    TRY(sqzi_buffer_reserve(&e->ids, (size_t)n_pieces * sizeof(uint32_t), error));
    TRY(sqzi_buffer_reserve(&e->types, (size_t)n_pieces, error));
    TRY(sqzi_buffer_reserve(&e->first, (size_t)(n_windows + 1) * sizeof(uint32_t), error));
fail:
    return status;
}

static uint32_t count_special(const sqz_tokenizer *tokenizer, bool pair)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < tokenizer->n_template[pair]; k++)
        n += tokenizer->templates[pair][k].sequence > 1;
    return n;
}

/* Windows in the order of `tokenizers`: the first of both, then each further one of the first text
 * with every one of the second, then the first one of the first text with the further ones of the
 * second. */
static void put_windows(const sqz_tokenizer *tokenizer, bool pair, bool special, sqz_encoding *e,
                        const cut cuts[2])
{
    target to = {(sqz_piece *)(void *)e->pieces.data, (uint32_t *)(void *)e->ids.data,
                 e->types.data, 0};
    uint32_t *first = (uint32_t *)(void *)e->first.data, n = 0;
    first[0] = 0;
    for (uint32_t turn = 0; turn < cuts[0].windows; turn++)
        for (uint32_t j = 0; j < (turn == 0 ? 1 : cuts[1].windows); j++) {
            put_window(tokenizer, pair, special, e, cuts, turn, j, &to);
            first[++n] = to.n;
        }
    for (uint32_t j = 1; j < cuts[1].windows; j++) {
        put_window(tokenizer, pair, special, e, cuts, 0, j, &to);
        first[++n] = to.n;
    }
    e->n_windows = n;
}

sqz_status sqzi_tokenizer_finish(const sqz_tokenizer *tokenizer, bool pair,
                                 const sqz_tokenize_options *options, sqz_encoding *e,
                                 sqz_error *error)
{
    sqz_status status = SQZ_OK;
    cut cuts[2];
    const bool special = !options->no_special_tokens;
    const uint32_t n_special = special ? count_special(tokenizer, pair) : 0;
    const uint32_t a = e->n_side[0], b = pair ? e->n_side[1] : 0;
    FAIL_IF(options->max_length && options->max_length < n_special, SQZ_EINVAL, 0,
            "max_length is %u, the special tokens alone are %u", options->max_length, n_special);
    const uint32_t room = options->max_length ? options->max_length - n_special : UINT32_MAX;
    TRY(plan(a, b, pair, room, options, cuts, error));
    const uint64_t n_windows = (uint64_t)cuts[0].windows * cuts[1].windows;
    TRY(reserve(e, n_windows * ((uint64_t)cuts[0].most + cuts[1].most + n_special), n_windows,
                error));
    put_windows(tokenizer, pair, special, e, cuts);
    e->cut = options->windows ? 0 : cuts[0].n - cuts[0].most + cuts[1].n - cuts[1].most;
fail:
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which pieces stay, and the rows of the table that go with them. */
#include "squeeze/vocabulary_pruning.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/possible_pieces.h"
#include "text/tokenizer.h"

/* Why a piece stays. */
enum { FIXED = 1, SEEN = 2, SINGLE = 4, POSSIBLE = 8 };

typedef struct pruning {
    const sqz_model *model;
    const sqz_allocator *allocator;
    uint32_t n;   /* rows of the model's table */
    uint8_t *why; /* [n] */
    sqz_encoding *encoding;
} pruning;

static void fix(const pruning *p, uint32_t id)
{
    if (id < p->n) p->why[id] |= FIXED;
}

/* Special and added tokens, and what templates put around a text. */
static void fix_tokens(const pruning *p, const sqz_tokenizer *t)
{
    const uint32_t special[] = {t->special.unk, t->special.cls, t->special.sep, t->special.pad,
                                t->special.mask};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) fix(p, special[i]);
    for (int i = 0; i < 2; i++) {
        for (uint32_t j = 0; j < t->added[i].n; j++) fix(p, t->added[i].tokens[j].id);
        for (uint32_t j = 0; j < t->n_template[i]; j++)
            if (t->templates[i][j].sequence > 1) fix(p, t->templates[i][j].id);
    }
}

/* Those of one text; how many of its own. */
static sqz_status see(const pruning *p, const sqz_tokenizer *t, sqz_text text, uint64_t *pieces,
                      sqz_error *error)
{
    const sqz_tokenize_options whole = {.no_special_tokens = 1};
    const sqz_status status = sqz_tokenize(t, text, NULL, &whole, p->encoding, error);
    if (status != SQZ_OK) return status;
    const uint32_t n = sqz_encoding_first(p->encoding, sqz_encoding_windows(p->encoding)),
                   *ids = sqz_encoding_ids(p->encoding);
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < p->n) p->why[ids[i]] |= SEEN;
    *pieces += n;
    return SQZ_OK;
}

/* Texts by both tokenizers where embeddings have one of their own, and the model's prompts. */
static sqz_status see_texts(const pruning *p, const sqz_text *texts, size_t n, uint64_t *pieces,
                            sqz_error *error)
{
    const sqz_tokenizer *const tokenizers[] = {p->model->lowering_tokenizer, p->model->tokenizer};
    sqz_status status = SQZ_OK;
    for (int i = 0; i < 2; i++) {
        if (!tokenizers[i]) continue;
        uint64_t ignored = 0;
        *pieces = 0;
        for (size_t j = 0; j < n; j++) TRY(see(p, tokenizers[i], texts[j], pieces, error));
        for (uint32_t j = 0; j < p->model->n_prompts; j++) {
            const char *prompt = p->model->prompts[j];
            TRY(see(p, tokenizers[i], (sqz_text){prompt, strlen(prompt)}, &ignored, error));
        }
    }
fail:
    return status;
}

static bool stays(const pruning *p, uint32_t id, bool corpus)
{
    const uint8_t why = p->why[id];
    return why & FIXED || (why & POSSIBLE && (!corpus || why & (SEEN | SINGLE)));
}

/* ---- the table ---- */

/* The numbers in `rows` [old, n] of the rows that are kept, as a block of their own. */
static void *gather(const sqz_allocator *allocator, const void *rows, size_t bytes_of_row,
                    const uint32_t *order, uint32_t n)
{
    unsigned char *out = sqzi_allocate(allocator, n * bytes_of_row);
    for (size_t i = 0; out && i < n; i++)
        memcpy(out + i * bytes_of_row, (const unsigned char *)rows + order[i] * bytes_of_row,
               bytes_of_row);
    return out;
}

/* Row i of the table becomes row order[i] of what it was. */
static sqz_status keep_rows(sqzi_weights *w, const uint32_t *order, uint32_t n, uint32_t *kept,
                            sqz_error *error)
{
    const sqz_allocator *allocator = &w->model->context->allocator;
    sqzi_weight_matrix *word = &w->word;
    const size_t rows = word->rows, bytes = word->columns * sizeof(float), parts = w->product.parts;
    float *values = word->values ? gather(allocator, word->values, bytes, order, n) : NULL;
    uint8_t *codes = parts ? gather(allocator, w->product.codes, parts, order, n) : NULL;
    if ((word->values && !values) || (parts && !codes)) {
        sqzi_release(allocator, values, n * bytes);
        sqzi_release(allocator, codes, n * parts);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a table of %u pieces", n);
    }
    sqzi_weight_matrix_unround(w, word);
    sqzi_release(allocator, word->values, rows * bytes);
    sqzi_release(allocator, w->product.codes, rows * parts);
    sqzi_release(allocator, w->kept_words, rows * sizeof *kept);
    word->values = values;
    w->product.codes = codes;
    w->kept_words = kept;
    word->rows = n;
    return SQZ_OK;
}

/* A decoder that is not the table itself has an output for each piece. */
static sqz_status keep_outputs(sqzi_weights *w, const uint32_t *order, uint32_t n, sqz_error *error)
{
    for (uint32_t i = 0; i < w->n_others; i++)
        if (w->model->info.head == SQZ_HEAD_MASKED_LM &&
            strcmp(w->others[i].name, "head.output") == 0)
            return sqzi_weight_linear_keep_outputs(w, &w->others[i].linear, order, n, error);
    return SQZ_OK;
}

static sqz_status keep(sqzi_weights *w, const pruning *p, bool corpus,
                       sqzi_vocabulary_report *report, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t rows = w->word.rows;
    uint32_t n = 0, impossible = 0, *order = sqzi_allocate(p->allocator, rows * sizeof *order),
             *kept = NULL;
    FAIL_IF(!order, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", rows);
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t id = w->kept_words ? w->kept_words[r] : r;
        if (stays(p, id, corpus)) order[n++] = r;
        impossible += !(p->why[id] & (FIXED | POSSIBLE));
    }
    FAIL_IF(n == 0, SQZ_EINVAL, 0, "no piece of the vocabulary can occur in a text");
    kept = sqzi_allocate(p->allocator, n * sizeof *kept);
    FAIL_IF(!kept, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", n);
    for (uint32_t i = 0; i < n; i++) kept[i] = w->kept_words ? w->kept_words[order[i]] : order[i];
    TRY(keep_outputs(w, order, n, error));
    TRY(keep_rows(w, order, n, kept, error));
    kept = NULL;
    report->before = rows;
    report->after = n;
    report->impossible = impossible;
fail:
    sqzi_release(p->allocator, kept, n * sizeof *kept);
    sqzi_release(p->allocator, order, rows * sizeof *order);
    return status;
}

/* ---- new texts ---- */

/* Pieces of texts [1], [3], ... when the vocabulary holds what [0], [2], ... need. */
static sqz_status try_new(const pruning *p, const sqz_text *texts, size_t n, uint64_t *before,
                          uint64_t *after, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *whole = sqz_model_embed_tokenizer(p->model);
    sqz_tokenizer *pruned = NULL;
    uint64_t ignored = 0;
    for (size_t j = 0; j < n; j += 2) TRY(see(p, whole, texts[j], &ignored, error));
    bool *left_out = sqzi_allocate_zeroed(p->allocator, p->n, sizeof *left_out);
    FAIL_IF(!left_out, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", p->n);
    for (uint32_t id = 0; id < p->n; id++) left_out[id] = !stays(p, id, true);
    status = sqzi_tokenizer_without(whole, left_out, p->n, &pruned, error);
    sqzi_release(p->allocator, left_out, p->n * sizeof *left_out);
    for (size_t j = 1; j < n && status == SQZ_OK; j += 2) {
        status = see(p, pruned, texts[j], after, error);
        if (status == SQZ_OK) status = see(p, whole, texts[j], before, error);
    }
fail:
    sqzi_tokenizer_close(pruned);
    return status;
}

static sqz_status look(const pruning *p, const sqz_text *texts, size_t n,
                       sqzi_vocabulary_report *report, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *const tokenizers[] = {p->model->tokenizer, p->model->lowering_tokenizer};
    uint64_t before = 0, after = 0, pieces = 0;
    bool *possible = sqzi_allocate_zeroed(p->allocator, p->n, 2 * sizeof *possible);
    FAIL_IF(!possible, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", p->n);
    for (int i = 0; i < 2 && status == SQZ_OK; i++) {
        if (!tokenizers[i]) continue;
        fix_tokens(p, tokenizers[i]);
        status = sqzi_possible_pieces(tokenizers[i], p->n, possible, possible + p->n, error);
    }
    for (uint32_t id = 0; id < p->n; id++)
        p->why[id] |= (uint8_t)((possible[id] ? POSSIBLE : 0) | (possible[p->n + id] ? SINGLE : 0));
    sqzi_release(p->allocator, possible, 2 * p->n * sizeof *possible);
    if (status != SQZ_OK || n == 0) return status;
    TRY(try_new(p, texts, n, &before, &after, error));
    TRY(see_texts(p, texts, n, &pieces, error));
    FAIL_IF(pieces == 0, SQZ_EINVAL, 0, "the texts for the vocabulary hold no piece");
    if (n > 1) {
        report->tokens_before = (double)before / (double)(n / 2);
        report->tokens_after = (double)after / (double)(n / 2);
    }
fail:
    return status;
}

sqz_status sqzi_squeeze_vocabulary(sqzi_weights *w, const sqz_text *texts, size_t n,
                                   sqzi_vocabulary_report *report, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_vocabulary_report found = {0};
    pruning p = {.model = w->model,
                 .allocator = &w->model->context->allocator,
                 .n = w->model->info.vocabulary};
    p.why = sqzi_allocate_zeroed(p.allocator, p.n, sizeof *p.why);
    FAIL_IF(!p.why, SQZ_ENOMEM, 0, "no memory for a vocabulary of %u pieces", p.n);
    TRY(sqzi_encoding_open(p.allocator, &p.encoding, error));
    TRY(look(&p, texts, n, &found, error));
    TRY(keep(w, &p, n > 0, &found, error));
    if (report) *report = found;
fail:
    sqz_encoding_close(p.encoding);
    sqzi_release(p.allocator, p.why, p.n * sizeof *p.why);
    return status;
}

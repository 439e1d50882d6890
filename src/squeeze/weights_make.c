/* SPDX-License-Identifier: Apache-2.0 */
/* A model's weights as floats: read from its file by the names that they have there, whatever they
 * are stored as. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "squeeze/weights.h"

/* ---- matrices ---- */

static const sqz_allocator *allocator_of(const sqzi_weights *w)
{
    return &w->model->context->allocator;
}

size_t sqzi_weight_multipliers(const sqzi_weight_matrix *matrix)
{
    return (size_t)matrix->rows * ((matrix->columns + 31) / 32);
}

sqz_status sqzi_weight_matrix_make(const sqzi_weights *w, uint32_t rows, uint32_t columns,
                                   uint32_t groups, sqzi_weight_matrix *matrix, sqz_error *error)
{
    size_t n = 0;
    const bool fits = sqzi_multiply(rows, columns, &n);
    float *values = fits ? sqzi_allocate_zeroed(allocator_of(w), n, sizeof *values) : NULL;
    if (!values)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a matrix of %u x %u", rows, columns);
    sqzi_weight_matrix_drop(w, matrix);
    *matrix =
        (sqzi_weight_matrix){.rows = rows, .columns = columns, .groups = groups, .values = values};
    return SQZ_OK;
}

void sqzi_weight_matrix_unround(const sqzi_weights *w, sqzi_weight_matrix *matrix)
{
    const sqz_allocator *allocator = allocator_of(w);
    sqzi_rounded *r = &matrix->rounded;
    sqzi_release(allocator, r->integers, (size_t)matrix->rows * matrix->columns);
    sqzi_release(allocator, r->scale, matrix->rows * sizeof *r->scale);
    sqzi_release(allocator, r->multipliers, sqzi_weight_multipliers(matrix));
    *r = (sqzi_rounded){0};
    matrix->storage = SQZI_STORED_F32;
}

sqz_status sqzi_weight_matrix_round(const sqzi_weights *w, sqzi_storage storage,
                                    sqzi_weight_matrix *matrix, sqz_error *error)
{
    const sqz_allocator *allocator = allocator_of(w);
    const bool groups = storage != SQZI_STORED_S8;
    const size_t n = (size_t)matrix->rows * matrix->columns;
    sqzi_weight_matrix_unround(w, matrix);
    sqzi_rounded *r = &matrix->rounded;
    r->integers = sqzi_allocate_zeroed(allocator, n, 1);
    r->scale = sqzi_allocate_zeroed(allocator, matrix->rows, sizeof *r->scale);
    if (groups)
        r->multipliers = sqzi_allocate_zeroed(allocator, sqzi_weight_multipliers(matrix), 1);
    if (!r->integers || !r->scale || (groups && !r->multipliers)) {
        sqzi_weight_matrix_unround(w, matrix);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu integers", n);
    }
    matrix->storage = storage;
    return SQZ_OK;
}

void sqzi_weight_matrix_drop(const sqzi_weights *w, sqzi_weight_matrix *matrix)
{
    sqzi_weight_matrix_unround(w, matrix);
    sqzi_release(allocator_of(w), matrix->values,
                 (size_t)matrix->rows * matrix->columns * sizeof *matrix->values);
    *matrix = (sqzi_weight_matrix){0};
}

/* ---- linears ---- */

sqz_status sqzi_weight_linear_add_bias(const sqzi_weights *w, sqzi_weight_linear *linear,
                                       sqz_error *error)
{
    if (linear->bias) return SQZ_OK;
    linear->bias = sqzi_allocate_zeroed(allocator_of(w), linear->n_out, sizeof *linear->bias);
    return linear->bias ? SQZ_OK
                        : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a bias of %u numbers",
                                    linear->n_out);
}

void sqzi_weight_linear_drop(const sqzi_weights *w, sqzi_weight_linear *linear)
{
    const sqz_allocator *allocator = allocator_of(w);
    for (uint32_t t = 0; t < SQZI_MAX_TERMS; t++) {
        sqzi_weight_matrix_drop(w, &linear->terms[t].a);
        sqzi_weight_matrix_drop(w, &linear->terms[t].b);
    }
    sqzi_release(allocator, linear->bias, linear->n_out * sizeof *linear->bias);
    sqzi_release(allocator, linear->in, linear->n_in * sizeof *linear->in);
    sqzi_release(allocator, linear->out, linear->n_out * sizeof *linear->out);
    *linear = (sqzi_weight_linear){0};
}

void sqzi_weight_block_drop(const sqzi_weights *w, sqzi_weight_block *block)
{
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        sqzi_weight_linear_drop(w, &block->linears[j]);
}

void sqzi_weights_discard(sqzi_weights *w)
{
    if (!w->model) return;
    const sqz_allocator *allocator = allocator_of(w);
    const sqzi_weight_product *p = &w->product;
    const size_t rows = w->word.rows, width = w->word.columns;
    for (uint32_t i = 0; i < w->n_blocks; i++) sqzi_weight_block_drop(w, &w->blocks[i]);
    sqzi_release(allocator, w->blocks, w->n_made * sizeof *w->blocks);
    sqzi_release(allocator, p->codes, rows * p->parts);
    sqzi_release(allocator, p->centroids, 256 * width);
    sqzi_release(allocator, p->scale, (size_t)256 * p->parts * sizeof *p->scale);
    sqzi_release(allocator, w->kept_words, rows * sizeof *w->kept_words);
    sqzi_weight_matrix *const tables[] = {&w->word, &w->factor, &w->position, &w->type};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        sqzi_weight_matrix_drop(w, tables[i]);
    sqzi_weight_linear_drop(w, &w->projection);
    for (uint32_t i = 0; i < w->n_others; i++) sqzi_weight_linear_drop(w, &w->others[i].linear);
    sqzi_release(allocator, w->others, w->n_others * sizeof *w->others);
    sqzi_release(allocator, w->ones, (size_t)2 * w->n_ones * sizeof *w->ones);
    *w = (sqzi_weights){0};
}

/* ---- reading ---- */

/* The matrix of this name, if there is one. */
static sqz_status read_matrix(const sqzi_weights *w, const char *name, uint32_t columns,
                              uint32_t groups, sqzi_weight_matrix *matrix, sqz_error *error)
{
    const sqzi_stored stored = sqzi_stored_of(w->model->gguf, name, columns);
    const sqzi_gguf_tensor *t = stored.tensor;
    if (!t) return SQZ_OK;
    const sqz_status status = sqzi_weight_matrix_make(w, (uint32_t)stored.rows, columns, groups,
                                                      matrix, error);
    if (status != SQZ_OK) return status;
    for (size_t r = 0; r < matrix->rows; r++) {
        float *row = matrix->values + r * columns;
        sqzi_stored_row_f32(&stored, r, row);
        for (size_t i = 0; i < columns; i++)
            if (!isfinite(row[i]))
                return sqzi_fail(error, SQZ_ENUMERIC, t->offset,
                                 "tensor '%s' holds a NaN or an infinity", name);
    }
    sqzi_file_map_drop(&w->model->map, (size_t)t->offset, (size_t)t->bytes);
    return SQZ_OK;
}

static sqz_status read_bias(const sqzi_weights *w, const char *name, sqzi_weight_linear *linear,
                            sqz_error *error)
{
    char full[SQZI_TENSOR_NAME];
    snprintf(full, sizeof full, "%s.bias", name);
    const sqzi_gguf_tensor *t = sqzi_gguf_find_tensor(w->model->gguf, full);
    if (!t) return SQZ_OK;
    const sqz_status status = sqzi_weight_linear_add_bias(w, linear, error);
    if (status == SQZ_OK) memcpy(linear->bias, t->data, linear->n_out * sizeof *linear->bias);
    return status;
}

static sqz_status read_order(const sqzi_weights *w, const char *name, const char *side, uint32_t n,
                             uint32_t **order, sqz_error *error)
{
    char key[SQZI_TENSOR_NAME + 32];
    snprintf(key, sizeof key, "sqz.permutation.%s.%s", name, side);
    const sqzi_gguf_value *value = sqzi_gguf_find(w->model->gguf, key);
    if (!value) return SQZ_OK;
    *order = sqzi_allocate(allocator_of(w), n * sizeof **order);
    if (!*order)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a permutation of %u numbers", n);
    for (uint32_t i = 0; i < n; i++) (*order)[i] = (uint32_t)sqzi_gguf_uint(value, i);
    return SQZ_OK;
}

static sqz_status read_part(const sqzi_weights *w, const char *name, const char *part,
                            const sqzi_matrix *from, sqzi_weight_matrix *matrix, sqz_error *error)
{
    char full[SQZI_TENSOR_NAME];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return read_matrix(w, full, from->n_in / from->groups, from->groups, matrix, error);
}

static sqz_status read_linear(const sqzi_weights *w, const char *name, const sqzi_linear *from,
                              sqzi_weight_linear *linear, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    linear->n_in = from->n_in;
    linear->n_out = from->n_out;
    for (; linear->n_terms < from->n_terms; linear->n_terms++) {
        const sqzi_term *term = &from->terms[linear->n_terms];
        sqzi_weight_term *to = &linear->terms[linear->n_terms];
        const bool low_rank = term->a.packed != NULL;
        if (low_rank) TRY(read_part(w, name, "a", &term->a, &to->a, error));
        TRY(read_part(w, name, low_rank ? "b" : "weight", &term->b, &to->b, error));
    }
    TRY(read_bias(w, name, linear, error));
    TRY(read_order(w, name, "in", linear->n_in, &linear->in, error));
    TRY(read_order(w, name, "out", linear->n_out, &linear->out, error));
fail:
    return status;
}

static sqz_status read_block(const sqzi_weights *w, uint32_t i, sqzi_weight_block *block,
                             sqz_error *error)
{
    const sqzi_block *from = &w->model->encoder.blocks[i];
    sqz_status status = SQZ_OK;
    char name[SQZI_LINEAR_NAME];
    block->source = i;
    block->heads = from->heads;
    block->head_width = from->head_width;
    block->ffn_width = from->ffn_width;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS && status == SQZ_OK; j++) {
        snprintf(name, sizeof name, "blk.%u.%s", (unsigned)i, sqzi_block_linear_name(j));
        status = read_linear(w, name, sqzi_block_linear_of(from, j), &block->linears[j], error);
    }
    return status;
}

static sqz_status read_tables(sqzi_weights *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_embedding *from = &w->model->encoder.embedding;
    const uint32_t k = from->word.width;
    TRY(read_matrix(w, "token_embd.weight", k, 1, &w->word, error));
    TRY(read_matrix(w, "token_embd.projection", k, 1, &w->factor, error));
    TRY(read_matrix(w, "position_embd.weight", from->width, 1, &w->position, error));
    TRY(read_matrix(w, "token_types.weight", from->width, 1, &w->type, error));
    if (from->projected)
        TRY(read_linear(w, "embd_output", &from->projection, &w->projection, error));
fail:
    return status;
}

/* The i-th linear behind the blocks that is held; false from the end on. */
static bool find_other(const sqz_model *model, uint32_t i, sqzi_linear_entry *entry)
{
    for (uint32_t j = 0; sqzi_linear_list(&model->encoder, &model->head, j, entry); j++) {
        const bool behind = entry->part != SQZI_PART_EMBEDDING && entry->part != SQZI_PART_BLOCK;
        const bool decoder = model->info.head == SQZ_HEAD_MASKED_LM &&
                             entry->linear == &model->head.output;
        if (behind && !decoder && i-- == 0) return true;
    }
    return false;
}

static sqz_status read_others(sqzi_weights *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_linear_entry entry;
    uint32_t n = 0;
    while (find_other(w->model, n, &entry)) n++;
    w->others = sqzi_allocate_zeroed(allocator_of(w), n, sizeof *w->others);
    FAIL_IF(!w->others, SQZ_ENOMEM, 0, "no memory for %u linears", n);
    w->n_others = n;
    for (uint32_t i = 0; find_other(w->model, i, &entry); i++) {
        snprintf(w->others[i].name, sizeof w->others[i].name, "%s", entry.name);
        TRY(read_linear(w, entry.name, entry.linear, &w->others[i].linear, error));
    }
fail:
    return status;
}

sqz_status sqzi_weights_of(const sqz_model *model, sqzi_weights *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = model->encoder.n_blocks;
    *w = (sqzi_weights){.model = model,
                        .width = model->encoder.width,
                        .embedding_width = model->encoder.embedding.width,
                        .n_made = n};
    w->blocks = sqzi_allocate_zeroed(allocator_of(w), n, sizeof *w->blocks);
    FAIL_IF(!w->blocks, SQZ_ENOMEM, 0, "no memory for %u blocks", n);
    TRY(read_tables(w, error));
    TRY(read_others(w, error));
    for (w->n_blocks = 0; w->n_blocks < n;) {
        const uint32_t i = w->n_blocks++;
        TRY(read_block(w, i, &w->blocks[i], error));
    }
fail:
    return status;
}

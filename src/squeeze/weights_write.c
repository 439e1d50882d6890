/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in memory to a model file: their tensors and the description of the blocks are written
 * anew, everything else is carried over. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "io/packed_rows.h"
#include "squeeze/vocabulary_pruning.h"
#include "squeeze/weights_describe.h"

/* ---- tensors ---- */

typedef struct output {
    const sqzi_weights *weights;
    sqzi_vocabulary_rows of_pieces; /* read when the file is written */
    sqzi_gguf_writer *writer;       /* NULL: tensors are counted */
    sqzi_weights_seen *seen;        /* NULL: nobody asks */
    void *user;
    uint64_t bytes;
} output;

static void put(output *o, const char *name, sqzi_type type, uint32_t n_dims, const uint64_t *shape,
                const void *data)
{
    o->bytes += sqzi_type_bytes(type) * shape[0] * (n_dims > 1 ? shape[1] : 1);
    if (o->writer) sqzi_gguf_put_tensor(o->writer, name, type, n_dims, shape, data);
    if (o->seen) o->seen(o->user, name, n_dims, shape);
}

/* sqzi_gguf_emit: the rows of a rounded matrix, packed. */
static sqz_status emit_packed(void *source, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_weight_matrix *m = source;
    const size_t n = m->columns;
    uint8_t row[SQZI_PACKED_ROW_MOST];
    sqz_status status = SQZ_OK;
    for (size_t r = 0; r < m->rows && status == SQZ_OK; r++) {
        sqzi_packed_put(sqzi_storage_bits(m->storage), n, m->rounded.integers + r * n,
                        m->rounded.multipliers + r * sqzi_packed_groups(n), row);
        status = sqzi_file_writer_put(file, row,
                                      sqzi_packed_row_bytes(sqzi_storage_bits(m->storage), n),
                                      error);
    }
    return status;
}

static void put_packed(output *o, const char *name, const sqzi_weight_matrix *m)
{
    const uint32_t bits = sqzi_storage_bits(m->storage);
    const uint64_t shape[] = {m->rows, sqzi_packed_row_bytes(bits, m->columns)};
    char full[SQZI_STORED_NAME];
    snprintf(full, sizeof full, "%s.s%u", name, (unsigned)bits);
    o->bytes += shape[0] * shape[1];
    if (o->seen) o->seen(o->user, full, 2, shape);
    if (o->writer)
        sqzi_gguf_put_tensor_by(o->writer, full, SQZI_S8, 2, shape, emit_packed,
                                (void *)(uintptr_t)m);
}

static void put_matrix(output *o, const char *name, const sqzi_weight_matrix *m)
{
    const uint64_t shape[] = {m->rows, m->columns};
    char scale[SQZI_TENSOR_NAME + 16];
    if (m->rows == 0) return;
    if (m->storage == SQZI_STORED_F32) {
        put(o, name, SQZI_F32, 2, shape, m->values);
        return;
    }
    if (m->storage == SQZI_STORED_S8) put(o, name, SQZI_S8, 2, shape, m->rounded.integers);
    else put_packed(o, name, m);
    snprintf(scale, sizeof scale, "%s.scale", name);
    put(o, scale, SQZI_F32, 1, shape, m->rounded.scale);
}

static void put_linear(output *o, const char *name, const sqzi_weight_linear *linear)
{
    char full[SQZI_TENSOR_NAME];
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_weight_term *term = &linear->terms[t];
        if (term->a.rows) {
            snprintf(full, sizeof full, "%s.a", name);
            put_matrix(o, full, &term->a);
        }
        snprintf(full, sizeof full, "%s.%s", name, term->a.rows ? "b" : "weight");
        put_matrix(o, full, &term->b);
    }
    snprintf(full, sizeof full, "%s.bias", name);
    if (linear->bias) put(o, full, SQZI_F32, 1, (uint64_t[]){linear->n_out}, linear->bias);
}

static bool is_bias(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".bias") == 0;
}

static void put_new_norm(output *o, const char *name, uint32_t width)
{
    const sqzi_weights *w = o->weights;
    put(o, name, SQZI_F32, 1, (uint64_t[]){width}, w->ones + (is_bias(name) ? w->n_ones : 0));
}

/* A vector of block i, which was block `source` of the model, or is new. */
static void put_norm(output *o, uint32_t i, uint32_t source, const char *part, bool is_new)
{
    char from[SQZI_TENSOR_NAME], to[SQZI_TENSOR_NAME];
    snprintf(from, sizeof from, "blk.%u.%s", (unsigned)source, part);
    snprintf(to, sizeof to, "blk.%u.%s", (unsigned)i, part);
    if (is_new) {
        put_new_norm(o, to, o->weights->width);
        return;
    }
    const sqzi_gguf_tensor *t = sqzi_gguf_find_tensor(o->weights->model->gguf, from);
    put(o, to, t->type, t->n_dims, t->shape, t->data);
}

static void put_block(output *o, uint32_t i, const sqzi_weight_block *block)
{
    static const char *const norms[] = {"attn_output_norm.weight", "attn_output_norm.bias",
                                        "layer_output_norm.weight", "layer_output_norm.bias"};
    char name[SQZI_LINEAR_NAME];
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        snprintf(name, sizeof name, "blk.%u.%s", (unsigned)i, sqzi_block_linear_name(j));
        put_linear(o, name, &block->linears[j]);
        if (j == SQZI_ATTN_OUTPUT)
            for (int k = 0; k < 2; k++)
                put_norm(o, i, block->source, norms[k], block->new_attention);
    }
    for (int k = 2; k < 4; k++) put_norm(o, i, block->source, norms[k], block->new_feed_forward);
}

static void put_product(output *o, uint32_t rows, uint32_t width, const sqzi_weight_product *p)
{
    const uint64_t n = (uint64_t)SQZI_CENTROIDS * p->parts;
    put(o, "token_embd.codes", SQZI_S8, 2, (uint64_t[]){rows, p->parts}, p->codes);
    put(o, "token_embd.centroids", SQZI_S8, 2, (uint64_t[]){n, width / p->parts}, p->centroids);
    put(o, "token_embd.centroids.scale", SQZI_F32, 1, &n, p->scale);
}

static void put_words(output *o)
{
    const sqzi_weights *w = o->weights;
    if (w->product.parts) put_product(o, w->word.rows, w->word.columns, &w->product);
    else put_matrix(o, "token_embd.weight", &w->word);
    put_matrix(o, "token_embd.projection", &w->factor);
}

static void put_held(output *o)
{
    const sqzi_weights *w = o->weights;
    put_words(o);
    put_matrix(o, "position_embd.weight", &w->position);
    put_matrix(o, "token_types.weight", &w->type);
    put_linear(o, "embd_output", &w->projection);
    for (uint32_t i = 0; i < w->n_blocks; i++) put_block(o, i, &w->blocks[i]);
    for (uint32_t i = 0; i < w->n_others; i++)
        put_linear(o, w->others[i].name, &w->others[i].linear);
}

/* A row for each piece, of those that are kept. */
static void put_rows(output *o, const char *name, const sqzi_gguf_tensor *t)
{
    uint64_t shape[] = {o->weights->word.rows, t->shape[1]};
    o->of_pieces = (sqzi_vocabulary_rows){o->weights, t};
    o->bytes += t->bytes / t->shape[0] * shape[0];
    if (o->seen) o->seen(o->user, name, t->n_dims, shape);
    if (o->writer)
        sqzi_gguf_put_tensor_by(o->writer, name, t->type, t->n_dims, shape, sqzi_vocabulary_emit,
                                &o->of_pieces);
}

static void put_carried(output *o)
{
    const sqz_model *model = o->weights->model;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (!sqzi_weights_carry(o->weights, i)) continue;
        if (sqzi_weights_is_new_norm(o->weights, t->name))
            put_new_norm(o, model->tensor_names[i], o->weights->embedding_width);
        else if (sqzi_vocabulary_has_rows(o->weights, t)) put_rows(o, model->tensor_names[i], t);
        else put(o, model->tensor_names[i], t->type, t->n_dims, t->shape, t->data);
    }
}

/* ---- the whole ---- */

uint64_t sqzi_weight_matrix_bytes(const sqzi_weight_matrix *matrix)
{
    output o = {0};
    put_matrix(&o, "", matrix);
    return o.bytes;
}

uint64_t sqzi_weight_linear_bytes(const sqzi_weight_linear *linear)
{
    output o = {0};
    put_linear(&o, "", linear);
    return o.bytes;
}

uint64_t sqzi_weights_word_bytes(const sqzi_weights *weights)
{
    output o = {.weights = weights};
    put_words(&o);
    return o.bytes;
}

uint64_t sqzi_weights_bytes(const sqzi_weights *weights)
{
    output o = {.weights = weights};
    put_held(&o);
    return o.bytes;
}

void sqzi_weights_list(const sqzi_weights *weights, sqzi_weights_seen *seen, void *user)
{
    output o = {.weights = weights, .seen = seen, .user = user};
    put_held(&o);
    put_carried(&o);
}

static sqz_status put_all(output *o, const sqzi_step *step, sqz_error *error)
{
    const sqz_status status = sqzi_weights_describe(o->weights, o->writer, step, error);
    if (status != SQZ_OK) return status;
    put_held(o);
    put_carried(o);
    return SQZ_OK;
}

/* The model's, or, where numbers are new, of which there is nothing to compare with, new ones. */
static sqz_status find_references(const sqzi_weights *w, sqzi_references *references,
                                  sqz_error *error)
{
    sqz_model_info info = w->model->info;
    sqz_status status;
    if (!sqzi_weights_are_new(w) && !w->reshaped) {
        status = sqzi_references_copy(references, w->model, error);
        return status == SQZ_OK ? sqzi_vocabulary_references(w, references, error) : status;
    }
    info.width = w->width;
    info.vocabulary = w->word.rows;
    if (w->reshaped) info.head = SQZ_HEAD_NONE;
    if (sqzi_weights_are_bare(w)) info.n_token_types = 0;
    return sqzi_references_invent(references, &w->model->context->allocator, &info, error);
}

sqz_status sqzi_weights_write(const sqzi_weights *weights, const sqzi_step *step, const char *out,
                              uint64_t *bytes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    output o = {.weights = weights};
    sqzi_references references = {0};
    TRY(find_references(weights, &references, error));
    references.measured = step->measured;
    for (int pass = 0; pass < (out ? 2 : 1); pass++) {
        sqzi_gguf_writer_close(o.writer);
        o.writer = NULL;
        TRY(sqzi_gguf_writer_open(&weights->model->context->allocator, &o.writer, error));
        TRY(put_all(&o, step, error));
        if (pass == 0) TRY(sqzi_rewrite_bytes(o.writer, &references, bytes, error));
        else TRY(sqzi_rewrite_write(o.writer, &references, out, error));
    }
fail:
    sqzi_gguf_writer_close(o.writer);
    sqzi_references_discard(&references);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one tensor of an exported folder. */
#include "export/tensor_source.h"

#include <string.h>

sqz_status sqzi_emit_zeros(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    static const float zeros[1024];
    sqz_status status = SQZ_OK;
    for (uint64_t left = ((const sqzi_tensor_source *)from)->n; left && status == SQZ_OK;) {
        const size_t n = left < 1024 ? (size_t)left : 1024;
        status = sqzi_file_writer_put(file, zeros, n * sizeof *zeros, error);
        left -= n;
    }
    return status;
}

sqz_status sqzi_emit_copy(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_gguf_tensor *t = ((const sqzi_tensor_source *)from)->whole.tensor;
    return sqzi_file_writer_put(file, t->data, (size_t)t->bytes, error);
}

static uint32_t place_of(const sqzi_side *side, uint32_t i)
{
    return i / side->from * side->to + i % side->from;
}

/* Outputs of a permuted linear go to their places, and the bias with them. */
sqz_status sqzi_emit_bias(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_tensor_source *s = from;
    const sqzi_linear *l = s->linear;
    const float *bias = s->whole.tensor->data;
    const size_t n = s->out.written;
    float *placed = sqzi_allocate_zeroed(s->allocator, n, sizeof *placed);
    FAIL_IF(!placed, SQZ_ENOMEM, 0, "no memory for a bias");
    for (uint32_t j = 0; j < l->n_out; j++)
        placed[place_of(&s->out, l->out ? l->out[j] : j)] = (float)(s->scale * (double)bias[j]);
    TRY(sqzi_file_writer_put(file, placed, n * sizeof *placed, error));
fail:
    sqzi_release(s->allocator, placed, n * sizeof *placed);
    return status;
}

/* ---- tables ---- */

typedef struct table_work {
    float *row;         /* what the table has */
    double *stored;     /* a row of the projection */
    double *projection; /* [k, E]: turned, so that sums run along its rows */
    double *sum;
    float *written;
} table_work;

static void lay_out_table(const sqzi_tensor_source *s, table_work *w, sqzi_arena *arena)
{
    const bool projected = s->projection.tensor != NULL;
    const size_t k = s->table->width, width = projected ? (size_t)s->projection.rows : k;
    w->row = sqzi_arena_take(arena, k, sizeof *w->row);
    w->stored = sqzi_arena_take(arena, projected ? k : 0, sizeof *w->stored);
    w->projection = sqzi_arena_take(arena, projected ? k * width : 0, sizeof *w->projection);
    w->sum = sqzi_arena_take(arena, projected ? width : 0, sizeof *w->sum);
    w->written = sqzi_arena_take(arena, width, sizeof *w->written);
}

static void turn_projection(const sqzi_tensor_source *s, table_work *w)
{
    const size_t k = s->table->width, width = (size_t)s->projection.rows;
    for (size_t e = 0; e < width; e++) {
        sqzi_stored_row(&s->projection, e, w->stored);
        for (size_t i = 0; i < k; i++) w->projection[i * width + e] = w->stored[i];
    }
}

static void project_row(const sqzi_tensor_source *s, const table_work *w)
{
    const size_t k = s->table->width, width = (size_t)s->projection.rows;
    memset(w->sum, 0, width * sizeof *w->sum);
    for (size_t i = 0; i < k; i++)
        for (size_t e = 0; e < width; e++)
            w->sum[e] += (double)w->row[i] * w->projection[i * width + e];
    for (size_t e = 0; e < width; e++) w->written[e] = (float)w->sum[e];
}

sqz_status sqzi_emit_table(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_tensor_source *s = from;
    const bool projected = s->projection.tensor != NULL;
    const size_t width = projected ? (size_t)s->projection.rows : s->table->width;
    table_work w;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out_table(s, &w, &arena);
    void *block = sqzi_allocate(s->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for rows of a table");
    arena = sqzi_arena_over(block, arena.used);
    lay_out_table(s, &w, &arena);
    if (projected) turn_projection(s, &w);
    for (uint32_t r = 0; r < s->table->n_rows; r++) {
        sqzi_table_row(s->table, s->kernels, r, 0, w.row);
        if (projected) project_row(s, &w);
        TRY(sqzi_file_writer_put(file, projected ? w.written : w.row, width * sizeof *w.written,
                                 error));
    }
fail:
    if (block) sqzi_release(s->allocator, block, arena.capacity);
    return status;
}

/* ---- linears ---- */

static const uint32_t NOTHING = UINT32_MAX;

typedef struct linear_work {
    double *factor;    /* A, every row at n_in / groups numbers */
    double *stored;    /* one row of the whole matrix or of B */
    double *row;       /* one row over the inputs as the terms read them */
    float *placed;     /* [in.written] the row over the inputs as they are written */
    uint32_t *inverse; /* [out.written] which of the terms' outputs it is, or NOTHING */
} linear_work;

static void lay_out_linear(const sqzi_tensor_source *s, linear_work *w, sqzi_arena *arena)
{
    const size_t whole = s->whole.tensor ? (size_t)s->whole.columns : 0,
                 rank = s->b.tensor ? (size_t)s->b.columns : 0;
    w->factor = sqzi_arena_take(arena, s->a.tensor ? (size_t)(s->a.rows * s->a.columns) : 0,
                                sizeof *w->factor);
    w->stored = sqzi_arena_take(arena, whole > rank ? whole : rank, sizeof *w->stored);
    w->row = sqzi_arena_take(arena, s->linear->n_in, sizeof *w->row);
    w->placed = sqzi_arena_take(arena, s->in.written, sizeof *w->placed);
    w->inverse = sqzi_arena_take(arena, s->out.written, sizeof *w->inverse);
}

static void prepare_linear(const sqzi_tensor_source *s, const linear_work *w)
{
    const sqzi_linear *l = s->linear;
    for (uint32_t p = 0; p < s->out.written; p++) w->inverse[p] = NOTHING;
    for (uint32_t j = 0; j < l->n_out; j++)
        w->inverse[place_of(&s->out, l->out ? l->out[j] : j)] = j;
    for (uint64_t r = 0; s->a.tensor && r < s->a.rows; r++)
        sqzi_stored_row(&s->a, r, w->factor + r * s->a.columns);
}

/* Row `place` of the matrix that the linear is. */
static void make_row(const sqzi_tensor_source *s, const linear_work *w, uint32_t place)
{
    const sqzi_linear *l = s->linear;
    const uint32_t j = w->inverse[place];
    memset(w->placed, 0, s->in.written * sizeof *w->placed);
    if (j == NOTHING) return;
    memset(w->row, 0, l->n_in * sizeof *w->row);
    for (uint32_t t = 0; t < l->n_terms; t++) {
        const uint32_t groups = l->terms[t].b.groups, n_in = l->n_in / groups,
                       group = j / (l->n_out / groups);
        double *to = w->row + (size_t)group * n_in;
        if (!l->terms[t].a.packed) {
            sqzi_stored_row(&s->whole, j, w->stored);
            for (uint32_t i = 0; i < n_in; i++) to[i] += w->stored[i];
            continue;
        }
        const uint32_t rank = (uint32_t)s->b.columns;
        sqzi_stored_row(&s->b, j, w->stored);
        for (uint32_t k = 0; k < rank; k++) {
            const double *factor = w->factor + ((size_t)group * rank + k) * n_in;
            for (uint32_t i = 0; i < n_in; i++) to[i] += w->stored[k] * factor[i];
        }
    }
    for (uint32_t i = 0; i < l->n_in; i++)
        w->placed[place_of(&s->in, l->in ? l->in[i] : i)] = (float)(s->scale * w->row[i]);
}

sqz_status sqzi_emit_linear(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_tensor_source *s = from;
    const uint32_t n_out = s->out.written;
    const size_t width = s->in.written / s->groups;
    linear_work w;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out_linear(s, &w, &arena);
    void *block = sqzi_allocate(s->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the product of a linear's factors");
    arena = sqzi_arena_over(block, arena.used);
    lay_out_linear(s, &w, &arena);
    prepare_linear(s, &w);
    for (uint32_t r = 0; r < n_out; r++) {
        make_row(s, &w, r);
        TRY(sqzi_file_writer_put(file, w.placed + r / (n_out / s->groups) * width,
                                 width * sizeof *w.placed, error));
    }
fail:
    if (block) sqzi_release(s->allocator, block, arena.capacity);
    return status;
}

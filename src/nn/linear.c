/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers: preparing rows, the terms, the places of the outputs. */
#include "nn/linear.h"

#include <string.h>

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Bytes of a row prepared for all groups of a matrix. */
static size_t row_bytes(const sqzi_matrix *matrix)
{
    return matrix->groups * sqzk_gemm_prepared_bytes(matrix->gemm, matrix->n_in / matrix->groups);
}

static bool must_prepare(const sqzi_matrix *matrix, const uint32_t *in)
{
    return in || matrix->gemm->type != SQZI_F32;
}

static const sqzi_matrix *first_matrix(const sqzi_term *term)
{
    return term->a.packed ? &term->a : &term->b;
}

size_t sqzi_linear_bytes(const sqzi_linear *linear)
{
    size_t bytes = 0;
    for (uint32_t t = 0; t < linear->n_terms; t++) bytes += linear->terms[t].a.groups * linear->terms[t].a.group_bytes + linear->terms[t].b.groups * linear->terms[t].b.group_bytes;
    return bytes;
}

void sqzi_linear_need(const sqzi_linear *linear, size_t rows, sqzi_linear_scratch *scratch)
{
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_term *term = &linear->terms[t];
        const sqzi_matrix *first = first_matrix(term);
        if (must_prepare(first, linear->in)) {
            scratch->prepared_bytes = largest(scratch->prepared_bytes, rows * row_bytes(first));
            scratch->scale_n = largest(scratch->scale_n, rows * first->groups);
        }
        if (!term->a.packed) continue;
        scratch->middle_n = largest(scratch->middle_n, rows * term->a.n_out);
        if (!must_prepare(&term->b, NULL)) continue;
        scratch->prepared_middle_bytes = largest(scratch->prepared_middle_bytes, rows * row_bytes(&term->b));
        scratch->middle_scale_n = largest(scratch->middle_scale_n, rows * term->b.groups);
    }
    if (linear->out) scratch->permuted_n = largest(scratch->permuted_n, rows * linear->n_out);
}

void sqzi_linear_scratch_layout(sqzi_linear_scratch *scratch, sqzi_arena *arena)
{
    scratch->prepared = sqzi_arena_take(arena, scratch->prepared_bytes, 1);
    scratch->scale = sqzi_arena_take(arena, scratch->scale_n, sizeof *scratch->scale);
    scratch->middle = sqzi_arena_take(arena, scratch->middle_n, sizeof *scratch->middle);
    scratch->prepared_middle = sqzi_arena_take(arena, scratch->prepared_middle_bytes, 1);
    scratch->middle_scale = sqzi_arena_take(arena, scratch->middle_scale_n, sizeof *scratch->middle_scale);
    scratch->permuted = sqzi_arena_take(arena, scratch->permuted_n, sizeof *scratch->permuted);
}

/* Rows as a matrix's gemm takes them. */
typedef struct input {
    const void *rows;
    size_t ld_bytes, group_bytes;
    const float *scale; /* [m, groups] */
} input;

/* Prepare m rows for every group of the matrix, or hand out x itself. */
static bool prepare(const sqzi_matrix *matrix, const uint32_t *in, size_t m, const sqzi_real *x, size_t ldx, void *memory, float *scale, bool ready, input *out)
{
    const size_t k = matrix->n_in / matrix->groups;
    if (!must_prepare(matrix, in)) {
        *out = (input){x, ldx * sizeof *x, k * sizeof *x, NULL};
        return true;
    }
    *out = (input){memory, row_bytes(matrix), sqzk_gemm_prepared_bytes(matrix->gemm, k), scale};
    for (uint32_t g = 0; g < matrix->groups && !ready; g++) {
        const sqzk_prepare_args args = {
            .m = m, .k = k, .x = in ? x : x + g * k, .ldx = ldx, .gather = in ? in + g * k : NULL,
            .out = (unsigned char *)memory + g * out->group_bytes, .ldo = out->ld_bytes, .scale = scale + g, .scale_stride = matrix->groups,
        };
        if (!matrix->gemm->prepare(&args)) return false;
    }
    return true;
}

/* y[:, begin..end) of a block-diagonal matrix; begin and end are multiples of nr within their groups, or the ends of groups. */
static void multiply(const sqzi_matrix *matrix, const input *rows, size_t m, size_t begin, size_t end, sqzi_real *y, size_t ldy, uint32_t beta, const sqzk_epilogue *epilogue)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const size_t panel_bytes = sqzk_gemm_panel_bytes(matrix->gemm, k);
    for (size_t column = begin; column < end;) {
        const size_t g = column / n, within = column - g * n, stop = (g + 1) * n < end ? (g + 1) * n : end;
        sqzk_epilogue part;
        if (epilogue) {
            part = *epilogue;
            if (part.bias) part.bias += column;
            if (part.residual) part.residual += column;
        }
        const sqzk_gemm_args args = {
            .m = m, .n = stop - column, .k = k,
            .a = (const unsigned char *)rows->rows + g * rows->group_bytes, .lda = rows->ld_bytes,
            .row_scale = rows->scale ? rows->scale + g : NULL, .row_scale_stride = matrix->groups,
            .b = matrix->packed + g * matrix->group_bytes + within / matrix->gemm->nr * panel_bytes,
            .c = y + column, .ldc = ldy, .beta = beta, .epilogue = epilogue ? &part : NULL,
        };
        matrix->gemm->run(&args);
        column = stop;
    }
}

/* One term over columns [begin, end). */
static bool run_term(const sqzi_linear *linear, uint32_t t, const sqzi_linear_args *args, sqzi_linear_scratch *scratch, size_t begin, size_t end, sqzi_real *y, size_t ldy,
                     const sqzk_epilogue *epilogue)
{
    const sqzi_term *term = &linear->terms[t];
    const bool ready = args->prepared && t == 0;
    input rows;
    if (!prepare(first_matrix(term), linear->in, args->m, args->x, args->ldx, scratch->prepared, scratch->scale, ready, &rows)) return false;
    if (term->a.packed) {
        const size_t ldm = term->a.n_out;
        multiply(&term->a, &rows, args->m, 0, ldm, scratch->middle, ldm, 0, NULL);
        if (!prepare(&term->b, NULL, args->m, scratch->middle, ldm, scratch->prepared_middle, scratch->middle_scale, false, &rows)) return false;
    }
    multiply(&term->b, &rows, args->m, begin, end, y, ldy, t > 0, t + 1 == linear->n_terms ? epilogue : NULL);
    return true;
}

static void scatter(const sqzi_linear *linear, const sqzi_linear_args *args, const sqzi_real *from)
{
    for (size_t i = 0; i < args->m; i++)
        for (size_t j = 0; j < linear->n_out; j++) {
            const size_t to = linear->out[j];
            args->y[i * args->ldy + to] = from[i * linear->n_out + j] + (args->residual ? args->residual[i * args->ldr + to] : 0);
        }
}

static bool run_columns(const sqzi_linear *linear, const sqzi_linear_args *args, sqzi_linear_scratch *scratch, size_t begin, size_t end)
{
    const sqzk_epilogue epilogue = {linear->bias, linear->out ? NULL : args->residual, args->ldr, args->activation};
    sqzi_real *y = linear->out ? scratch->permuted : args->y;
    const size_t ldy = linear->out ? linear->n_out : args->ldy;
    for (uint32_t t = 0; t < linear->n_terms; t++)
        if (!run_term(linear, t, args, scratch, begin, end, y, ldy, &epilogue)) return false;
    if (linear->out) scatter(linear, args, y);
    return true;
}

bool sqzi_linear_run(const sqzi_linear *linear, const sqzi_linear_args *args, sqzi_linear_scratch *scratch)
{
    return run_columns(linear, args, scratch, 0, linear->n_out);
}

/* Columns that begin the u-th panel, counted over all groups. */
static size_t panel_column(const sqzi_matrix *matrix, size_t u)
{
    const size_t n = matrix->n_out / matrix->groups, panels = (n + matrix->gemm->nr - 1) / matrix->gemm->nr;
    return u / panels * n + u % panels * matrix->gemm->nr;
}

bool sqzi_linear_run_part(const sqzi_linear *linear, const sqzi_linear_args *args, sqzi_linear_scratch *scratch, const sqzi_team *team)
{
    size_t begin, end;
    if (linear->n_terms == 1 && !linear->out) {
        const sqzi_matrix *matrix = &linear->terms[0].b;
        const size_t n = matrix->n_out / matrix->groups;
        sqzi_team_share(team, matrix->groups * ((n + matrix->gemm->nr - 1) / matrix->gemm->nr), 1, &begin, &end);
        return begin == end || run_columns(linear, args, scratch, panel_column(matrix, begin), panel_column(matrix, end));
    }
    sqzi_team_share(team, args->m, 1, &begin, &end);
    if (begin == end) return true;
    sqzi_linear_args part = *args;
    part.m = end - begin;
    part.prepared = false;
    part.x += begin * args->ldx;
    part.y += begin * args->ldy;
    if (part.residual) part.residual += begin * args->ldr;
    return sqzi_linear_run(linear, &part, scratch);
}

static bool is_one_block_diagonal(const sqzi_linear *linear)
{
    return linear->n_terms == 1 && !linear->terms[0].a.packed && !linear->in && !linear->out;
}

bool sqzi_linear_in_groups(const sqzi_linear *first, const sqzi_linear *second)
{
    if (!is_one_block_diagonal(first) || !is_one_block_diagonal(second)) return false;
    const uint32_t groups = first->terms[0].b.groups;
    return groups > 1 && groups == second->terms[0].b.groups && first->n_out == second->n_in;
}

bool sqzi_linear_run_group(const sqzi_linear *linear, uint32_t g, const sqzi_linear_args *args, sqzi_linear_scratch *scratch)
{
    const sqzi_matrix *matrix = &linear->terms[0].b;
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const sqzk_epilogue epilogue = {linear->bias ? linear->bias + g * n : NULL, args->residual, args->ldr, args->activation};
    sqzk_gemm_args product = {.m = args->m, .n = n, .k = k, .a = args->x, .lda = args->ldx * sizeof *args->x, .b = matrix->packed + g * matrix->group_bytes, .c = args->y, .ldc = args->ldy,
                              .epilogue = &epilogue};
    if (must_prepare(matrix, NULL)) {
        product.a = scratch->prepared;
        product.lda = sqzk_gemm_prepared_bytes(matrix->gemm, k);
        product.row_scale = scratch->scale;
        product.row_scale_stride = 1;
        if (!matrix->gemm->prepare(&(sqzk_prepare_args){.m = args->m, .k = k, .x = args->x, .ldx = args->ldx, .out = scratch->prepared, .ldo = product.lda, .scale = scratch->scale, .scale_stride = 1}))
            return false;
    }
    matrix->gemm->run(&product);
    return true;
}

bool sqzi_linear_same_input(const sqzi_linear *first, const sqzi_linear *second)
{
    if (first->n_terms != 1 || second->n_terms != 1 || first->in != second->in || first->n_in != second->n_in) return false;
    const sqzi_matrix *a = first_matrix(&first->terms[0]), *b = first_matrix(&second->terms[0]);
    return a->gemm == b->gemm && a->groups == b->groups && (a->gemm->type != SQZI_F32 || first->in);
}

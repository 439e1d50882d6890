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

static bool must_prepare(const sqzi_matrix *matrix)
{
    return matrix->gemm->type != SQZI_F32;
}

static const sqzi_matrix *first_matrix(const sqzi_term *term)
{
    return term->a.packed ? &term->a : &term->b;
}

size_t sqzi_linear_bytes(const sqzi_linear *linear)
{
    size_t bytes = 0;
    for (uint32_t t = 0; t < linear->n_terms; t++)
        bytes += linear->terms[t].a.groups * linear->terms[t].a.group_bytes +
                 linear->terms[t].b.groups * linear->terms[t].b.group_bytes;
    return bytes;
}

void sqzi_linear_need(const sqzi_linear *linear, size_t rows, sqzi_linear_scratch *scratch)
{
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_term *term = &linear->terms[t];
        const sqzi_matrix *first = first_matrix(term);
        if (first->gather) scratch->gathered_n = largest(scratch->gathered_n, rows * linear->n_in);
        if (must_prepare(first)) {
            scratch->prepared_bytes = largest(scratch->prepared_bytes, rows * row_bytes(first));
            scratch->s8_row_n = largest(scratch->s8_row_n, rows * first->groups);
        }
        if (!term->a.packed) continue;
        scratch->middle_n = largest(scratch->middle_n, rows * term->a.n_out);
        if (!must_prepare(&term->b)) continue;
        scratch->prepared_middle_bytes = largest(scratch->prepared_middle_bytes,
                                                 rows * row_bytes(&term->b));
        scratch->middle_s8_row_n = largest(scratch->middle_s8_row_n, rows * term->b.groups);
    }
    if (linear->from) scratch->permuted_n = largest(scratch->permuted_n, rows * linear->n_out);
}

void sqzi_linear_scratch_layout(sqzi_linear_scratch *scratch, sqzi_arena *arena)
{
    scratch->prepared = sqzi_arena_take(arena, scratch->prepared_bytes, 1);
    scratch->s8_rows = sqzi_arena_take(arena, scratch->s8_row_n, sizeof *scratch->s8_rows);
    scratch->middle = sqzi_arena_take(arena, scratch->middle_n, sizeof *scratch->middle);
    scratch->prepared_middle = sqzi_arena_take(arena, scratch->prepared_middle_bytes, 1);
    scratch->middle_s8_rows = sqzi_arena_take(arena, scratch->middle_s8_row_n,
                                              sizeof *scratch->middle_s8_rows);
    scratch->gathered = sqzi_arena_take(arena, scratch->gathered_n, sizeof *scratch->gathered);
    scratch->permuted = sqzi_arena_take(arena, scratch->permuted_n, sizeof *scratch->permuted);
}

/* Rows as a matrix's gemm takes them. */
typedef struct input {
    const void *rows;
    size_t ld_bytes, group_bytes;
    const sqzk_s8_row *s8_rows; /* [groups, m] */
} input;

/* Rows of bf16 lie as its gemm wants them: no group is filled up with zeros. */
static bool takes_bf16(const sqzi_matrix *matrix)
{
    enum { LINE = 64 / sizeof(uint16_t) };
    return matrix->gemm->type == SQZI_BF16 && !matrix->gather &&
           matrix->n_in / matrix->groups % LINE == 0;
}

static input rows_of_bf16(const sqzi_matrix *matrix, const uint16_t *x, size_t ldx)
{
    return (input){x, ldx * sizeof *x, matrix->n_in / matrix->groups * sizeof *x, NULL};
}

/* Prepare m rows for some groups of the matrix, or hand out x itself. */
static bool prepare(const sqzi_matrix *matrix, sqzi_range groups, size_t m, const sqzi_real *x,
                    size_t ldx, void *memory, sqzk_s8_row *s8_rows, bool ready, input *out)
{
    const size_t k = matrix->n_in / matrix->groups;
    if (!must_prepare(matrix)) {
        *out = (input){x, ldx * sizeof *x, k * sizeof *x, NULL};
        return true;
    }
    *out = (input){memory, row_bytes(matrix), sqzk_gemm_prepared_bytes(matrix->gemm, k), s8_rows};
    for (size_t g = groups.begin; g < groups.end && !ready; g++) {
        const sqzk_prepare_args args = {
            .m = m,
            .k = k,
            .x = x + g * k,
            .ldx = ldx,
            .out = (unsigned char *)memory + g * out->group_bytes,
            .ldo = out->ld_bytes,
            .s8_rows = s8_rows + g * m,
            .unsigned_rows = matrix->unsigned_rows,
            .zero_point = matrix->zero_point,
        };
        if (!matrix->gemm->prepare(&args)) return false;
    }
    return true;
}

/* Where a product goes: f32, or bf16 where that is not NULL. */
typedef struct output {
    sqzi_real *y;
    uint16_t *bf16;
    size_t ld;
} output;

/* y[:, begin..end) of a block-diagonal matrix; begin and end are multiples of nr within their
 * groups, or the ends of groups. */
static void multiply(const sqzi_matrix *matrix, const input *rows, size_t m, size_t begin,
                     size_t end, output to, uint32_t beta, const sqzk_epilogue *epilogue)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const size_t panel_bytes = sqzk_gemm_panel_bytes(matrix->gemm, k);
    for (size_t column = begin; column < end;) {
        const size_t g = column / n, within = column - g * n,
                     stop = (g + 1) * n < end ? (g + 1) * n : end;
        sqzk_epilogue part;
        if (epilogue) {
            part = *epilogue;
            if (part.bias) part.bias += column;
            if (part.residual) part.residual += column;
        }
        const sqzk_gemm_args args = {
            .m = m,
            .n = stop - column,
            .k = k,
            .a = (const unsigned char *)rows->rows + g * rows->group_bytes,
            .lda = rows->ld_bytes,
            .s8_rows = rows->s8_rows ? rows->s8_rows + g * m : NULL,
            .unsigned_rows = matrix->unsigned_rows,
            .b = matrix->packed + g * matrix->group_bytes + within / matrix->gemm->nr * panel_bytes,
            .c = to.bf16 ? NULL : to.y + column,
            .c_bf16 = to.bf16 ? to.bf16 + column : NULL,
            .ldc = to.ld,
            .beta = beta,
            .epilogue = epilogue ? &part : NULL,
        };
        matrix->gemm->run(&args);
        column = stop;
    }
}

static bool alike(const sqzi_matrix *a, const sqzi_matrix *b)
{
    return a->gemm == b->gemm && a->groups == b->groups && a->gather == b->gather &&
           a->unsigned_rows == b->unsigned_rows;
}

/* One term over some columns: rows are prepared for the groups of these columns alone, but for a
 * first factor, which serves them all. */
static bool run_term(const sqzi_linear *linear, uint32_t t, const sqzi_linear_args *args,
                     sqzi_linear_scratch *scratch, sqzi_range columns, output to,
                     const sqzk_epilogue *epilogue)
{
    const sqzi_term *term = &linear->terms[t];
    const sqzi_matrix *first = first_matrix(term);
    const bool ready = t == 0 ? args->prepared : alike(first_matrix(&linear->terms[0]), first);
    const sqzi_real *x = first->gather ? scratch->gathered : args->x;
    const size_t ldx = first->gather ? linear->n_in : args->ldx;
    const size_t of_group = term->b.n_out / term->b.groups;
    const sqzi_range groups = {columns.begin / of_group, (columns.end + of_group - 1) / of_group},
                     all = {0, first->groups};
    input rows;
    if (first->gather && !ready)
        linear->kernels->gather(&(sqzk_gather_args){.m = args->m,
                                                    .n = ldx,
                                                    .x = args->x,
                                                    .ldx = args->ldx,
                                                    .index = first->gather,
                                                    .out = scratch->gathered,
                                                    .ldo = ldx});
    if (args->x_bf16) rows = rows_of_bf16(first, args->x_bf16, args->ldx);
    else if (!prepare(first, term->a.packed ? all : groups, args->m, x, ldx, scratch->prepared,
                      scratch->s8_rows, ready, &rows))
        return false;
    if (term->a.packed) {
        const size_t ldm = term->a.n_out;
        multiply(&term->a, &rows, args->m, 0, ldm, (output){scratch->middle, NULL, ldm}, 0, NULL);
        if (!prepare(&term->b, groups, args->m, scratch->middle, ldm, scratch->prepared_middle,
                     scratch->middle_s8_rows, false, &rows))
            return false;
    }
    multiply(&term->b, &rows, args->m, columns.begin, columns.end, to, t > 0,
             t + 1 == linear->n_terms ? epilogue : NULL);
    return true;
}

bool sqzi_linear_run_columns(const sqzi_linear *linear, const sqzi_linear_args *args,
                             sqzi_linear_scratch *scratch, sqzi_range columns)
{
    const sqzk_epilogue epilogue = {linear->bias, linear->from ? NULL : args->residual, args->ldr,
                                    args->activation};
    const output to = linear->from ? (output){scratch->permuted, NULL, linear->n_out}
                                   : (output){args->y, args->y_bf16, args->ldy};
    for (uint32_t t = 0; t < linear->n_terms; t++)
        if (!run_term(linear, t, args, scratch, columns, to, &epilogue)) return false;
    if (linear->from)
        linear->kernels->gather(&(sqzk_gather_args){.m = args->m,
                                                    .n = linear->n_out,
                                                    .x = to.y,
                                                    .ldx = to.ld,
                                                    .index = linear->from,
                                                    .residual = args->residual,
                                                    .ldr = args->ldr,
                                                    .out = args->y,
                                                    .ldo = args->ldy});
    return true;
}

bool sqzi_linear_run(const sqzi_linear *linear, const sqzi_linear_args *args,
                     sqzi_linear_scratch *scratch)
{
    return sqzi_linear_run_columns(linear, args, scratch, (sqzi_range){0, linear->n_out});
}

static bool has_columns(const sqzi_linear *linear)
{
    return linear->n_terms == 1 && !linear->from;
}

bool sqzi_linear_can_cut(const sqzi_linear *linear, size_t column)
{
    const sqzi_matrix *matrix = &linear->terms[0].b;
    return column == 0 || column == linear->n_out ||
           (has_columns(linear) &&
            column % (matrix->n_out / matrix->groups) % matrix->gemm->nr == 0);
}

/* Columns that begin the u-th panel, counted over all groups. */
static size_t panel_column(const sqzi_matrix *matrix, size_t u)
{
    const size_t n = matrix->n_out / matrix->groups,
                 panels = (n + matrix->gemm->nr - 1) / matrix->gemm->nr;
    return u / panels * n + u % panels * matrix->gemm->nr;
}

bool sqzi_linear_run_part(const sqzi_linear *linear, const sqzi_linear_args *args,
                          sqzi_linear_scratch *scratch, size_t part, size_t parts)
{
    if (has_columns(linear)) {
        const sqzi_matrix *matrix = &linear->terms[0].b;
        const size_t n = matrix->n_out / matrix->groups;
        const sqzi_range panels = sqzi_share(
            matrix->groups * ((n + matrix->gemm->nr - 1) / matrix->gemm->nr), part, parts);
        return panels.begin == panels.end ||
               sqzi_linear_run_columns(linear, args, scratch,
                                       (sqzi_range){panel_column(matrix, panels.begin),
                                                    panel_column(matrix, panels.end)});
    }
    const sqzi_range share = sqzi_share(args->m, part, parts);
    if (share.begin == share.end) return true;
    sqzi_linear_args rows = *args;
    rows.m = share.end - share.begin;
    rows.prepared = false;
    if (rows.x_bf16) rows.x_bf16 += share.begin * args->ldx;
    else rows.x += share.begin * args->ldx;
    rows.y += share.begin * args->ldy; /* what writes bf16 has columns */
    if (rows.residual) rows.residual += share.begin * args->ldr;
    return sqzi_linear_run(linear, &rows, scratch);
}

bool sqzi_linear_reads_bf16(const sqzi_linear *linear)
{
    return linear->n_terms == 1 && takes_bf16(first_matrix(&linear->terms[0]));
}

bool sqzi_linear_writes_bf16(const sqzi_linear *linear)
{
    return has_columns(linear) && linear->terms[0].b.gemm->writes_bf16;
}

static bool is_one_block_diagonal(const sqzi_linear *linear)
{
    return linear->n_terms == 1 && !linear->terms[0].a.packed && !linear->terms[0].b.gather &&
           !linear->from;
}

bool sqzi_linear_in_groups(const sqzi_linear *first, const sqzi_linear *second)
{
    if (!is_one_block_diagonal(first) || !is_one_block_diagonal(second)) return false;
    const uint32_t groups = first->terms[0].b.groups;
    return groups > 1 && groups == second->terms[0].b.groups && first->n_out == second->n_in;
}

bool sqzi_linear_run_group(const sqzi_linear *linear, uint32_t g, const sqzi_linear_args *args,
                           sqzi_linear_scratch *scratch)
{
    const sqzi_matrix *matrix = &linear->terms[0].b;
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const sqzk_epilogue epilogue = {linear->bias ? linear->bias + g * n : NULL, args->residual,
                                    args->ldr, args->activation};
    sqzk_gemm_args product = {.m = args->m,
                              .n = n,
                              .k = k,
                              .a = args->x,
                              .lda = args->ldx * sizeof *args->x,
                              .b = matrix->packed + g * matrix->group_bytes,
                              .c = args->y,
                              .c_bf16 = args->y_bf16,
                              .ldc = args->ldy,
                              .epilogue = &epilogue};
    if (args->x_bf16) {
        product.a = args->x_bf16;
        product.lda = args->ldx * sizeof *args->x_bf16;
    } else if (must_prepare(matrix)) {
        product.a = scratch->prepared;
        product.lda = sqzk_gemm_prepared_bytes(matrix->gemm, k);
        product.s8_rows = scratch->s8_rows;
        product.unsigned_rows = matrix->unsigned_rows;
        const sqzk_prepare_args rows = {.m = args->m,
                                        .k = k,
                                        .x = args->x,
                                        .ldx = args->ldx,
                                        .out = scratch->prepared,
                                        .ldo = product.lda,
                                        .s8_rows = scratch->s8_rows,
                                        .unsigned_rows = matrix->unsigned_rows,
                                        .zero_point = matrix->zero_point};
        if (!matrix->gemm->prepare(&rows)) return false;
    }
    matrix->gemm->run(&product);
    return true;
}

bool sqzi_linear_same_input(const sqzi_linear *first, const sqzi_linear *second)
{
    if (first->n_terms != 1 || second->n_terms != 1 || has_columns(first) != has_columns(second) ||
        first->n_in != second->n_in)
        return false;
    const sqzi_matrix *a = first_matrix(&first->terms[0]), *b = first_matrix(&second->terms[0]);
    return alike(a, b) && must_prepare(a) && !a->gather;
}

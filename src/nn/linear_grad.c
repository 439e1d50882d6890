/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of linears by rows: dx as linears of dy. */
#include "nn/linear_grad.h"

#include "kernel/grad/grad_table.h"
#include "nn/columns_grad.h"
#include "nn/pack.h"

static const sqzi_matrix *first_matrix(const sqzi_term *term)
{
    return term->a.packed ? &term->a : &term->b;
}

/* A matrix that is laid out, and packed later; while counting its panels are those of the linear
 * itself, which nobody reads, but whoever asks must see that there are some. */
static sqzi_matrix lay_out_turned(const sqzi_matrix *matrix, unsigned char **memory,
                                  sqzi_arena *arena)
{
    sqzi_matrix turned = sqzi_matrix_turned(matrix);
    *memory = sqzi_arena_take(arena, turned.groups, turned.group_bytes);
    turned.packed = *memory ? *memory : matrix->packed;
    return turned;
}

static sqzi_linear linear_of(const sqzi_linear *linear, sqzi_matrix matrix)
{
    return (sqzi_linear){.n_in = matrix.n_in,
                         .n_out = matrix.n_out,
                         .n_terms = 1,
                         .terms = {{.b = matrix}},
                         .kernels = linear->kernels};
}

/* What puts back in its place what `gather` moved: [n_in], written when the term is packed, as it
 * may lie over another linear's. While counting, the gather itself stands for it. */
static void lay_out_inverse(const uint32_t *gather, uint32_t n, sqzi_linear_back *back, uint32_t t,
                            sqzi_arena *arena)
{
    if (!gather) return;
    back->terms[t].gather = gather;
    back->terms[t].inverse = sqzi_arena_take(arena, n, sizeof *gather);
    back->terms[t].last.from = back->terms[t].inverse ? back->terms[t].inverse : gather;
}

void sqzi_linear_back_layout(const sqzi_linear *linear, sqzi_linear_back *back, sqzi_arena *arena)
{
    *back = (sqzi_linear_back){.n_terms = linear->n_terms};
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_term *term = &linear->terms[t];
        const sqzi_matrix *first = first_matrix(term);
        sqzi_linear *middle = &back->terms[t].middle, *last = &back->terms[t].last;
        back->terms[t].low_rank = term->a.packed != NULL;
        if (term->a.packed)
            *middle = linear_of(linear,
                                lay_out_turned(&term->b, &back->terms[t].packed_middle, arena));
        *last = linear_of(linear, lay_out_turned(first, &back->terms[t].packed_last, arena));
        lay_out_inverse(first->gather, linear->n_in, back, t, arena);
        if (linear->from) (term->a.packed ? middle : last)->terms[0].b.gather = linear->out;
    }
}

static uint32_t matrix_units(const sqzi_matrix *matrix)
{
    return sqzi_column_units(matrix->gemm, matrix->groups, matrix->n_out / matrix->groups);
}

static void pack_unit(const sqzi_matrix *matrix, const sqzi_real *placed, uint32_t unit,
                      unsigned char *packed)
{
    const sqzk_gemm *gemm = matrix->gemm;
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const sqzi_columns at = sqzi_columns_of(gemm, n, unit);
    const size_t n_stride = matrix->packing.transposed ? 1 : k;
    gemm->pack(&(sqzk_pack_args){.n = at.end - at.begin,
                                 .k = k,
                                 .source = placed + at.group * n * k + at.begin * n_stride,
                                 .n_stride = n_stride,
                                 .k_stride = matrix->packing.transposed ? n : 1,
                                 .type = SQZI_F32},
               packed + at.group * matrix->group_bytes + at.panel * sqzk_gemm_panel_bytes(gemm, k));
}

uint32_t sqzi_linear_back_units(const sqzi_linear_back *back)
{
    uint32_t units = 0;
    for (uint32_t t = 0; t < back->n_terms; t++) {
        if (back->terms[t].low_rank) units += matrix_units(&back->terms[t].middle.terms[0].b);
        units += matrix_units(&back->terms[t].last.terms[0].b);
    }
    return units;
}

void sqzi_linear_back_pack(const sqzi_linear_back *back, const sqzi_linear_numbers *masters,
                           uint32_t unit)
{
    for (uint32_t t = 0; t < back->n_terms; t++) {
        const bool low_rank = back->terms[t].low_rank;
        const sqzi_matrix *middle = &back->terms[t].middle.terms[0].b,
                          *last = &back->terms[t].last.terms[0].b;
        const uint32_t of_middle = low_rank ? matrix_units(middle) : 0,
                       units = of_middle + matrix_units(last);
        for (uint32_t j = 0; unit == 0 && back->terms[t].inverse && j < last->n_out; j++)
            back->terms[t].inverse[back->terms[t].gather[j]] = j;
        if (unit < of_middle)
            pack_unit(middle, masters->terms[t].b, unit, back->terms[t].packed_middle);
        else if (unit < units)
            pack_unit(last, low_rank ? masters->terms[t].a : masters->terms[t].b, unit - of_middle,
                      back->terms[t].packed_last);
        if (unit < units) return;
        unit -= units;
    }
}

void sqzi_linear_grad_need(const sqzi_linear *linear, const sqzi_linear_back *back, size_t rows,
                           sqzi_linear_scratch *scratch)
{
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        if (back->terms[t].low_rank) {
            const sqzi_linear again = linear_of(linear, linear->terms[t].a);
            sqzi_linear_need(&again, rows, scratch);
            sqzi_linear_need(&back->terms[t].middle, rows, scratch);
        }
        sqzi_linear_need(&back->terms[t].last, rows, scratch);
    }
}

bool sqzi_linear_grad_has_middle(const sqzi_linear *linear)
{
    for (uint32_t t = 0; t < linear->n_terms; t++)
        if (linear->terms[t].a.packed) return true;
    return false;
}

/* Sums of dy's rows, to be added up by whoever makes the bias. */
static void sum_chains(const sqzi_linear_grad_args *args, const sqzi_real *dy, sqzi_range rows)
{
    const size_t n = args->linear->n_out;
    for (size_t row = rows.begin; row < rows.end; row += SQZI_GRAD_ROWS)
        args->kernels->sum_rows(&(sqzk_sum_rows_args){
            .m = rows.end - row < SQZI_GRAD_ROWS ? rows.end - row : SQZI_GRAD_ROWS,
            .n = n,
            .x = dy + (row - rows.begin) * args->lddy,
            .ldx = args->lddy,
            .chain = SQZI_GRAD_ROWS,
            .out = args->dy_chains + row / SQZI_GRAD_ROWS * n});
}

/* dy as dx's gemm reads it: rounded here where dW reads the same. */
static sqzi_linear_args read_dy(const sqzi_linear_grad_args *args, sqzi_range rows)
{
    const size_t m = rows.end - rows.begin, n = args->linear->n_out;
    const sqzi_real *dy = args->dy + (rows.begin - args->dy_row) * args->lddy;
    if (!args->panels || !args->panels->dy)
        return (sqzi_linear_args){.m = m, .x = dy, .ldx = args->lddy};
    if (args->dy_chains && args->gradient && args->gradient->bias) sum_chains(args, dy, rows);
    uint16_t *rounded = args->panels->dy + rows.begin * n;
    (void)sqzi_grad_gemm(&args->linear->terms[0].b)->prepare(&(sqzk_prepare_args){
        .m = m, .k = n, .x = dy, .ldx = args->lddy, .out = rounded, .ldo = n * sizeof *rounded});
    return (sqzi_linear_args){.m = m, .x_bf16 = rounded, .ldx = n};
}

/* Both middles of a term, which reads dy or x; then what it adds to dx. Floats are finite or not:
 * a linear of them does not fail. */
static void run_back(const sqzi_linear_grad_args *args, uint32_t t, sqzi_range rows,
                     sqzi_linear_scratch *scratch)
{
    const sqzi_linear *linear = args->linear, *last = &args->back->terms[t].last;
    const size_t m = rows.end - rows.begin, ranks = linear->terms[t].a.n_out,
                 x = rows.begin * args->ldx;
    if (!args->dx && !args->back->terms[t].low_rank) return;
    sqzi_linear_args run = read_dy(args, rows);
    if (args->back->terms[t].low_rank) {
        const sqzi_linear again = linear_of(linear, linear->terms[t].a);
        run.y = args->panels->terms[t].d_middle + rows.begin * ranks;
        run.ldy = ranks;
        (void)sqzi_linear_run(&args->back->terms[t].middle, &run, scratch);
        if (args->gradient && args->gradient->terms[t].b)
            (void)sqzi_linear_run(
                &again,
                &(sqzi_linear_args){.m = m,
                                    .x = args->x ? args->x + x : NULL,
                                    .x_bf16 = args->x_bf16 ? args->x_bf16 + x : NULL,
                                    .ldx = args->ldx,
                                    .y = args->panels->terms[t].middle_rows + rows.begin * ranks,
                                    .ldy = ranks},
                scratch);
        run.x = run.y;
        run.x_bf16 = NULL;
        run.ldx = ranks;
    }
    if (!args->dx) return;
    run.y = args->dx + (rows.begin - args->dx_row) * args->lddx;
    run.ldy = args->lddx;
    run.residual = t ? run.y : args->add ? args->add + rows.begin * args->ldadd : NULL;
    run.ldr = t ? run.ldy : args->ldadd;
    (void)sqzi_linear_run(last, &run, scratch);
}

void sqzi_linear_grad_rows(const sqzi_linear_grad_args *args, sqzi_range rows,
                           sqzi_linear_scratch *scratch)
{
    for (uint32_t t = 0; t < args->linear->n_terms; t++) run_back(args, t, rows, scratch);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: the moments of one stage's inputs are all that is held at once. */
#include "squeeze/calibration.h"

#include <string.h>

#include "base/error.h"

typedef struct calibration {
    sqzi_bias_corrections *corrections;
    const sqz_quantize_options *options;
    const sqzk_gemm *gemm;
    bool texts;
    sqzi_real *columns; /* inputs of one linear, transposed */
    void *packed;
    unsigned char *moments; /* of one stage */
    size_t moments_bytes;
} calibration;

/* The moments of a stage over memory, or their bytes. */
static size_t lay_out_moments(const calibration *c, uint32_t stage, sqzi_arena arena)
{
    for (uint32_t i = 0; i < c->corrections->n; i++)
        if (c->corrections->list[i].stage == stage)
            sqzi_bias_correction_lay_out_moments(&c->corrections->list[i], &arena);
    return arena.used;
}

/* What moments take; means have their memory already. */
static void lay_out(calibration *c, sqzi_arena *arena)
{
    size_t columns = 0, packed = 0;
    for (uint32_t i = 0; i < c->corrections->n; i++) {
        const sqzi_bias_correction *one = &c->corrections->list[i];
        const size_t of_weight = sqzi_moments_packed_bytes(c->gemm, &one->of_weight),
                     of_a = sqzi_moments_packed_bytes(c->gemm, &one->of_a);
        columns = one->linear->n_in > columns ? one->linear->n_in : columns;
        packed = of_weight > packed ? of_weight : packed;
        packed = of_a > packed ? of_a : packed;
    }
    for (uint32_t stage = 0; stage < sqzi_observe_stages(c->corrections->model); stage++) {
        const size_t bytes = lay_out_moments(c, stage, sqzi_arena_over(NULL, SIZE_MAX));
        c->moments_bytes = bytes > c->moments_bytes ? bytes : c->moments_bytes;
    }
    c->columns = sqzi_arena_take(arena, columns * SQZI_MOMENT_ROWS, sizeof *c->columns);
    c->packed = sqzi_arena_take(arena, packed, 1);
    c->moments = sqzi_arena_take(arena, c->moments_bytes, 1);
}

/* Rows that a linear reads, to its moments, in the order in which it reads them. */
static void add_moments(calibration *c, sqzi_bias_correction *to, size_t m, const sqzi_real *x,
                        size_t ldx)
{
    const sqzi_linear *linear = to->linear;
    for (size_t row = 0; row < m; row++)
        for (size_t j = 0; j < linear->n_in; j++)
            c->columns[j * SQZI_MOMENT_ROWS + row] =
                x[row * ldx + (linear->in ? linear->in[j] : j)];
    if (to->of_weight.squares) sqzi_moments_add(c->gemm, &to->of_weight, c->columns, m, c->packed);
    if (to->of_a.squares) sqzi_moments_add(c->gemm, &to->of_a, c->columns, m, c->packed);
}

/* The functions of a sqzi_observer. */
static void begin_stage(void *user, uint32_t stage)
{
    const calibration *c = user;
    if (!c->texts) return;
    memset(c->moments, 0, c->moments_bytes);
    (void)lay_out_moments(c, stage, sqzi_arena_over(c->moments, c->moments_bytes));
}

static void see_rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                     size_t ldx)
{
    calibration *c = user;
    for (uint32_t i = 0; i < c->corrections->n; i++) {
        sqzi_bias_correction *one = &c->corrections->list[i];
        if (one->linear != linear) continue;
        sqzi_bias_correction_see(one, m, x, ldx);
        for (size_t row = 0; c->texts && row < m; row += SQZI_MOMENT_ROWS)
            add_moments(c, one, m - row < SQZI_MOMENT_ROWS ? m - row : SQZI_MOMENT_ROWS,
                        x + row * ldx, ldx);
    }
}

static sqz_status end_stage(void *user, uint32_t stage, sqz_error *error)
{
    const calibration *c = user;
    double *work = c->corrections->work;
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < c->corrections->n && status == SQZ_OK; i++) {
        sqzi_bias_correction *one = &c->corrections->list[i];
        if (one->stage != stage) continue;
        if (c->texts) status = sqzi_bias_correction_gptq(one, c->gemm, work, error);
        if (status == SQZ_OK) status = sqzi_bias_correction_solve(one, c->texts, work, error);
    }
    return status;
}

/* An observer of its own: says how far the run is, and ends it where it is told to. */
static sqz_status report_stage(void *user, uint32_t stage, sqz_error *error)
{
    const calibration *c = user;
    const sqz_quantize_options *options = c->options;
    const uint32_t stages = sqzi_observe_stages(c->corrections->model);
    if (!options->progress || options->progress(options->user, stage + 1, stages) == 0)
        return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", stage, stages - 1);
}

sqz_status sqzi_calibrate(sqzi_bias_corrections *corrections, const sqzi_sequences *sequences,
                          const sqz_quantize_options *options, sqz_error *error)
{
    const sqz_model *model = corrections->model;
    const sqz_allocator *allocator = &model->context->allocator;
    calibration c = {.corrections = corrections,
                     .options = options,
                     .gemm = model->context->kernels.gemm_f32,
                     .texts = sequences->texts};
    const sqzi_observer observers[] = {{&c, begin_stage, see_rows, end_stage},
                                       {&c, NULL, NULL, report_stage}};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    if (c.texts) lay_out(&c, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(allocator, bytes);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of what layers read",
                         bytes);
    arena = sqzi_arena_over(block, bytes);
    if (c.texts) lay_out(&c, &arena);
    const sqz_status status = sqzi_observe(model, sequences, observers, 2, error);
    sqzi_release(allocator, block, bytes);
    return status;
}

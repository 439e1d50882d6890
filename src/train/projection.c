/* SPDX-License-Identifier: Apache-2.0 */
/* Projections, by the pool's team. */
#include "train/projection.h"

#include <string.h>

#include "nn/pack.h"

enum { ROWS = SQZI_GRAD_ROWS };

static void lay_out_linear(sqzi_projection *p, const sqzi_projection_numbers *numbers,
                           const sqzi_projection_sizes *sizes, sqzi_arena *arena)
{
    sqzi_matrix matrix = sqzi_matrix_of(sizes->forward->gemm_f32, numbers->n_in, numbers->n_out, 1);
    p->packed = sqzi_arena_take(arena, 1, sqzi_matrix_bytes(&matrix));
    matrix.packed = p->packed;
    p->linear = (sqzi_linear){.n_in = numbers->n_in,
                              .n_out = numbers->n_out,
                              .n_terms = 1,
                              .terms = {{.b = matrix}},
                              .kernels = sizes->forward};
    p->masters = (sqzi_linear_numbers){.terms = {{.b = numbers->master}}};
    p->gradients = (sqzi_linear_numbers){.terms = {{.b = numbers->gradient}}};
}

/* All members need the same. */
static void lay_out_scratch(sqzi_projection *p, sqzi_arena *arena)
{
    sqzi_grad_scratch scratch = {0};
    sqzi_linear_need(&p->linear, ROWS, &scratch.rows);
    sqzi_linear_grad_need(&p->linear, &p->back, ROWS, &scratch.rows);
    p->scratch = sqzi_arena_take(arena, p->members, sizeof *p->scratch);
    for (uint32_t i = 0; i < p->members; i++) {
        sqzi_grad_scratch own = scratch;
        sqzi_grad_scratch_layout(&own, arena);
        if (p->scratch) p->scratch[i] = own;
    }
}

void sqzi_projection_layout(sqzi_projection *p, const sqzi_projection_numbers *numbers,
                            const sqzi_projection_sizes *sizes, sqzi_arena *arena)
{
    *p = (sqzi_projection){.kernels = sizes->backward, .members = sizes->members};
    if (!numbers->n_out) return;
    lay_out_linear(p, numbers, sizes, arena);
    sqzi_linear_back_layout(&p->linear, &p->back, arena);
    sqzi_linear_panels_layout(&p->linear, sizes->rows, NULL, NULL, &p->panels, arena);
    lay_out_scratch(p, arena);
    p->y = sqzi_arena_take(arena, sizes->rows * numbers->n_out, sizeof *p->y);
    p->d = sqzi_arena_take(arena, sizes->rows * numbers->n_out, sizeof *p->d);
}

/* ---- jobs ---- */

typedef struct job {
    sqzi_projection *projection;
    bool pack;
    sqzi_real *dx;
} job;

static uint32_t parts_of(size_t n)
{
    return (uint32_t)((n + ROWS - 1) / ROWS);
}

static sqzi_range rows_of(size_t n, uint32_t part)
{
    const size_t begin = (size_t)part * ROWS;
    return (sqzi_range){begin, n - begin < ROWS ? n : begin + ROWS};
}

/* Both ways; part 0 is the forward's. */
static void pack(const sqzi_projection *p, uint32_t part)
{
    if (part) sqzi_linear_back_pack(&p->back, &p->masters, part - 1);
    else
        sqzi_pack(&p->linear.terms[0].b, (sqzi_numbers){p->masters.terms[0].b, SQZI_F32, NULL},
                  NULL, p->packed);
}

static void forward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_projection *p = j->projection;
    sqzi_turn turn = {.team = team};
    uint32_t part;
    const uint32_t packs = j->pack ? 1 + sqzi_linear_back_units(&p->back) : 0;
    const size_t n_in = p->linear.n_in, n_out = p->linear.n_out;
    while (sqzi_take_part(&turn, packs, &part)) pack(p, part);
    while (sqzi_take_part(&turn, parts_of(p->n), &part)) {
        const sqzi_range rows = rows_of(p->n, part);
        const size_t m = rows.end - rows.begin;
        memset(p->d + rows.begin * n_out, 0, m * n_out * sizeof *p->d);
        (void)sqzi_linear_run(&p->linear,
                              &(sqzi_linear_args){.m = m,
                                                  .x = p->x + rows.begin * n_in,
                                                  .ldx = n_in,
                                                  .y = p->y + rows.begin * n_out,
                                                  .ldy = n_out},
                              &p->scratch[team->member].rows);
    }
}

static void backward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_projection *p = j->projection;
    sqzi_grad_scratch *scratch = &p->scratch[team->member];
    sqzi_turn turn = {.team = team};
    uint32_t part;
    const size_t n_in = p->linear.n_in, n_out = p->linear.n_out;
    const sqzi_linear_grad_args args = {.linear = &p->linear,
                                        .back = &p->back,
                                        .panels = &p->panels,
                                        .kernels = p->kernels,
                                        .m = p->n,
                                        .x = p->x,
                                        .ldx = n_in,
                                        .dy = p->d,
                                        .lddy = n_out,
                                        .dx = j->dx,
                                        .lddx = n_in,
                                        .add = j->dx,
                                        .ldadd = n_in,
                                        .gradient = &p->gradients,
                                        .beta = true};
    while (sqzi_take_part(&turn, parts_of(p->n), &part))
        sqzi_linear_grad_rows(&args, rows_of(p->n, part), &scratch->rows);
    while (sqzi_take_part(&turn, sqzi_linear_panel_units(&args), &part))
        sqzi_linear_grad_panels(&args, part, scratch);
    while (sqzi_take_part(&turn, sqzi_linear_weight_units(&args), &part))
        sqzi_linear_grad_weights(&args, part, scratch);
}

void sqzi_projection_forward(sqzi_projection *p, const sqzi_real *x, size_t n, bool packs,
                             sqzi_thread_pool *pool)
{
    p->x = x;
    p->n = n;
    sqzi_thread_pool_run(pool, p->members, forward, &(job){p, packs, NULL});
}

void sqzi_projection_backward(sqzi_projection *p, sqzi_real *dx, sqzi_thread_pool *pool)
{
    sqzi_thread_pool_run(pool, p->members, backward, &(job){p, false, dx});
}

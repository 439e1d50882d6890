/* SPDX-License-Identifier: Apache-2.0 */
/* A linear of any form with its numbers, and its whole backward, for the checks of linear_grad.h.
 */
#ifndef SQZT_LINEAR_PROBLEM_H
#define SQZT_LINEAR_PROBLEM_H

#include <stdlib.h>
#include <string.h>

#include "kernel/grad/grad_table.h"
#include "nn/linear_grad.h"
#include "nn/pack.h"
#include "support/random.h"
#include "support/test.h"

typedef struct form {
    const char *name;
    uint32_t n_in, n_out, groups, rank, factor_groups;
    bool whole, in, out, transposed;
} form;

static const form forms[] = {
    {"dense", 37, 53, 1, 0, 1, true, false, false, false},
    {"dense, more than a unit", 300, 270, 1, 0, 1, true, false, false, false},
    {"dense, numbers transposed", 70, 130, 1, 0, 1, true, false, false, true},
    {"groups", 64, 128, 4, 0, 1, true, false, false, false},
    {"odd groups", 45, 75, 15, 0, 1, true, false, false, false},
    {"groups wider than a panel", 64, 400, 2, 0, 1, true, false, false, false},
    {"low rank", 60, 90, 1, 13, 1, false, false, false, false},
    {"low rank in groups", 60, 90, 1, 4, 5, false, false, false, false},
    {"sum of groups and low rank", 64, 96, 4, 9, 1, true, false, false, false},
    {"gathered inputs", 64, 96, 4, 0, 1, true, true, false, false},
    {"gathered outputs", 64, 96, 4, 0, 1, true, false, true, false},
    {"gathered on both sides, past a unit", 48, 312, 4, 0, 1, true, true, true, false},
    {"low rank, gathered", 48, 72, 1, 7, 3, false, true, true, false},
    {"all of it", 48, 72, 4, 5, 2, true, true, true, false},
    {"a sum of terms that read alike", 48, 72, 4, 5, 4, true, true, true, false},
    {"groups of one output", 24, 8, 8, 0, 1, true, false, false, false},
    {"one number", 1, 1, 1, 0, 1, true, false, false, false},
};

/* One token; less than a chain; chains and a rest; two gemms over tokens. */
static const uint32_t batches[] = {1, 23, 300, 1100};

enum { TENSORS = 2 + 2 * SQZI_MAX_TERMS };

/* A linear with its numbers, what it reads and the gradient of what it makes. tensors: x, bias, and
 * of each term a and b; NULL where there is none. */
typedef struct problem {
    form f;
    const char *level;
    uint32_t m;
    sqzi_linear linear;
    sqzk_table table;
    sqzk_grad_table kernels;
    uint32_t *in, *out, *from;
    unsigned char *packed[2 * SQZI_MAX_TERMS];
    sqzi_real *tensors[TENSORS], *gradients[TENSORS], *dy, *y;
    size_t n[TENSORS];
    /* the double build's forward works here */
    sqzi_linear_scratch scratch;
    void *scratch_memory;
} problem;

static inline void *memory_of(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xFF, bytes);
    return p;
}

static inline sqzi_real *reals_of(sqzt_random *random, size_t n)
{
    sqzi_real *x = memory_of(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (sqzi_real)sqzt_normal(random);
    return x;
}

static inline uint32_t *order_of(sqzt_random *random, uint32_t n)
{
    uint32_t *order = memory_of(n * sizeof *order);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        const uint32_t j = (uint32_t)sqzt_below(random, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return order;
}

static inline void add_tensor(problem *p, sqzt_random *random, uint32_t i, size_t n)
{
    p->n[i] = n;
    p->tensors[i] = reals_of(random, n);
    p->gradients[i] = memory_of(n * sizeof(sqzi_real));
}

static inline sqzi_matrix matrix_of(problem *p, const sqzk_gemm *gemm, uint32_t i, uint32_t n_in,
                                    uint32_t n_out, uint32_t groups)
{
    sqzi_matrix matrix = sqzi_matrix_of(gemm, n_in, n_out, groups);
    matrix.packing.transposed = p->f.transposed;
    matrix.packed = p->packed[i] = memory_of(sqzi_matrix_bytes(&matrix));
    return matrix;
}

static inline sqzi_matrix *matrix_at(problem *p, uint32_t i)
{
    sqzi_term *term = &p->linear.terms[i / 2];
    return i % 2 ? &term->b : &term->a;
}

static inline void pack_all(problem *p)
{
    for (uint32_t i = 0; i < 2 * SQZI_MAX_TERMS; i++)
        if (p->packed[i])
            sqzi_pack(matrix_at(p, i), (sqzi_numbers){p->tensors[2 + i], SQZI_F32, NULL}, NULL,
                      p->packed[i]);
}

static inline void add_terms(problem *p, const sqzk_gemm *gemm, sqzt_random *random)
{
    const form *f = &p->f;
    sqzi_linear *l = &p->linear;
    if (f->whole) {
        add_tensor(p, random, 3, (size_t)f->n_out * f->n_in / f->groups);
        l->terms[l->n_terms++].b = matrix_of(p, gemm, 1, f->n_in, f->n_out, f->groups);
    }
    if (f->rank) {
        const uint32_t t = l->n_terms++, ranks = f->rank * f->factor_groups;
        add_tensor(p, random, 2 + 2 * t, (size_t)f->rank * f->n_in);
        add_tensor(p, random, 3 + 2 * t, (size_t)f->rank * f->n_out);
        l->terms[t].a = matrix_of(p, gemm, 2 * t, f->n_in, ranks, f->factor_groups);
        l->terms[t].b = matrix_of(p, gemm, 2 * t + 1, ranks, f->n_out, f->factor_groups);
    }
    for (uint32_t t = 0; t < l->n_terms; t++)
        (l->terms[t].a.packed ? &l->terms[t].a : &l->terms[t].b)->gather = p->in;
}

static inline problem *make(const form *f, uint32_t m, uint32_t features, bool bf16)
{
    sqzt_random random = sqzt_random_of(31 + m);
    problem *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->f = *f;
    p->m = m;
    sqzk_table_init(&p->table, features);
    sqzk_grad_table_init(&p->kernels, features);
    const sqzk_gemm *gemm = bf16 ? p->table.gemm_bf16 : p->table.gemm_f32;
    p->level = gemm->name;
    p->linear = (sqzi_linear){.n_in = f->n_in, .n_out = f->n_out, .kernels = &p->table};
    if (f->in) p->linear.in = p->in = order_of(&random, f->n_in);
    if (f->out) {
        p->linear.out = p->out = order_of(&random, f->n_out);
        p->linear.from = p->from = memory_of(f->n_out * sizeof *p->from);
        for (uint32_t j = 0; j < f->n_out; j++) p->from[p->out[j]] = j;
    }
    add_tensor(p, &random, 0, (size_t)m * f->n_in);
    add_tensor(p, &random, 1, f->n_out);
    p->linear.bias = p->tensors[1];
    add_terms(p, gemm, &random);
    p->dy = reals_of(&random, (size_t)m * f->n_out);
    p->y = reals_of(&random, (size_t)m * f->n_out);
    pack_all(p);
    return p;
}

static inline void discard(problem *p)
{
    void *all[] = {p->in, p->out, p->from, p->dy, p->y, p->scratch_memory};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (uint32_t i = 0; i < TENSORS; i++) {
        free(p->tensors[i]);
        free(p->gradients[i]);
    }
    for (uint32_t i = 0; i < 2 * SQZI_MAX_TERMS; i++) free(p->packed[i]);
    free(p);
}

static inline sqzi_linear_numbers numbers_of(sqzi_real *const *tensors)
{
    return (sqzi_linear_numbers){.bias = tensors[1],
                                 .terms = {{tensors[2], tensors[3]}, {tensors[4], tensors[5]}}};
}

/* What a backward works in. */
typedef struct room {
    sqzi_linear_back back;
    sqzi_linear_panels panels;
    sqzi_grad_scratch scratch;
    void *memory;
} room;

static inline void lay_out(const problem *p, size_t rows, room *r, sqzi_arena *arena)
{
    sqzi_linear_back_layout(&p->linear, &r->back, arena);
    sqzi_linear_panels_layout(&p->linear, p->m, NULL, NULL, &r->panels, arena);
    r->scratch.rows = (sqzi_linear_scratch){0};
    sqzi_linear_grad_need(&p->linear, &r->back, rows, &r->scratch.rows);
    sqzi_grad_scratch_layout(&r->scratch, arena);
}

static inline room room_for(const problem *p, size_t rows)
{
    room r;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(p, rows, &r, &arena);
    r.memory = memory_of(arena.used);
    arena = sqzi_arena_over(r.memory, arena.used);
    lay_out(p, rows, &r, &arena);
    return r;
}

/* The whole backward into p's gradients: rows `rows` at a time, units from the last or from the
 * first. */
static inline void run_backward(const problem *p, size_t rows, bool backwards, bool beta)
{
    room r = room_for(p, rows);
    sqzi_linear_numbers masters = numbers_of(p->tensors), gradient = numbers_of(p->gradients);
    const sqzi_linear_grad_args args = {.linear = &p->linear,
                                        .back = &r.back,
                                        .panels = &r.panels,
                                        .kernels = &p->kernels,
                                        .m = p->m,
                                        .x = p->tensors[0],
                                        .ldx = p->f.n_in,
                                        .dy = p->dy,
                                        .lddy = p->f.n_out,
                                        .dx = p->gradients[0],
                                        .lddx = p->f.n_in,
                                        .add = beta ? p->gradients[0] : NULL,
                                        .ldadd = p->f.n_in,
                                        .gradient = &gradient,
                                        .beta = beta};
    uint32_t n = sqzi_linear_back_units(&r.back);
    for (uint32_t u = 0; u < n; u++)
        sqzi_linear_back_pack(&r.back, &masters, backwards ? n - 1 - u : u);
    for (size_t row = 0; row < p->m; row += rows)
        sqzi_linear_grad_rows(&args, (sqzi_range){row, row + rows < p->m ? row + rows : p->m},
                              &r.scratch.rows);
    n = sqzi_linear_panel_units(&args);
    for (uint32_t u = 0; u < n; u++)
        sqzi_linear_grad_panels(&args, backwards ? n - 1 - u : u, &r.scratch);
    n = sqzi_linear_weight_units(&args);
    for (uint32_t u = 0; u < n; u++)
        sqzi_linear_grad_weights(&args, backwards ? n - 1 - u : u, &r.scratch);
    free(r.memory);
}

#endif

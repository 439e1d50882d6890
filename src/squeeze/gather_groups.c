/* SPDX-License-Identifier: Apache-2.0 */
/* The search for groups: starts that gather what each input tells alone, then exchanges of inputs
 * by what they tell beside the rest of their group, outputs dealt out after each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/grouping.h"
#include "squeeze/grouping_work.h"

enum { STARTS = 8, START_ROUNDS = 20, ROUNDS = 40 };
static const double least_gain = 2e-3; /* of the error: less, and the search ends */

typedef struct search {
    sqzi_grouping_work work;
    uint32_t *in, *out;       /* [n], [m] the candidate's */
    double *energy;           /* [m, n] what input j tells of output i alone */
    double *out_score;        /* [m, G] what group g's inputs tell of output i */
    double *in_score;         /* [n, G] what input j is worth to group g */
    uint32_t *others;         /* [n - n/G] the inputs of all groups but g */
    double *columns, *solved; /* [n - n/G, n/G] their C[j, I_g], and times C[I_g, I_g]^-1 */
    double *told;             /* [m/G, n - n/G] W_g C[I_g, j] */
    double *sums;             /* [n - n/G] */
    double *weights;          /* [m/G, n/G] W_g */
    double *inverse;          /* [n/G, n/G] */
    sqzi_scored_item *room;   /* two groups of either side */
    bool *moved;              /* [n] */
    double total;             /* what all inputs tell of all outputs */
    void *block;
    size_t bytes;
} search;

static void lay_out(search *s, sqzi_arena *arena)
{
    const sqzi_grouping_work *w = &s->work;
    const size_t m = w->m, n = w->n, each = w->n_each, groups = w->groups,
                 larger = w->m_each > w->n_each ? w->m_each : w->n_each;
    s->in = sqzi_arena_take(arena, n, sizeof *s->in);
    s->out = sqzi_arena_take(arena, m, sizeof *s->out);
    s->energy = sqzi_arena_take(arena, m * n, sizeof *s->energy);
    s->out_score = sqzi_arena_take(arena, m * groups, sizeof *s->out_score);
    s->in_score = sqzi_arena_take(arena, n * groups, sizeof *s->in_score);
    s->others = sqzi_arena_take(arena, n - each, sizeof *s->others);
    s->columns = sqzi_arena_take(arena, (n - each) * each, sizeof *s->columns);
    s->solved = sqzi_arena_take(arena, (n - each) * each, sizeof *s->solved);
    s->told = sqzi_arena_take(arena, w->m_each * (n - each), sizeof *s->told);
    s->sums = sqzi_arena_take(arena, n - each, sizeof *s->sums);
    s->weights = sqzi_arena_take(arena, w->m_each * each, sizeof *s->weights);
    s->inverse = sqzi_arena_take(arena, each * each, sizeof *s->inverse);
    s->room = sqzi_arena_take(arena, 2 * larger, sizeof *s->room);
    s->moved = sqzi_arena_take(arena, n, sizeof *s->moved);
}

/* ---- starts ---- */

static void find_energy(search *s)
{
    const sqzi_grouping_work *w = &s->work;
    for (size_t i = 0; i < w->m; i++)
        for (size_t j = 0; j < w->n; j++)
            s->total += w->a[i * w->n + j] * w->p->w[i * w->p->ldw + j];
    for (size_t j = 0; j < w->n; j++) {
        const double variance = sqzi_grouping_c(w, j, j);
        for (size_t i = 0; i < w->m; i++) {
            const double a = w->a[i * w->n + j];
            s->energy[i * w->n + j] = variance > 0 ? a * a / variance : 0;
        }
    }
}

/* Scores of one side by the groups of the other: of outputs where `outputs`. */
static void gather_scores(search *s, bool outputs)
{
    const sqzi_grouping_work *w = &s->work;
    const size_t groups = w->groups;
    double *score = outputs ? s->out_score : s->in_score;
    memset(score, 0, (outputs ? w->m : w->n) * groups * sizeof *score);
    for (size_t a = 0; a < w->m; a++) {
        const size_t i = s->out[a], group = a / w->m_each;
        for (size_t b = 0; b < w->n; b++) {
            const size_t j = s->in[b];
            if (outputs) score[i * groups + b / w->n_each] += s->energy[i * w->n + j];
            else score[j * groups + group] += s->energy[i * w->n + j];
        }
    }
}

/* Inputs shuffled, then both sides dealt out in turn. */
static void start(search *s, uint32_t number)
{
    const sqzi_grouping_work *w = &s->work;
    double before = -1;
    sqzi_shuffle(w->n, number, s->in);
    sqzi_shuffle(w->m, number + STARTS, s->out);
    for (int round = 0; round < START_ROUNDS; round++) {
        gather_scores(s, true);
        sqzi_balance_groups(w->m, w->groups, s->out_score, s->out, s->room);
        gather_scores(s, false);
        sqzi_balance_groups(w->n, w->groups, s->in_score, s->in, s->room);
        const double now = sqzi_score_of_groups(w->n, w->groups, s->in_score, s->in);
        if (!(now > before)) break;
        before = now;
    }
}

/* ---- exchanges ---- */

/* Deal out the outputs for the candidate's inputs; what all groups then tell of theirs. */
static sqz_status evaluate(search *s, double *told, sqz_error *error)
{
    sqzi_grouping_work *w = &s->work;
    const size_t each = w->n_each;
    const sqz_status status = sqzi_grouping_fit(w, s->in, error);
    if (status) return status;
    for (size_t g = 0; g < w->groups; g++)
        for (size_t i = 0; i < w->m; i++) {
            const double *fitted = w->fitted + (g * w->m + i) * each, *a = w->a + i * w->n;
            double sum = 0;
            for (size_t j = 0; j < each; j++) sum += fitted[j] * a[s->in[g * each + j]];
            s->out_score[i * w->groups + g] = sum;
        }
    sqzi_balance_groups(w->m, w->groups, s->out_score, s->out, s->room);
    *told = sqzi_score_of_groups(w->m, w->groups, s->out_score, s->out);
    return SQZ_OK;
}

/* others, columns, solved, weights, told, inverse of group g. */
static sqz_status prepare_group(search *s, size_t g, sqz_error *error)
{
    const sqzi_grouping_work *w = &s->work;
    const uint32_t each = w->n_each, n_others = w->n - each;
    const uint32_t *in = s->in + g * each;
    sqz_status status = SQZ_OK;
    memcpy(s->others, s->in, g * each * sizeof *s->others);
    memcpy(s->others + g * each, in + each, (n_others - g * each) * sizeof *s->others);
    for (size_t j = 0; j < n_others; j++)
        for (size_t k = 0; k < each; k++)
            s->columns[j * each + k] = sqzi_grouping_c(w, s->others[j], in[k]);
    for (size_t i = 0; i < w->m_each; i++)
        memcpy(s->weights + i * each, w->fitted + (g * w->m + s->out[g * w->m_each + i]) * each,
               each * sizeof *s->weights);
    memcpy(s->inverse, w->factors + g * each * each, (size_t)each * each * sizeof *s->inverse);
    TRY(sqzi_dense_invert(each, s->inverse, each, error));
    TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = n_others,
                                                  .n = each,
                                                  .k = each,
                                                  .a = s->columns,
                                                  .lda = each,
                                                  .b = s->inverse,
                                                  .ldb = each,
                                                  .c = s->solved,
                                                  .ldc = each,
                                                  .scale = 1},
                            error));
    TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = w->m_each,
                                                  .n = n_others,
                                                  .k = each,
                                                  .a = s->weights,
                                                  .lda = each,
                                                  .b = s->columns,
                                                  .ldb = each,
                                                  .transpose_b = true,
                                                  .c = s->told,
                                                  .ldc = n_others,
                                                  .scale = 1},
                            error));
fail:
    return status;
}

/* sums [n - n/G]: squares of what group g's outputs have left of each other input. */
static void add_squares(search *s, size_t g, size_t n_others)
{
    const sqzi_grouping_work *w = &s->work;
    memset(s->sums, 0, n_others * sizeof *s->sums);
    for (size_t i = 0; i < w->m_each; i++) {
        const double *a = w->a + (size_t)s->out[g * w->m_each + i] * w->n,
                     *told = s->told + i * n_others;
        for (size_t j = 0; j < n_others; j++) {
            const double r = a[s->others[j]] - told[j];
            s->sums[j] += r * r;
        }
    }
}

/* Column g of in_score: what each input would add, or, of the group's own, what it adds. */
static sqz_status score_inputs(search *s, size_t g, sqz_error *error)
{
    const sqzi_grouping_work *w = &s->work;
    const size_t each = w->n_each, n_others = w->n - each;
    const uint32_t *in = s->in + g * each;
    const sqz_status status = prepare_group(s, g, error);
    if (status) return status;
    add_squares(s, g, n_others);
    for (size_t j = 0; j < n_others; j++) {
        double left = sqzi_grouping_c(w, s->others[j], s->others[j]);
        for (size_t k = 0; k < each; k++)
            left -= s->columns[j * each + k] * s->solved[j * each + k];
        s->in_score[s->others[j] * w->groups + g] = s->sums[j] / fmax(left, w->damping);
    }
    for (size_t k = 0; k < each; k++) {
        double sum = 0;
        for (size_t i = 0; i < w->m_each; i++) {
            const double weight = s->weights[i * each + k];
            sum += weight * weight;
        }
        s->in_score[in[k] * w->groups + g] = sum / s->inverse[k * (each + 1)];
    }
    return SQZ_OK;
}

/* Inputs of group g and what they would gain in h, the largest first. */
static void rank_moves(const search *s, const uint32_t *in, size_t g, size_t h,
                       sqzi_scored_item *list)
{
    const size_t each = s->work.n_each;
    for (size_t k = 0; k < each; k++) {
        const uint32_t j = in[g * each + k];
        const double *score = s->in_score + (size_t)j * s->work.groups;
        list[k] = (sqzi_scored_item){s->moved[j] ? -INFINITY : score[h] - score[g],
                                     (uint32_t)(g * each + k)};
    }
    qsort(list, each, sizeof *list, sqzi_compare_scored);
}

/* s->in: `in` with a share of the pairs exchanged that gain by it, in each two groups. The number
 * of pairs. */
static size_t exchange(search *s, const uint32_t *in, double share)
{
    const sqzi_grouping_work *w = &s->work;
    const size_t each = w->n_each;
    size_t exchanged = 0;
    memcpy(s->in, in, w->n * sizeof *in);
    memset(s->moved, 0, w->n * sizeof *s->moved);
    for (size_t g = 0; g < w->groups; g++)
        for (size_t h = g + 1; h < w->groups; h++) {
            sqzi_scored_item *from_g = s->room, *from_h = s->room + each;
            size_t gaining = 0;
            rank_moves(s, s->in, g, h, from_g);
            rank_moves(s, s->in, h, g, from_h);
            while (gaining < each && from_g[gaining].score + from_h[gaining].score > 0) gaining++;
            const size_t taken = (size_t)ceil(share * (double)gaining);
            for (size_t k = 0; k < taken; k++) {
                uint32_t *x = &s->in[from_g[k].item], *y = &s->in[from_h[k].item];
                const uint32_t item = *x;
                *x = *y;
                *y = item;
                s->moved[*x] = s->moved[*y] = true;
            }
            exchanged += taken;
        }
    sqzi_sort_groups(w->n, w->groups, s->in);
    return exchanged;
}

/* From the groups in `in`, `out`, which tell *told. */
static sqz_status improve(search *s, uint32_t *in, uint32_t *out, double *told, sqz_error *error)
{
    const sqzi_grouping_work *w = &s->work;
    sqz_status status = SQZ_OK;
    double share = 0.5, now;
    bool scored = false;
    for (int round = 0; round < ROUNDS; round++) {
        if (!scored) {
            memcpy(s->in, in, w->n * sizeof *in);
            memcpy(s->out, out, w->m * sizeof *out);
            TRY(evaluate(s, &now, error));
            for (size_t g = 0; g < w->groups; g++) TRY(score_inputs(s, g, error));
            scored = true;
        }
        const size_t exchanged = exchange(s, in, share);
        if (exchanged == 0) break;
        TRY(evaluate(s, &now, error));
        if (now > *told) {
            const double gain = now - *told, left = s->total - now;
            memcpy(in, s->in, w->n * sizeof *in);
            memcpy(out, s->out, w->m * sizeof *out);
            *told = now;
            share = fmin(1, 1.5 * share);
            scored = false;
            if (gain < least_gain * left) break;
        } else {
            if (exchanged <= (size_t)w->groups * (w->groups - 1) / 2) break;
            share /= 2;
            memcpy(s->out, out, w->m * sizeof *out);
        }
    }
fail:
    return status;
}

sqz_status sqzi_gather_groups(const sqz_allocator *allocator, const sqzi_low_rank_problem *problem,
                              uint32_t groups, uint32_t *in, uint32_t *out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    search s = {0};
    double best = -1, told;
    TRY(sqzi_grouping_begin(allocator, problem, groups, &s.work, error));
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&s, &arena);
    s.bytes = arena.used;
    s.block = sqzi_allocate(allocator, s.bytes);
    FAIL_IF(!s.block, SQZ_ENOMEM, 0, "no memory to gather %u groups of %u x %u", groups, problem->m,
            problem->n);
    arena = sqzi_arena_over(s.block, s.bytes);
    lay_out(&s, &arena);
    find_energy(&s);
    for (uint32_t i = 0; i < STARTS; i++) {
        start(&s, i);
        TRY(evaluate(&s, &told, error));
        if (told <= best) continue;
        best = told;
        memcpy(in, s.in, s.work.n * sizeof *in);
        memcpy(out, s.out, s.work.m * sizeof *out);
    }
    TRY(improve(&s, in, out, &best, error));
fail:
    sqzi_release(allocator, s.block, s.bytes);
    sqzi_grouping_end(allocator, &s.work);
    return status;
}

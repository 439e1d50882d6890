/* SPDX-License-Identifier: Apache-2.0 */
/* Linears as matrices in double, and back: what every lever that fits a layer begins and ends
 * with. */
#include "squeeze/layer_target.h"

#include <string.h>

#include "base/error.h"

/* ---- a linear as one matrix ---- */

static void read_matrix(const sqzi_weight_matrix *matrix, double *values)
{
    const sqzi_rounded *r = &matrix->rounded;
    const size_t columns = matrix->columns;
    for (size_t i = 0; i < matrix->rows; i++)
        for (size_t at = i * columns; at < (i + 1) * columns; at++)
            values[at] = r->integers ? (double)r->scale[i] * r->integers[at]
                                     : (double)matrix->values[at];
}

static size_t matrix_items(const sqzi_weight_matrix *matrix)
{
    return (size_t)matrix->rows * matrix->columns;
}

/* w += the term; room holds the numbers of its matrices. */
static sqz_status add_term(const sqzi_weight_linear *linear, const sqzi_weight_term *term,
                           double *room, double *w, sqz_error *error)
{
    const uint32_t groups = term->b.groups, n_in = linear->n_in, rows = linear->n_out / groups,
                   columns = n_in / groups, rank = term->a.rows / groups;
    double *b = room, *a = room + matrix_items(&term->b);
    read_matrix(&term->b, b);
    if (rank) read_matrix(&term->a, a);
    for (size_t g = 0; g < groups; g++, w += (size_t)rows * n_in + columns) {
        for (size_t i = 0; !rank && i < rows; i++)
            for (size_t j = 0; j < columns; j++) w[i * n_in + j] += b[(g * rows + i) * columns + j];
        if (!rank) continue;
        const sqz_status status =
            sqzi_dense_multiply(&(sqzi_dense_product){.m = rows,
                                                      .n = columns,
                                                      .k = rank,
                                                      .a = b + g * rows * rank,
                                                      .lda = rank,
                                                      .b = a + g * rank * columns,
                                                      .ldb = columns,
                                                      .c = w,
                                                      .ldc = n_in,
                                                      .scale = 1,
                                                      .keep = 1},
                                error);
        if (status) return status;
    }
    return SQZ_OK;
}

sqz_status sqzi_linear_as_matrix(const sqz_allocator *allocator, const sqzi_weight_linear *linear,
                                 double *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t items = 0;
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const size_t n = matrix_items(&linear->terms[t].a) + matrix_items(&linear->terms[t].b);
        items = n > items ? n : items;
    }
    double *room = sqzi_allocate(allocator, items * sizeof *room);
    FAIL_IF(!room, SQZ_ENOMEM, 0, "no memory for a matrix of %u x %u", linear->n_out, linear->n_in);
    memset(w, 0, (size_t)linear->n_out * linear->n_in * sizeof *w);
    for (uint32_t t = 0; t < linear->n_terms; t++)
        TRY(add_term(linear, &linear->terms[t], room, w, error));
fail:
    sqzi_release(allocator, room, items * sizeof *room);
    return status;
}

/* ---- the target ---- */

static void lay_out(const sqzi_weight_linear *linear, bool known, sqzi_layer_target *t,
                    sqzi_arena *arena)
{
    const size_t m = t->m, n = t->n;
    t->w = sqzi_arena_take(arena, m * n, sizeof *t->w);
    t->bias = sqzi_arena_take(arena, m, sizeof *t->bias);
    t->covariance = known ? sqzi_arena_take(arena, n * n, sizeof *t->covariance) : NULL;
    t->mean = known ? sqzi_arena_take(arena, n, sizeof *t->mean) : NULL;
    t->in = linear->in ? sqzi_arena_take(arena, n, sizeof *t->in) : NULL;
    t->out = linear->out ? sqzi_arena_take(arena, m, sizeof *t->out) : NULL;
}

static void read_inputs(const sqzi_input_statistics *inputs, sqzi_layer_target *t)
{
    const size_t n = t->n;
    for (size_t i = 0; i < n; i++) {
        const size_t from = t->in ? t->in[i] : i;
        t->mean[i] = (double)inputs->mean[from];
        for (size_t j = 0; j < n; j++)
            t->covariance[i * n + j] =
                (double)inputs->covariance[from * n + (t->in ? t->in[j] : j)];
    }
}

sqz_status sqzi_layer_target_make(const sqzi_weights *weights, const sqzi_weight_linear *linear,
                                  const sqzi_input_statistics *inputs, sqzi_layer_target *target,
                                  sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_layer_target *t = target;
    const sqz_allocator *allocator = &weights->model->context->allocator;
    const bool whole = linear->n_terms == 1 && !linear->terms[0].a.rows;
    *t = (sqzi_layer_target){.allocator = allocator,
                             .m = linear->n_out,
                             .n = linear->n_in,
                             .groups = whole ? linear->terms[0].b.groups : 1,
                             .biased = linear->bias != NULL};
    FAIL_IF(inputs && inputs->n != t->n, SQZ_EINVAL, 0,
            "statistics of %u inputs for a linear that reads %u", inputs ? inputs->n : 0, t->n);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(linear, inputs != NULL, t, &arena);
    t->bytes = arena.used;
    t->block = sqzi_allocate(allocator, t->bytes);
    FAIL_IF(!t->block, SQZ_ENOMEM, 0, "no memory to squeeze a linear of %u x %u", t->m, t->n);
    arena = sqzi_arena_over(t->block, t->bytes);
    lay_out(linear, inputs != NULL, t, &arena);
    if (t->in) memcpy(t->in, linear->in, t->n * sizeof *t->in);
    if (t->out) memcpy(t->out, linear->out, t->m * sizeof *t->out);
    for (size_t i = 0; i < t->m; i++) t->bias[i] = t->biased ? (double)linear->bias[i] : 0;
    if (inputs) read_inputs(inputs, t);
    TRY(sqzi_linear_as_matrix(allocator, linear, t->w, error));
    TRY(sqzi_output_error(
        allocator,
        &(sqzi_low_rank_problem){
            .m = t->m, .n = t->n, .w = t->w, .ldw = t->n, .covariance = t->covariance, .ldc = t->n},
        &t->total, error));
fail:
    return status;
}

void sqzi_layer_target_discard(sqzi_layer_target *target)
{
    if (target->allocator) sqzi_release(target->allocator, target->block, target->bytes);
    *target = (sqzi_layer_target){0};
}

/* ---- back into the weights ---- */

/* [n] of first[j] where second is NULL, else of first[second[j]]. */
static sqz_status compose(const sqz_allocator *allocator, const uint32_t *first,
                          const uint32_t *second, uint32_t n, uint32_t **made, sqz_error *error)
{
    *made = NULL;
    if (!first && !second) return SQZ_OK;
    *made = sqzi_allocate(allocator, n * sizeof **made);
    if (!*made) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a permutation of %u", n);
    for (size_t j = 0; j < n; j++) {
        const uint32_t at = second ? second[j] : (uint32_t)j;
        (*made)[j] = first ? first[at] : at;
    }
    return SQZ_OK;
}

/* What the mean input's output lacks, in the linear's order. */
static double mean_of_left(const sqzi_layer_target *t, const double *left, size_t row)
{
    double off = 0;
    for (size_t j = 0; t->mean && j < t->n; j++) off += left[row * t->n + j] * t->mean[j];
    return off;
}

/* left [m, n] = W - W' in the target's order; as_made [m, n] is room. */
static sqz_status leave(const sqzi_layer_target *t, const uint32_t *in, const uint32_t *out,
                        const sqzi_weight_linear *linear, double *as_made, double *left,
                        double *sum, sqz_error *error)
{
    const size_t m = t->m, n = t->n;
    const sqz_status status = sqzi_linear_as_matrix(t->allocator, linear, as_made, error);
    if (status) return status;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const size_t at = (out ? out[i] : i) * n + (in ? in[j] : j);
            left[at] = t->w[at] - as_made[i * n + j];
        }
    return sqzi_output_error(
        t->allocator,
        &(sqzi_low_rank_problem){
            .m = t->m, .n = t->n, .w = left, .ldw = t->n, .covariance = t->covariance, .ldc = t->n},
        sum, error);
}

sqz_status sqzi_layer_correct(const sqzi_weights *weights, const sqzi_layer_target *target,
                              const uint32_t *in, const uint32_t *out, bool correct,
                              sqzi_weight_linear *linear, double *share, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_layer_target *t = target;
    const size_t items = (size_t)t->m * t->n, bytes = 2 * items * sizeof(double);
    double sum, *left = sqzi_allocate(t->allocator, bytes);
    FAIL_IF(!left, SQZ_ENOMEM, 0, "no memory to fit a linear of %u x %u", t->m, t->n);
    TRY(leave(t, in, out, linear, left + items, left, &sum, error));
    if (t->biased || (correct && t->mean)) TRY(sqzi_weight_linear_add_bias(weights, linear, error));
    for (size_t i = 0; i < t->m; i++) {
        const size_t row = out ? out[i] : i;
        const double off = mean_of_left(t, left, row);
        if (!correct) sum += off * off;
        if (linear->bias) linear->bias[i] = (float)(t->bias[row] + (correct ? off : 0));
    }
    *share = sum > 0 && t->total > 0 ? sum / t->total : 0;
fail:
    sqzi_release(t->allocator, left, bytes);
    return status;
}

sqz_status sqzi_layer_settle(const sqzi_weights *weights, const sqzi_layer_target *target,
                             const uint32_t *in, const uint32_t *out, bool correct,
                             sqzi_weight_linear *made, sqzi_weight_linear *linear, double *share,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_layer_target *t = target;
    TRY(sqzi_layer_correct(weights, t, in, out, correct, made, share, error));
    TRY(compose(t->allocator, t->in, in, t->n, &made->in, error));
    TRY(compose(t->allocator, t->out, out, t->m, &made->out, error));
    sqzi_weight_linear_drop(weights, linear);
    *linear = *made;
    *made = (sqzi_weight_linear){0};
fail:
    sqzi_weight_linear_drop(weights, made);
    return status;
}

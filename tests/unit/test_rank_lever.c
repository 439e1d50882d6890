/* SPDX-License-Identifier: Apache-2.0 */
/* Low rank and groups over the weights of whole models: shares against the errors that loops find
 * in the file's own order, biases that keep the mean output, linears that stay on an error. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "squeeze/groups_lever.h"
#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST = 256 }; /* of a side; the widest feed-forwards are left out */

static const sqz_session_options room = {.max_tokens = 8, .max_sequences = 1, .max_length = 8};

typedef struct subject {
    sqzt_opened opened;
    sqzi_weights weights;
    sqzi_input_statistics inputs;
    float mean[MOST], covariance[MOST * MOST];
} subject;

/* Inputs of any number: correlated, with a mean that is not small. */
static void know_inputs(subject *s, uint32_t n)
{
    sqzt_random random = sqzt_random_of(n);
    double rows[MOST * 8];
    for (size_t i = 0; i < (size_t)n * 8; i++) rows[i] = sqzt_normal(&random);
    for (size_t i = 0; i < n; i++) {
        s->mean[i] = (float)sqzt_normal(&random);
        for (size_t j = 0; j < n; j++) {
            double sum = i == j ? 0.5 : 0;
            for (size_t k = 0; k < 8; k++) sum += rows[i * 8 + k] * rows[j * 8 + k];
            s->covariance[i * n + j] = (float)sum;
        }
    }
    s->inputs =
        (sqzi_input_statistics){.n = n, .rows = 100, .mean = s->mean, .covariance = s->covariance};
}

static void open_subject(subject *s, const sqzt_tiny *tiny)
{
    sqz_error error = {0};
    s->opened = sqzt_open_tiny(tiny, 1, &room);
    sqzt_assert_ok(sqzi_weights_of(s->opened.model, &s->weights, &error), &error);
}

static void close_subject(subject *s)
{
    sqzi_weights_discard(&s->weights);
    sqzt_close(&s->opened);
}

/* w [n_out, n_in] and b [n_out] as the encoder means them, in the order of x and y, by loops. */
static void read_linear(const sqzi_weight_linear *l, double *w, double *b)
{
    memset(w, 0, (size_t)l->n_out * l->n_in * sizeof *w);
    for (size_t i = 0; i < l->n_out; i++) {
        const size_t y = l->out ? l->out[i] : i;
        b[y] = l->bias ? (double)l->bias[i] : 0;
        for (uint32_t t = 0; t < l->n_terms; t++) {
            const sqzi_weight_matrix *second = &l->terms[t].b, *first = &l->terms[t].a;
            const size_t groups = second->groups, g = i / (l->n_out / groups),
                         each = l->n_in / groups, rank = first->rows / groups;
            for (size_t j = 0; j < each; j++) {
                const size_t at = g * each + j, x = l->in ? l->in[at] : at;
                const float *row = second->values + i * second->columns;
                if (!first->rows) w[y * l->n_in + x] += (double)row[j];
                for (size_t k = 0; k < rank; k++)
                    w[y * l->n_in + x] += (double)row[k] *
                                          (double)first->values[(g * rank + k) * each + j];
            }
        }
    }
}

typedef struct reading {
    double w[MOST * MOST], b[MOST];
} reading;

/* E |W x + b - W' x - b'|^2 / E |W (x - mean)|^2 by loops; *off the largest difference of the mean
 * input's outputs. */
static double share_of(const subject *s, const reading *was, const sqzi_weight_linear *now,
                       double *off)
{
    static reading is;
    const size_t n = now->n_in;
    double left = 0, total = 0;
    read_linear(now, is.w, is.b);
    *off = 0;
    for (size_t i = 0; i < now->n_out; i++) {
        double off_by = was->b[i] - is.b[i];
        const double *w = was->w + i * n, *v = is.w + i * n;
        for (size_t j = 0; j < n; j++) {
            off_by += (w[j] - v[j]) * (double)s->mean[j];
            for (size_t k = 0; k < n; k++) {
                const double c = (double)s->covariance[j * n + k];
                total += w[j] * c * w[k];
                left += (w[j] - v[j]) * c * (w[k] - v[k]);
            }
        }
        left += off_by * off_by;
        *off = fmax(*off, fabs(off_by));
    }
    return left / total;
}

static uint32_t most_rank(const sqzi_layer_target *t)
{
    return (t->m < t->n ? t->m : t->n) / t->groups;
}

/* Of the linears of every form, at a third of the rank: the share is what loops find, what the
 * spectrum promised, and no more than that of singular values alone. */
static void low_rank_leaves_the_share_that_it_says(void **state)
{
    (void)state;
    static reading was;
    static subject s;
    uint32_t fitted = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqz_error error = {0};
        if (form->tiny.parts) continue; /* such a model is not squeezed again */
        open_subject(&s, &form->tiny);
        for (uint32_t i = 0; i < s.weights.n_blocks; i++)
            for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
                sqzi_weight_linear *l = &s.weights.blocks[i].linears[j];
                sqzi_layer_target target;
                sqzi_low_rank_spectrum spectrum;
                double share, plain, off;
                if (l->n_in > MOST || l->n_out > MOST) continue;
                fitted++;
                know_inputs(&s, l->n_in);
                read_linear(l, was.w, was.b);
                sqzt_assert_ok(sqzi_layer_target_make(&s.weights, l, &s.inputs, &target, &error),
                               &error);
                const uint32_t rank = (most_rank(&target) + 2) / 3;
                sqzt_assert_ok(sqzi_rank_errors(&target, &spectrum, &error), &error);
                sqzt_assert_ok(sqzi_fit_rank(&s.weights, &target, rank, true, l, &plain, &error),
                               &error);
                double by_loops = share_of(&s, &was, l, &off);
                if (!(fabs(plain - by_loops) <= 1e-5))
                    fail_msg("%s, block %u, %s: plain %g, %g by loops", form->name, i,
                             sqzi_block_linear_name(j), plain, by_loops);
                sqzt_assert_ok(sqzi_fit_rank(&s.weights, &target, rank, false, l, &share, &error),
                               &error);
                by_loops = share_of(&s, &was, l, &off);
                const double promised = sqzi_low_rank_error(&spectrum, rank) / target.total;
                if (!(fabs(share - by_loops) <= 1e-5 && fabs(share - promised) <= 1e-5 &&
                      share <= plain + 1e-5 && off <= 1e-4))
                    fail_msg("%s, block %u, %s: share %g, %g by loops, %g promised, %g plain; the "
                             "mean is off by %g",
                             form->name, i, sqzi_block_linear_name(j), share, by_loops, promised,
                             plain, off);
                sqzi_low_rank_spectrum_discard(&spectrum);
                sqzi_layer_target_discard(&target);
            }
        close_subject(&s);
    }
    assert_true(fitted > 200);
}

/* The first linear of all forms that is one whole dense term. */
static sqzi_weight_linear *dense_linear(subject *s)
{
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        sqzi_weight_linear *l = &s->weights.blocks[0].linears[j];
        if (l->n_terms == 1 && !l->terms[0].a.rows && l->terms[0].b.groups == 1 &&
            l->n_in % 2 == 0 && l->n_out % 2 == 0 && l->n_in <= MOST && l->n_out <= MOST)
            return l;
    }
    return NULL;
}

/* Permuted forms too: the new permutations come after those that were there. A rest leaves less
 * than groups alone, and these less than groups as they lie. */
static void groups_leave_the_share_that_they_say(void **state)
{
    (void)state;
    static reading was;
    uint32_t tried = 0;
    static subject s;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqz_error error = {0};
        if (form->tiny.parts) continue; /* such a model is not squeezed again */
        open_subject(&s, &form->tiny);
        sqzi_weight_linear *l = dense_linear(&s);
        const sqzi_groups settings[] = {{.groups = 2, .plain = true},
                                        {.groups = 2},
                                        {.groups = 2, .rest_rank = 2}};
        double shares[3], off;
        sqzi_layer_target target = {0};
        if (l) {
            tried++;
            know_inputs(&s, l->n_in);
            read_linear(l, was.w, was.b);
            sqzt_assert_ok(sqzi_layer_target_make(&s.weights, l, &s.inputs, &target, &error),
                           &error);
        }
        for (size_t i = 0; l && i < 3; i++) {
            sqzt_assert_ok(
                sqzi_fit_groups(&s.weights, &target, &settings[i], l, &shares[i], &error), &error);
            const double by_loops = share_of(&s, &was, l, &off);
            if (!(fabs(shares[i] - by_loops) <= 1e-5 && (i == 0 || off <= 1e-4)))
                fail_msg("%s, setting %zu: share %g, %g by loops; the mean is off by %g",
                         form->name, i, shares[i], by_loops, off);
            assert_int_equal(l->n_terms, i == 2 ? 2 : 1);
            assert_true(i == 0 || shares[i] <= shares[i - 1]);
        }
        sqzi_layer_target_discard(&target);
        close_subject(&s);
    }
    assert_true(tried > 3);
}

/* int8 integers with an error of their own, and what a rest takes of it. */
static void what_does_not_fit_is_refused_and_the_linear_stays(void **state)
{
    (void)state;
    static reading was, is;
    static subject s;
    sqz_error error = {0};
    double share;
    char wanted[40];
    open_subject(&s, &sqzt_tiny_forms[0].tiny);
    sqzi_weight_linear *l = dense_linear(&s);
    sqzi_layer_target target;
    know_inputs(&s, l->n_in);
    read_linear(l, was.w, was.b);
    sqzt_assert_ok(sqzi_layer_target_make(&s.weights, l, &s.inputs, &target, &error), &error);
    const uint32_t most = most_rank(&target);
    snprintf(wanted, sizeof wanted, "1 to %u is possible", most);
    sqzt_assert_fails(sqzi_fit_rank(&s.weights, &target, 0, false, l, &share, &error), SQZ_EINVAL,
                      &error, wanted);
    sqzt_assert_fails(sqzi_fit_rank(&s.weights, &target, most + 1, false, l, &share, &error),
                      SQZ_EINVAL, &error, wanted);
    sqzt_assert_fails(sqzi_fit_groups(&s.weights, &target, &(sqzi_groups){.groups = 997}, l, &share,
                                      &error),
                      SQZ_EINVAL, &error, "must divide both");
    sqzt_assert_fails(sqzi_fit_groups(&s.weights, &target,
                                      &(sqzi_groups){.groups = 2, .rest_rank = most + 1}, l, &share,
                                      &error),
                      SQZ_EINVAL, &error, "is possible");
    s.inputs.n++;
    sqzi_layer_target other;
    sqzt_assert_fails(sqzi_layer_target_make(&s.weights, l, &s.inputs, &other, &error), SQZ_EINVAL,
                      &error, "for a linear that reads");
    sqzi_layer_target_discard(&other);
    read_linear(l, is.w, is.b);
    assert_memory_equal(&was, &is, sizeof was);
    sqzi_layer_target_discard(&target);
    close_subject(&s);
}

int main(void)
{
    if (!sqzi_dense_algebra_built()) {
        puts("skipped: built without LAPACK");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_rank_leaves_the_share_that_it_says),
        cmocka_unit_test(groups_leave_the_share_that_they_say),
        cmocka_unit_test(what_does_not_fit_is_refused_and_the_linear_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

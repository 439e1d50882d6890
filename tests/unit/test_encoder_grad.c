/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of whole encoders with their heads. In double each tensor's against a central
 * difference of the loss along a random direction; in f32 on every level against bounds of what
 * rounding does, and everywhere bits that depend on neither the team nor on running again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/test.h"
#include "support/tiny_pass.h"

static uint32_t any_features(void)
{
    return sizeof(sqzi_real) == sizeof(double) ? 0 : sqzi_cpu_detect();
}

/* A sequence of one token, and more than a chain and a strip of rows. */
static const sqzt_pass_options plain = {.members = 1,
                                        .lengths = {40, 1, 33, 40, 17},
                                        .padding = UINT32_MAX};
static const sqzt_pass_options dropped = {.members = 2,
                                          .lengths = {40, 1, 33, 40, 17},
                                          .padding = UINT32_MAX,
                                          .dropout = 0.1,
                                          .recompute = true,
                                          .normalize = true,
                                          .some_tokens = true};

#ifdef SQZI_DOUBLE

static double loss_along(sqzt_pass *p, const sqzt_tensor *tensor, const double *direction,
                         const sqzi_real *from, double h)
{
    for (size_t i = 0; i < tensor->n; i++)
        tensor->master[i] = from[i] + (sqzi_real)(h * direction[i]);
    const double loss = sqzt_pass_loss(p);
    memcpy(tensor->master, from, tensor->n * sizeof *from);
    return loss;
}

/* What all scores of a query share, its softmax ignores: the loss does not depend on a key's bias,
 * and a difference would show nothing but its rounding. */
static bool has_no_effect(const sqzt_tensor *tensor)
{
    return strstr(tensor->name, "attn_k.bias") != NULL;
}

/* The direction has length 1, so that its third derivative is not in the way. */
static void check_tensor(sqzt_pass *p, const char *form, const sqzt_tensor *tensor, double loss)
{
    const double h = 1e-5;
    const size_t n = tensor->n;
    double *direction = malloc(n * sizeof *direction), length = 0, along = 0, norm = 0;
    sqzi_real *from = malloc(n * sizeof *from);
    assert_true(direction && from);
    memcpy(from, tensor->master, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        direction[i] = sqzt_normal(&p->model.random);
        length += direction[i] * direction[i];
        norm += (double)tensor->grad[i] * (double)tensor->grad[i];
    }
    for (size_t i = 0; i < n; i++) {
        direction[i] /= sqrt(length);
        along += (double)tensor->grad[i] * direction[i];
    }
    const double difference = has_no_effect(tensor) ? 0
                                                    : (loss_along(p, tensor, direction, from, h) -
                                                       loss_along(p, tensor, direction, from, -h)) /
                                                          (2 * h),
                 allowed = 1e-7 * fmax(fabs(along), sqrt(norm / (double)n)) +
                           4 * 0x1p-52 * fabs(loss) / h;
    if (!(fabs(difference - along) <= allowed))
        fail_msg("%s, %s: the difference is %.12g, the gradient says %.12g, +- %.2g", form,
                 tensor->name, difference, along, allowed);
    free(direction);
    free(from);
}

static void check_form(const char *name, const sqzt_tiny *tiny, const sqzt_pass_options *options)
{
    sqzt_pass p;
    sqzt_pass_make(&p, tiny, options);
    sqzt_pass_gradients(&p);
    const double loss = sqzt_pass_loss(&p);
    for (uint32_t i = 0; i < p.model.n_tensors; i++)
        if (*p.model.tensors[i].grad_at) check_tensor(&p, name, &p.model.tensors[i], loss);
    sqzt_pass_free(&p);
}

/* Long sequences where there are places for them; few tokens of the wide one, and of forms that
 * differ from another in how a file has their numbers alone. */
static void choose_lengths(const sqzt_tiny *tiny, uint32_t *lengths)
{
    static const uint32_t long_ones[] = {70, 1, 200, 0}, few[] = {17, 1, 9, 0};
    if (tiny->positions > 200) memcpy(lengths, long_ones, sizeof long_ones);
    else if (tiny->ffn_width > 1000 || tiny->type != SQZI_F32) memcpy(lengths, few, sizeof few);
}

static void gradients_of_every_form_are_those_of_differences(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_pass_options options[] = {plain, dropped};
        for (size_t i = 0; i < 2; i++) {
            choose_lengths(&form->tiny, options[i].lengths);
            check_form(form->name, &form->tiny, &options[i]);
        }
    }
}
#endif

/* Every gradient of two passes of one form is the same, bit for bit. */
static void check_same(const char *form, sqzt_pass *p, sqzt_pass *q)
{
    sqzt_pass_gradients(q);
    for (uint32_t i = 0; i < p->model.n_tensors; i++) {
        const sqzt_tensor *a = &p->model.tensors[i], *b = &q->model.tensors[i];
        if (memcmp(a->grad, b->grad, a->n * sizeof *a->grad) != 0)
            fail_msg("%s, %s: other bits with %u threads%s", form, a->name, q->options.members,
                     q->options.recompute ? " and blocks that run again" : "");
    }
}

static void bits_depend_on_neither_threads_nor_running_again(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (uint32_t variant = 0; variant < 6; variant++) {
            sqzt_pass_options options = variant % 2 ? dropped : plain;
            sqzt_pass p, q;
            options.features = any_features();
            options.members = 1;
            options.recompute = false;
            sqzt_pass_make(&p, &form->tiny, &options);
            sqzt_pass_gradients(&p);
            options.members = 1 + variant / 2;
            options.recompute = variant % 4 < 2;
            sqzt_pass_make(&q, &form->tiny, &options);
            check_same(form->name, &p, &q);
            sqzt_pass_free(&p);
            sqzt_pass_free(&q);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_depend_on_neither_threads_nor_running_again),
#ifdef SQZI_DOUBLE
        cmocka_unit_test(gradients_of_every_form_are_those_of_differences),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

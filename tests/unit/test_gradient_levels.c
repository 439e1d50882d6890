/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of every tiny form in f32, on every level of this machine, against those of the double
 * build, from the same numbers: that build's program of this name leaves them in a file first. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/test.h"
#include "support/tiny_pass.h"

static sqzt_pass_options options_of(uint32_t variant)
{
    return (sqzt_pass_options){.members = 1,
                               .lengths = {40, 1, 33, 40, 17},
                               .padding = UINT32_MAX,
                               .dropout = variant ? 0.1 : 0,
                               .recompute = variant};
}

enum { VARIANTS = 2 }; /* without and with dropout */

#ifdef SQZI_DOUBLE

static void gradients_are_left_for_the_float_build(void **state)
{
    (void)state;
    FILE *file = fopen(SQZT_GRADIENTS, "wb");
    assert_non_null(file);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (uint32_t variant = 0; variant < VARIANTS; variant++) {
            const sqzt_pass_options options = options_of(variant);
            sqzt_pass p;
            sqzt_pass_make(&p, &form->tiny, &options);
            sqzt_pass_gradients(&p);
            for (uint32_t t = 0; t < p.model.n_tensors; t++) {
                const sqzt_tensor *tensor = &p.model.tensors[t];
                assert_true(fwrite(tensor->grad, sizeof *tensor->grad, tensor->n, file) ==
                            tensor->n);
            }
            sqzt_pass_free(&p);
        }
    assert_true(fclose(file) == 0);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_left_for_the_float_build)};

#else

static const struct {
    const char *name;
    uint32_t features;
} levels[] = {{"portable", 0},
              {"avx2", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
              {"avx512", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
              {"neon", SQZI_CPU_NEON}};

/* Squared lengths of a tensor's gradient in double, and of what the float build is off by. */
typedef struct distance {
    double exact, off;
} distance;

static distance compare(const sqzt_tensor *tensor, FILE *file)
{
    distance d = {0, 0};
    double *exact = malloc(tensor->n * sizeof *exact);
    assert_non_null(exact);
    assert_true(fread(exact, sizeof *exact, tensor->n, file) == tensor->n);
    for (size_t i = 0; i < tensor->n; i++) {
        const double off = (double)tensor->grad[i] - exact[i];
        d.exact += exact[i] * exact[i];
        d.off += off * off;
    }
    free(exact);
    return d;
}

/* What holds against the floats of another program (tests/reference) holds against these. */
static void check_form(const char *level, const sqzt_named_tiny *form, uint32_t variant,
                       uint32_t features, FILE *file)
{
    sqzt_pass_options options = options_of(variant);
    distance d[SQZT_MOST_TENSORS];
    double all = 0;
    sqzt_pass p;
    options.features = features;
    sqzt_pass_make(&p, &form->tiny, &options);
    sqzt_pass_gradients(&p);
    for (uint32_t t = 0; t < p.model.n_tensors; t++) {
        d[t] = compare(&p.model.tensors[t], file);
        all += d[t].exact;
    }
    for (uint32_t t = 0; t < p.model.n_tensors; t++)
        if (!(sqrt(d[t].off) <= 1e-5 * sqrt(d[t].exact) + 1e-7 * sqrt(all)))
            fail_msg("%s, %s, %s: off by %.3g of %.3g, all gradients are %.3g", level, form->name,
                     p.model.tensors[t].name, sqrt(d[t].off), sqrt(d[t].exact), sqrt(all));
    sqzt_pass_free(&p);
}

static void gradients_on_every_level_are_those_of_the_double_build(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (levels[i].features & ~sqzi_cpu_detect()) {
            printf("gradients, %s: not run here\n", levels[i].name);
            continue;
        }
        FILE *file = fopen(SQZT_GRADIENTS, "rb");
        if (!file) {
            printf("no %s: run the double build's program first\n", SQZT_GRADIENTS);
            exit(77);
        }
        for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
            for (uint32_t variant = 0; variant < VARIANTS; variant++)
                check_form(levels[i].name, form, variant, levels[i].features, file);
        fclose(file);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gradients_on_every_level_are_those_of_the_double_build)};

#endif

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

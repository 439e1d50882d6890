/* SPDX-License-Identifier: Apache-2.0 */
/* int8 layers behind an activation that has a lowest value: rows are unsigned from it on, and what
 * the zero point adds is taken out of the bias when the model is opened. Every layer against its
 * weights in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/loader.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { ROWS = 9, MOST_WIDTH = 600 };

/* Inputs as GELU makes them, its lowest values and one large number among them. */
static void make_inputs(sqzt_random *random, size_t n, float *x)
{
    for (size_t i = 0; i < ROWS * n; i++) {
        const double z = 2 * sqzt_normal(random);
        x[i] = (float)(z * 0.5 * (1 + erf(z * 0.70710678118654752440)));
    }
    for (size_t r = 0; r < ROWS; r++) {
        x[r * n + r % n] = -0.16998f;
        x[r * n + (r + 3) % n] = r % 3 == 0 ? 30.0f : 2.0f;
    }
}

/* Output o of W' x + b from the file's tensors; *most: half a step of every input. */
static double expected(const sqz_model *model, const char *name, const sqzi_linear *linear,
                       const float *x, size_t j, double *most)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    const sqzi_gguf_tensor *w = sqzi_gguf_find_tensor(model->gguf, full);
    snprintf(full, sizeof full, "%s.weight.scale", name);
    const float *scale = sqzi_gguf_find_tensor(model->gguf, full)->data;
    snprintf(full, sizeof full, "%s.bias", name);
    const sqzi_gguf_tensor *bias = sqzi_gguf_find_tensor(model->gguf, full);
    const size_t groups = linear->terms[0].b.groups, k = linear->n_in / groups,
                 g = j / (linear->n_out / groups);
    const int8_t *row = (const int8_t *)w->data + j * k;
    double sum = bias ? (double)((const float *)bias->data)[j] : 0, largest = 0, next = 0,
           terms = fabs(sum);
    for (size_t i = 0; i < k; i++) {
        const double value = (double)x[g * k + i], y = value + 0.1701;
        sum += (double)scale[j] * row[i] * value;
        terms += fabs((double)scale[j] * row[i]) * (y + 0.1701);
        next = fabs(value) > largest ? largest : fmax(next, fabs(value));
        largest = fmax(largest, fabs(value));
    }
    const double a = next <= 0.8 * largest ? fmax(next + 0.1701, (largest + 0.1701) / 3)
                                           : largest + 0.1701;
    *most = 0;
    for (size_t i = 0; i < k; i++) *most += fabs((double)scale[j] * row[i]) * a / 255 / 2;
    /* the sum is exact; x + zero_point, scales, the bias and the end round, each once */
    *most += 8 * 0x1p-24 * terms;
    return sum;
}

static void down_is_unsigned_and_right(void **state)
{
    (void)state;
    uint32_t seen = 0, in_groups = 0;
    sqzt_random random = sqzt_random_of(5);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_tiny tiny = form->tiny;
        if (tiny.rank || tiny.permuted || tiny.ffn_width > MOST_WIDTH) continue;
        tiny.type = SQZI_S8;
        tiny.expanded = true;
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *model;
        const char *path = sqzt_temporary("int8.gguf");
        sqzt_tiny_write(&tiny, path);
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                       &error);
        sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
        for (uint32_t b = 0; b < model->encoder.n_blocks; b++) {
            const sqzi_linear *down = &model->encoder.blocks[b].ffn_down;
            static float x[ROWS * MOST_WIDTH], y[ROWS * MOST_WIDTH];
            char name[48];
            snprintf(name, sizeof name, "blk.%u.ffn_down", (unsigned)b);
            assert_false(model->encoder.blocks[b].ffn_up.terms[0].b.unsigned_rows);
            if (!down->terms[0].b.unsigned_rows) continue;
            seen++;
            make_inputs(&random, down->n_in, x);
            sqzi_linear_scratch scratch = {0};
            sqzi_linear_need(down, ROWS, &scratch);
            sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
            sqzi_linear_scratch_layout(&scratch, &arena);
            const size_t bytes = arena.used;
            void *memory = sqzi_allocate(&sqzi_default_allocator, bytes);
            arena = sqzi_arena_over(memory, bytes);
            sqzi_linear_scratch_layout(&scratch, &arena);
            assert_true(sqzi_linear_run(
                down,
                &(sqzi_linear_args){
                    .m = ROWS, .x = x, .ldx = down->n_in, .y = y, .ldy = down->n_out},
                &scratch));
            for (size_t r = 0; r < ROWS; r++)
                for (size_t j = 0; j < down->n_out; j++) {
                    double most;
                    const double wanted = expected(model, name, down, x + r * down->n_in, j, &most),
                                 got = (double)y[r * down->n_out + j];
                    if (!(fabs(got - wanted) <= most))
                        fail_msg("%s, %s, row %zu, output %zu: %g, %g expected, within %g",
                                 form->name, name, r, j, got, wanted, most);
                }
            for (uint32_t g = 0; sqzi_linear_in_groups(&model->encoder.blocks[b].ffn_up, down) &&
                                 g < down->terms[0].b.groups;
                 g++) {
                const size_t k = down->n_in / down->terms[0].b.groups,
                             n = down->n_out / down->terms[0].b.groups;
                static float part[ROWS * MOST_WIDTH];
                assert_true(sqzi_linear_run_group(
                    down, g,
                    &(sqzi_linear_args){
                        .m = ROWS, .x = x + g * k, .ldx = down->n_in, .y = part, .ldy = n},
                    &scratch));
                for (size_t r = 0; r < ROWS; r++)
                    assert_memory_equal(part + r * n, y + r * down->n_out + g * n, n * sizeof *y);
                in_groups++;
            }
            sqzi_release(&sqzi_default_allocator, memory, bytes);
        }
        sqz_model_close(model);
        sqz_context_close(context);
    }
    assert_true(seen >= 4 && in_groups >= 4);
    printf("%u layers\n", seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(down_is_unsigned_and_right)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Corrected biases: the arithmetic for every form of linear, what the file holds, and what the
 * encoder shows of its linears' inputs. */
#include <math.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/planned.h"

enum { MOST_WIDTH = 512 };

/* y += T x in double, T as in the file or rounded to int8. Returns the sum of |T x| terms. */
static double multiply(const sqzi_quantized *t, uint32_t groups, bool rounded, const double *x,
                       double *y)
{
    const float *w = t->from->data;
    const size_t rows = (size_t)t->from->shape[0], n = (size_t)t->from->shape[1];
    double most = 0;
    for (size_t r = 0; r < rows; r++, w += n) {
        float largest = 0;
        for (size_t k = 0; k < n; k++) largest = fmaxf(largest, fabsf(w[k]));
        const double scale = (double)(largest / 127.0f);
        for (size_t k = 0; k < n; k++) {
            const double term = (rounded ? scale * rint((double)w[k] / scale) : (double)w[k]) *
                                x[r / (rows / groups) * n + k];
            y[r] += term;
            most += fabs(term);
        }
    }
    return most;
}

/* W x + b, or W' x + b', of a linear's own numbering of inputs and outputs. */
static double run_linear(const sqzi_bias_correction *c, bool rounded, const double *x, double *y)
{
    const sqzi_linear *linear = c->linear;
    static double middle[MOST_WIDTH];
    double most = 0;
    memset(middle, 0, sizeof middle);
    for (uint32_t j = 0; j < linear->n_out; j++)
        y[j] = rounded   ? (double)c->corrected[j]
               : c->bias ? (double)((const float *)c->bias->data)[j]
                         : 0;
    if (c->weight) most += multiply(c->weight, linear->terms[0].b.groups, rounded, x, y);
    if (c->a)
        most += multiply(c->a, linear->terms[linear->n_terms - 1].a.groups, rounded, x, middle);
    if (c->b)
        most += multiply(c->b, linear->terms[linear->n_terms - 1].b.groups, rounded, middle, y);
    return most;
}

/* One input, seen `rows` times: it is its own mean, of share 1. */
static void see(sqzi_bias_correction *c, const double *x, uint64_t rows)
{
    c->squares = 0;
    c->rows = rows;
    for (uint32_t j = 0; j < c->linear->n_in; j++) {
        c->sum[c->linear->in ? c->linear->in[j] : j] = (double)rows * x[j];
        c->squares += (double)rows * x[j] * x[j];
    }
}

/* The one rounding left is that of b' to float; sums in double, of at most 2 * 512 terms in another
 * order, stay within 2^-40 of their terms. */
static void a_constant_input_comes_out_as_from_the_float_linear(void **state)
{
    (void)state;
    static double x[MOST_WIDTH], expected[MOST_WIDTH], got[MOST_WIDTH];
    uint32_t linears = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_planned p;
        sqz_error error = {0};
        if (form->tiny.type != SQZI_F32 || form->tiny.parts || form->tiny.ffn_width > MOST_WIDTH)
            continue;
        sqzt_plan(&form->tiny, &p);
        assert_true(p.corrections.n >= 6 * form->tiny.blocks);
        for (uint32_t i = 0; i < p.corrections.n; i++, linears++) {
            sqzi_bias_correction *c = &p.corrections.list[i];
            assert_true(c->linear->n_in <= MOST_WIDTH && c->linear->n_out <= MOST_WIDTH);
            for (uint32_t j = 0; j < c->linear->n_in; j++) x[j] = sin(1.7 * j + i) + 0.3;
            see(c, x, 4);
            sqzt_assert_ok(sqzi_bias_correction_solve(c, false, p.corrections.work, &error),
                           &error);
            const double most = run_linear(c, false, x, expected) + run_linear(c, true, x, got);
            for (uint32_t j = 0; j < c->linear->n_out; j++) {
                if (!(fabs(got[j] - expected[j]) <=
                      0x1p-24 * fabs((double)c->corrected[j]) + 0x1p-40 * most))
                    fail_msg("%s, %s, output %u: %g, expected %g", form->name, c->bias_name, j,
                             got[j], expected[j]);
            }
        }
        sqzt_discard_plan(&p);
    }
    printf("%u linears\n", linears);
}

static void inputs_without_a_mean_change_no_bias(void **state)
{
    (void)state;
    sqzt_planned p;
    sqz_error error = {0};
    sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
    for (uint32_t i = 0; i < p.corrections.n; i++) {
        sqzi_bias_correction *c = &p.corrections.list[i];
        c->rows = 2; /* x and -x */
        c->squares = 2;
        sqzt_assert_ok(sqzi_bias_correction_solve(c, false, p.corrections.work, &error), &error);
        for (uint32_t j = 0; j < c->linear->n_out; j++)
            assert_true(c->corrected[j] == (c->linear->bias ? c->linear->bias[j] : 0));
    }
    sqzt_discard_plan(&p);
}

/* Half of the rows are x, half are 0: the mean is x/2 and holds half of the squares, so a quarter
 * of what x alone would bring. */
static void a_mean_counts_by_its_share(void **state)
{
    (void)state;
    static double x[MOST_WIDTH], whole[MOST_WIDTH];
    sqzt_planned p;
    sqz_error error = {0};
    sqzt_plan(&sqzt_tiny_forms[0].tiny, &p);
    sqzi_bias_correction *c = &p.corrections.list[0];
    double largest = 0;
    for (uint32_t j = 0; j < c->linear->n_in; j++) x[j] = sin(1.7 * j) + 0.3;
    see(c, x, 1);
    sqzt_assert_ok(sqzi_bias_correction_solve(c, false, p.corrections.work, &error), &error);
    for (uint32_t j = 0; j < c->linear->n_out; j++) whole[j] = (double)c->corrected[j];
    c->rows = 2;
    sqzt_assert_ok(sqzi_bias_correction_solve(c, false, p.corrections.work, &error), &error);
    for (uint32_t j = 0; j < c->linear->n_out; j++) {
        const double bias = c->linear->bias ? (double)c->linear->bias[j] : 0;
        largest = fmax(largest, fabs(whole[j] - bias));
        /* two roundings to float */
        assert_true(fabs((double)c->corrected[j] - bias - (whole[j] - bias) / 4) <=
                    0x1p-24 * (fabs(whole[j]) + fabs((double)c->corrected[j])));
    }
    assert_true(largest > 1e-5); /* there was something to take up */
    /* over texts: half of what x alone would bring */
    sqzt_assert_ok(sqzi_bias_correction_solve(c, true, p.corrections.work, &error), &error);
    for (uint32_t j = 0; j < c->linear->n_out; j++) {
        const double bias = c->linear->bias ? (double)c->linear->bias[j] : 0;
        assert_true(fabs((double)c->corrected[j] - bias - (whole[j] - bias) / 2) <=
                    0x1p-24 * (fabs(whole[j]) + fabs((double)c->corrected[j])));
    }
    sqzt_discard_plan(&p);
}

typedef struct seen {
    const sqzi_encoder *encoder;
    sqzi_real *hidden[8];  /* the first inputs of every block, as its attn_q was shown them */
    uint64_t rows[8][6];
} seen;

static void take(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx)
{
    seen *s = user;
    for (uint32_t i = 0; i < s->encoder->n_blocks; i++) {
        const sqzi_block *block = &s->encoder->blocks[i];
        const sqzi_linear *linears[] = {&block->attn_q,      &block->attn_k, &block->attn_v,
                                        &block->attn_output, &block->ffn_up, &block->ffn_down};
        for (int j = 0; j < 6; j++) {
            if (linears[j] != linear) continue;
            for (size_t row = 0; j == 0 && row < m; row++)
                memcpy(s->hidden[i] + (s->rows[i][0] + row) * linear->n_in, x + row * ldx,
                       linear->n_in * sizeof *x);
            s->rows[i][j] += m;
        }
    }
}

enum { TOKENS = 24 };

static void the_encoder_shows_every_row_once_and_changes_no_bit(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqzt_planned p;
        if (form->tiny.type != SQZI_F32 || form->tiny.parts) continue;
        sqzt_plan(&form->tiny, &p);
        const sqzi_encoder *encoder = &p.model->encoder;
        const size_t n = (size_t)TOKENS * encoder->width;
        uint32_t ids[TOKENS];
        const uint32_t first[] = {0, 9, TOKENS};
        for (uint32_t t = 0; t < TOKENS; t++) ids[t] = (7 * t + 5) % SQZT_TINY_VOCABULARY;
        const sqzi_batch batch = {2, TOKENS, 15, first, ids, NULL};
        sqzi_workspace workspace;
        sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
        sqzi_workspace_layout(&workspace, encoder, TOKENS, 15, 1, &arena);
        const size_t bytes = arena.used;
        void *block = sqzi_allocate(&sqzi_default_allocator, bytes);
        arena = sqzi_arena_over(block, bytes);
        sqzi_workspace_layout(&workspace, encoder, TOKENS, 15, 1, &arena);
        sqzi_real *results = calloc(2 * n, sizeof *results);
        sqzi_block_keep kept[8] = {{0}};
        seen s = {.encoder = encoder};
        assert_true(results && encoder->n_blocks <= 8);
        for (uint32_t i = 0; i < encoder->n_blocks; i++) {
            assert_non_null(kept[i].x = calloc(n, sizeof *results));
            assert_non_null(s.hidden[i] = calloc(n, sizeof *results));
        }
        const sqzi_keep keep = {.blocks = kept, .input = take, .user = &s};
        const sqzi_team alone = {0, 1, NULL};
        sqzi_encoder_embed(encoder, &batch, NULL, &workspace, results + n, encoder->width, &alone);
        for (uint32_t i = 0; i < encoder->n_blocks; i++)
            sqzi_encoder_run_block(encoder, i, &batch, NULL, &workspace, results + n,
                                   encoder->width, &alone);
        sqzi_encoder_run(encoder, &batch, NULL, &workspace, results, encoder->width, &alone);
        assert_memory_equal(results, results + n, n * sizeof *results);
        sqzi_encoder_run(encoder, &batch, &keep, &workspace, results + n, encoder->width, &alone);
        assert_memory_equal(results, results + n, n * sizeof *results);
        for (uint32_t i = 0; i < encoder->n_blocks; i++) {
            for (int j = 0; j < 6; j++) assert_int_equal(s.rows[i][j], TOKENS);
            assert_memory_equal(s.hidden[i], kept[i].x, n * sizeof *results);
        }
        for (uint32_t i = 0; i < encoder->n_blocks; i++) {
            free(kept[i].x);
            free(s.hidden[i]);
        }
        free(results);
        sqzi_release(&sqzi_default_allocator, block, bytes);
        sqzt_discard_plan(&p);
    }
}

typedef struct last_report {
    char name[64];
    uint64_t before, after;
    int corrected;
    uint32_t n_corrected;
} last_report;

static void report(void *user, const sqz_quantized_tensor *t)
{
    last_report *r = user;
    snprintf(r->name, sizeof r->name, "%s", t->name);
    r->before = t->bytes_before;
    r->after = t->bytes_after;
    r->corrected = t->corrected;
    r->n_corrected += t->corrected != 0;
}

static void a_linear_without_a_bias_gets_one_unless_told_not_to(void **state)
{
    (void)state;
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.drop = "blk.0.ffn_up.bias";
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    sqzt_tiny_write(&tiny, path);
    for (int no_bias_correction = 0; no_bias_correction < 2; no_bias_correction++) {
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *before, *after;
        last_report r = {.n_corrected = 0};
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                       &error);
        sqzt_assert_ok(
            sqz_quantize(context, path, out,
                         &(sqz_quantize_options){.no_bias_correction = no_bias_correction,
                                                 .tensor = report,
                                                 .user = &r},
                         &error),
            &error);
        sqzt_assert_ok(sqz_model_open(context, path, &before, &error), &error);
        sqzt_assert_ok(sqz_model_open(context, out, &after, &error), &error);
        const sqzi_linear *from = &before->encoder.blocks[0].attn_q,
                          *to = &after->encoder.blocks[0].attn_q;
        assert_null(before->encoder.blocks[0].ffn_up.bias);
        assert_true((after->encoder.blocks[0].ffn_up.bias == NULL) == (no_bias_correction == 1));
        assert_true((memcmp(from->bias, to->bias, from->n_out * sizeof *from->bias) == 0) ==
                    (no_bias_correction == 1));
        assert_true((strcmp(r.name, "blk.0.ffn_up.bias") == 0 && r.corrected && r.before == 0 &&
                     r.after == 4 * tiny.ffn_width) == (no_bias_correction == 0));
        assert_true((r.n_corrected >= 6 * tiny.blocks) == (no_bias_correction == 0) &&
                    (r.n_corrected == 0) == (no_bias_correction == 1));
        sqz_model_close(before);
        sqz_model_close(after);
        sqz_context_close(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constant_input_comes_out_as_from_the_float_linear),
        cmocka_unit_test(inputs_without_a_mean_change_no_bias),
        cmocka_unit_test(a_mean_counts_by_its_share),
        cmocka_unit_test(the_encoder_shows_every_row_once_and_changes_no_bit),
        cmocka_unit_test(a_linear_without_a_bias_gets_one_unless_told_not_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

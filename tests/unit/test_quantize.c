/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising: what the new file holds, to the bit; what the report says of it; what is refused;
 * memory. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rewrite/rounding.h"
#include "support/counting_memory.h"
#include "support/quantized_file.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { MAX_REPORTS = 256 };

typedef struct reports {
    sqz_quantized_tensor tensors[MAX_REPORTS];
    char names[MAX_REPORTS][64];
    uint32_t n;
} reports;

static void take(void *user, const sqz_quantized_tensor *tensor)
{
    reports *r = user;
    assert_true(r->n < MAX_REPORTS);
    r->tensors[r->n] = *tensor;
    snprintf(r->names[r->n++], sizeof r->names[0], "%s", tensor->name);
}

static sqz_status quantize(const char *path, const char *out, sqz_quantize_type type,
                           const char *keep, reports *r, sqz_error *error)
{
    sqz_context *context;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, error),
                   error);
    const sqz_quantize_options options = {
        .type = type, .keep = keep, .tensor = r ? take : NULL, .user = r};
    const sqz_status status = sqz_quantize(context, path, out, &options, error);
    sqz_context_close(context);
    return status;
}

static void check_tensor(const sqzt_file *before, const sqzt_file *after,
                         const sqz_quantized_tensor *t)
{
    uint32_t bits;
    const sqzi_gguf_tensor *from = sqzi_gguf_find_tensor(before->gguf, t->name),
                           *to = sqzi_stored_tensor(after->gguf, t->name, &bits);
    assert_non_null(to);
    assert_string_equal(t->to, bits == 4               ? "S4"
                               : bits == 3             ? "S3"
                               : to->type == SQZI_S8   ? "I8"
                               : to->type == SQZI_BF16 ? "BF16"
                               : to->type == SQZI_F16  ? "F16"
                               : to->type == SQZI_I32  ? "I32"
                                                       : "F32");
    if (t->corrected) { /* tests/unit/test_bias_correction.c */
        assert_int_equal(t->bytes_before, from ? from->bytes : 0);
        assert_int_equal(t->bytes_after, to->bytes);
        return;
    }
    assert_non_null(from);
    const sqzi_gguf_tensor *scale = sqzt_scale_of(after, t->name);
    assert_true((to->type == SQZI_S8) == (scale != NULL));
    assert_int_equal(t->bytes_before, from->bytes);
    assert_int_equal(t->bytes_after, to->bytes + (scale ? scale->bytes : 0));
    if (to->type == from->type) {
        assert_memory_equal(from->data, to->data, from->bytes);
        assert_true(t->error == 0);
        return;
    }
    double squares = 0;
    for (uint64_t i = 0; i < from->n; i++)
        squares += (double)((const float *)from->data)[i] * (double)((const float *)from->data)[i];
    const double errors = bits
                              ? sqzt_check_packed(from->data, from->shape[1], bits, to, scale->data)
                          : to->type == SQZI_S8 ? sqzt_check_s8(from->data, to, scale->data)
                                                : sqzt_check_halves(from->data, to);
    /* the same sums in double, in another order at most */
    assert_true(fabs(t->error - sqrt(errors / squares)) <= 1e-12 * t->error);
}

static bool requires_feature(const sqzt_file *f, const char *feature)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(f->gguf, "sqz.requires");
    const unsigned char *at = value ? value->data : NULL;
    for (uint64_t i = 0; value && i < value->n; i++)
        if (sqzi_span_is(sqzi_gguf_next_string(&at), feature)) return true;
    return false;
}

static void every_number_is_the_nearest_and_the_report_says_so(void **state)
{
    (void)state;
    enum { TYPES = 5 };
    static const sqzi_type types[TYPES] = {SQZI_S8, SQZI_BF16, SQZI_F16, SQZI_S8, SQZI_S8};
    static const char *const features[TYPES] = {"s8", "bf16", "f16", "s4", "s3"};
    uint32_t bits;
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    reports *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (int type = 0; type < TYPES && form->tiny.type == SQZI_F32 && !form->tiny.parts;
             type++) {
            if (type >= 3 && form->tiny.ffn_width > 1024) continue;
            sqz_error error = {0};
            r->n = 0;
            sqzt_tiny_write(&form->tiny, path);
            sqzt_assert_ok(quantize(path, out, (sqz_quantize_type)type, NULL, r, &error), &error);
            sqzt_file before = sqzt_read_file(path), after = sqzt_read_file(out);
            assert_int_equal(r->n, sqzi_gguf_n_tensors(before.gguf));
            for (uint32_t i = 0; i < r->n; i++) {
                r->tensors[i].name = r->names[i];
                check_tensor(&before, &after, &r->tensors[i]);
            }
            assert_int_equal(sqzi_stored_tensor(after.gguf, "token_embd.weight", &bits)->type,
                             types[type]);
            assert_int_equal(bits, type == 3 ? 4 : type == 4 ? 3 : 0);
            assert_int_equal(sqzi_gguf_find_tensor(after.gguf, "pooler.weight")->type,
                             types[type] == SQZI_S8 ? SQZI_F32 : types[type]);
            assert_int_equal(
                sqzi_gguf_find_tensor(after.gguf, "blk.0.layer_output_norm.weight")->type,
                SQZI_F32);
            for (int k = 0; k < TYPES; k++)
                assert_true(requires_feature(&after, features[k]) == (k == type && k != 2));
            sqzt_close_file(&before);
            sqzt_close_file(&after);
        }
    free(r);
}

enum { TOKENS = 24, MOST_LOGITS = TOKENS * SQZT_TINY_VOCABULARY };

/* Hidden states (n = TOKENS * width) or logits of one sequence. */
static size_t run_model(const sqz_model *model, bool head, float *out)
{
    sqz_error error = {0};
    sqz_session *session;
    uint32_t ids[TOKENS];
    const uint32_t first[] = {0, TOKENS};
    for (uint32_t t = 0; t < TOKENS; t++) ids[t] = (7 * t + 5) % SQZT_TINY_VOCABULARY;
    const sqz_model_info *info = sqz_model_get_info(model);
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids};
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = TOKENS,
                                                           .max_sequences = 1,
                                                           .max_length = TOKENS},
                                    &session, &error),
                   &error);
    if (head)
        sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, out, info->n_labels, &error), &error);
    else sqzt_assert_ok(sqz_encode(session, &batch, out, info->width, &error), &error);
    sqz_session_close(session);
    return head ? (info->head == SQZ_HEAD_SEQUENCE ? 1 : TOKENS) * (size_t)info->n_labels
                : TOKENS * (size_t)info->width;
}

static double relative_error(const sqz_model *before, const sqz_model *after, bool head)
{
    static float expected[MOST_LOGITS], got[MOST_LOGITS];
    const size_t n = run_model(before, head, expected);
    assert_int_equal(run_model(after, head, got), n);
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        off += ((double)got[i] - (double)expected[i]) * ((double)got[i] - (double)expected[i]);
        all += (double)expected[i] * (double)expected[i];
    }
    return sqrt(off / all);
}

/* Every form in int8 counts as many parameters as in float and stays as near as roundings let it, a
 * tied decoder over a factorised int8 embedding among them. Bound: tests/golden/test_golden.c
 * "allowed", for products no deeper than 96, twice as many where they are low-rank pairs beside
 * groups, and the four roundings of embedding and decoder. */
static void every_form_opens_and_stays_near(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *before, *after;
        if (form->tiny.type != SQZI_F32 || form->tiny.parts) continue;
        sqzt_tiny_write(&form->tiny, path);
        sqzt_assert_ok(quantize(path, out, SQZ_QUANTIZE_S8, NULL, NULL, &error), &error);
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                       &error);
        sqzt_assert_ok(sqz_model_open(context, path, &before, &error), &error);
        sqzt_assert_ok(sqz_model_open(context, out, &after, &error), &error);
        assert_int_equal(sqz_model_get_info(before)->n_parameters,
                         sqz_model_get_info(after)->n_parameters);
        assert_int_equal(sqz_model_get_info(before)->n_embedding_parameters,
                         sqz_model_get_info(after)->n_embedding_parameters);
        const double most = sqrt(96) / 254 * sqrt(16.0 * form->tiny.blocks + 6),
                     hidden = relative_error(before, after, false);
        const double logits = form->tiny.head ? relative_error(before, after, true) : 0;
        printf("%-48s hidden %.2f %%, logits %.2f %% of %.2f %%\n", form->name, 100 * hidden,
               100 * logits, 100 * most);
        assert_true(hidden <= most && logits <= most);
        sqz_model_close(before);
        sqz_model_close(after);
        sqz_context_close(context);
    }
}

static void write_form(const char *name, const char *poison, const char *path)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) {
            sqzt_tiny tiny = f->tiny;
            tiny.poison = poison;
            sqzt_tiny_write(&tiny, path);
            return;
        }
    fail_msg("no form '%s'", name);
}

static void what_matches_is_kept(void **state)
{
    (void)state;
    sqz_error error = {0};
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    reports *r = calloc(1, sizeof *r);
    assert_non_null(r);
    write_form("dense", NULL, path);
    sqzt_assert_ok(quantize(path, out, SQZ_QUANTIZE_S8, "ffn_(up|down)", r, &error), &error);
    sqzt_file after = sqzt_read_file(out);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        kept += r->tensors[i].kept != 0;
        assert_true(!r->tensors[i].kept ||
                    sqzi_gguf_find_tensor(after.gguf, r->names[i])->type == SQZI_F32);
    }
    assert_int_equal(kept, 4); /* two blocks, up and down; biases would not have changed */
    assert_int_equal(sqzi_gguf_find_tensor(after.gguf, "blk.1.ffn_up.weight")->type, SQZI_F32);
    assert_int_equal(sqzi_gguf_find_tensor(after.gguf, "blk.1.attn_q.weight")->type, SQZI_S8);
    sqzt_close_file(&after);
    free(r);
}

static void what_cannot_be_done_is_refused_and_leaves_no_file(void **state)
{
    (void)state;
    sqz_error error = {0};
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    write_form("dense", NULL, path);
    remove(out);
    sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_S8, "rotary", NULL, &error), SQZ_EINVAL,
                      &error, "matches no tensor that would become s8");
    sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_S8, "bias", NULL, &error), SQZ_EINVAL,
                      &error, "matches no tensor");
    sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_S8, ".", NULL, &error), SQZ_EINVAL, &error,
                      "nothing is left");
    sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_S8, "a{2", NULL, &error), SQZ_EINVAL, &error,
                      "no extended regular expression");
    sqzt_assert_fails(quantize(path, out, (sqz_quantize_type)7, NULL, NULL, &error), SQZ_EINVAL,
                      &error, "none of s8, bf16, f16, s4 and s3");
    sqzt_assert_fails(quantize("/no/such.gguf", out, SQZ_QUANTIZE_S8, NULL, NULL, &error), SQZ_EIO,
                      &error, "/no/such.gguf");
    assert_int_not_equal(access(out, F_OK), 0);
    static const char *const poisoned[] = {"token_embd.weight", "blk.1.ffn_down.weight",
                                           "position_embd.weight"};
    for (size_t i = 0; i < sizeof poisoned / sizeof *poisoned; i++) {
        write_form("dense", poisoned[i], path);
        sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_S8, NULL, NULL, &error), SQZ_ENUMERIC,
                          &error, poisoned[i]);
        assert_int_not_equal(access(out, F_OK), 0);
    }
    write_form("dense", NULL, path);
    sqzt_assert_ok(quantize(path, out, SQZ_QUANTIZE_S8, NULL, NULL, &error), &error);
    sqzt_assert_fails(quantize(out, path, SQZ_QUANTIZE_BF16, NULL, NULL, &error), SQZ_EUNSUPPORTED,
                      &error, "is I8 already");
    sqzt_assert_ok(quantize(path, out, SQZ_QUANTIZE_S4, NULL, NULL, &error), &error);
    sqzt_assert_fails(quantize(out, path, SQZ_QUANTIZE_S4, NULL, NULL, &error), SQZ_EUNSUPPORTED,
                      &error, "weight.s4' is I8 already");
    /* onto itself */
    sqzt_assert_ok(quantize(path, path, SQZ_QUANTIZE_BF16, NULL, NULL, &error), &error);
    sqzt_assert_fails(quantize(path, out, SQZ_QUANTIZE_BF16, NULL, NULL, &error), SQZ_EINVAL,
                      &error, "bf16 already");
    sqzt_assert_ok(quantize(path, out, SQZ_QUANTIZE_S8, NULL, NULL, &error), &error);
}

static void rows_at_the_edges_of_their_types(void **state)
{
    (void)state;
    sqzi_rounding_error sums = {0, 0};
    int8_t q[4];
    uint16_t halves[4];
    const float zeros[] = {0, -0.0f, 0, 0}, tiny[] = {1e-44f, -3e-45f, 0, 1e-44f},
                ties[] = {127, 0.5f, 1.5f, -2.5f}, large[] = {1, 65519, -65504, 65520};
    assert_true(sqzi_s8_scale(zeros, 4) == 0);
    sqzi_s8_row(zeros, 4, 0, q, &sums);
    for (int i = 0; i < 4; i++) assert_int_equal(q[i], 0);
    /* the scale rounds to zero: so do the weights */
    sqzi_s8_row(tiny, 4, sqzi_s8_scale(tiny, 4), q, &sums);
    for (int i = 0; i < 4; i++) assert_int_equal(q[i], 0);
    sqzi_s8_row(ties, 4, sqzi_s8_scale(ties, 4), q, &sums);
    assert_int_equal(q[0], 127);
    assert_int_equal(q[1], 0);
    assert_int_equal(q[2], 2);
    assert_int_equal(q[3], -2);
    assert_int_equal(sqzi_f16_row(large, 4, halves, &sums), 3);
    assert_int_equal(sqzi_f16_row(large, 3, halves, &sums), 3);
    assert_int_equal(halves[1], 0x7BFF);
    const float most[] = {3.4e38f, 1};
    assert_int_equal(sqzi_bf16_row(most, 2, halves, &sums), 0);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("float.gguf"), *out = sqzt_temporary("quantized.gguf");
    write_form("groups of squeezebert", NULL, path);
    static sqz_text texts[600]; /* of 4 pieces */
    for (size_t i = 0; i < 600; i++) texts[i] = (sqz_text){i % 2 ? "a b" : "c d", 3};
    const sqz_quantize_options options[] = {
        {.keep = NULL},
        {.texts = texts, .n_texts = 600},
        {.type = SQZ_QUANTIZE_S3, .texts = texts, .n_texts = 600}};
    for (uint64_t n = 1, with = 0; with < 3; n++) {
        sqzt_memory memory = {.fail_at = 0};
        remove(out);
        const sqz_allocator allocator = sqzt_allocator(&memory);
        sqz_error error = {0};
        sqz_context *context;
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = &allocator,
                                                               .n_threads = 1},
                                        &context, &error),
                       &error);
        memory.fail_at = memory.calls + n;
        const sqz_status status = sqz_quantize(context, path, out, &options[with], &error);
        assert_true(status == SQZ_OK || status == SQZ_ENOMEM);
        assert_true((access(out, F_OK) == 0) == (status == SQZ_OK));
        sqz_context_close(context);
        assert_int_equal(memory.held_bytes, 0);
        assert_true(n < 10000);
        if (status != SQZ_OK) continue;
        with++;
        n = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_the_nearest_and_the_report_says_so),
        cmocka_unit_test(every_form_opens_and_stays_near),
        cmocka_unit_test(what_matches_is_kept),
        cmocka_unit_test(what_cannot_be_done_is_refused_and_leaves_no_file),
        cmocka_unit_test(rows_at_the_edges_of_their_types),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

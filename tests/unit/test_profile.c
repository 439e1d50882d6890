/* SPDX-License-Identifier: Apache-2.0 */
/* A profile counts the work of every stage as the model's description says, sees every stage that
 * ran, adds up, stops when told, and changes no bit. The peak's work is done by every thread. Of
 * times only that they fit into each other is looked at. */
#include <squeezebert/peak.h>
#include <squeezebert/session.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "support/tiny_model.h"

enum {
    LENGTH_A = 5,
    LENGTH_B = 12,
    N_TOKENS = LENGTH_A + LENGTH_B,
    WIDTH = 24,
    ATTENTION_WIDTH = 16,
    FFN = 48,
    BLOCKS = 2,
    CLASSES = 3
};

static const sqzt_tiny tiny = {.width = WIDTH,
                               .blocks = BLOCKS,
                               .heads = 2,
                               .head_width = ATTENTION_WIDTH / 2,
                               .ffn_width = FFN,
                               .embedding_width = WIDTH,
                               .positions = 16,
                               .token_types = 2,
                               .groups = {2, 1, 1, 1, 4, 4},
                               .head = "sequence",
                               .classes = CLASSES,
                               .seed = 3};

typedef struct fixture {
    sqz_context *context;
    sqz_model *model;
    sqz_session *session;
    uint32_t n_threads;
} fixture;

static fixture begin(uint32_t n_threads)
{
    fixture f = {.n_threads = n_threads};
    sqz_error error = {0};
    const char *path = sqzt_temporary("profile.gguf");
    sqzt_tiny_write(&tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &f.context,
                                    &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(f.context, path, &f.model, &error), &error);
    sqzt_assert_ok(sqz_session_open(
                       f.model, &(sqz_session_options){.max_tokens = N_TOKENS, .max_sequences = 2},
                       &f.session, &error),
                   &error);
    return f;
}

static void end(fixture *f)
{
    sqz_session_close(f->session);
    sqz_model_close(f->model);
    sqz_context_close(f->context);
}

static void run(fixture *f, float logits[2 * CLASSES])
{
    sqz_error error = {0};
    const uint32_t first[] = {0, LENGTH_A, N_TOKENS};
    uint32_t ids[N_TOKENS];
    for (uint32_t i = 0; i < N_TOKENS; i++) ids[i] = i * 3 % SQZT_TINY_VOCABULARY;
    sqzt_assert_ok(sqz_logits(f->session,
                              &(sqz_batch){.n_sequences = 2, .first = first, .ids = ids}, NULL, 0,
                              logits, CLASSES, &error),
                   &error);
}

static void work_is_counted_as_the_model_describes_it(void **state)
{
    (void)state;
    fixture f = begin(1);
    sqz_profile profile = {0};
    float logits[2 * CLASSES];
    sqz_session_set_profile(f.session, &profile);
    run(&f, logits);
    run(&f, logits);
    const uint64_t qkv = BLOCKS * N_TOKENS *
                         (WIDTH * ATTENTION_WIDTH / 2 + 2 * WIDTH * ATTENTION_WIDTH);
    const uint64_t attention = BLOCKS * 2 * ATTENTION_WIDTH *
                               (LENGTH_A * LENGTH_A + LENGTH_B * LENGTH_B);
    assert_int_equal(profile.runs, 2);
    assert_int_equal(profile.stages[SQZ_STAGE_QKV].multiply_adds, 2 * qkv);
    assert_int_equal(profile.stages[SQZ_STAGE_ATTENTION].multiply_adds, 2 * attention);
    assert_int_equal(profile.stages[SQZ_STAGE_ATTENTION_OUTPUT].multiply_adds,
                     2 * BLOCKS * N_TOKENS * ATTENTION_WIDTH * WIDTH);
    assert_int_equal(profile.stages[SQZ_STAGE_FFN_UP].multiply_adds,
                     2 * BLOCKS * N_TOKENS * WIDTH * FFN / 4);
    assert_int_equal(profile.stages[SQZ_STAGE_FFN_DOWN].multiply_adds,
                     2 * BLOCKS * N_TOKENS * WIDTH * FFN / 4);
    assert_int_equal(profile.stages[SQZ_STAGE_NORM].multiply_adds, 0);
    assert_true(profile.stages[SQZ_STAGE_HEAD].multiply_adds >= 2 * 2 * WIDTH * CLASSES);
    /* f32 panels hold at least the weights themselves */
    assert_true(profile.stages[SQZ_STAGE_FFN_UP].weight_bytes >=
                2 * BLOCKS * WIDTH * FFN / 4 * sizeof(float));
    end(&f);
}

static void every_stage_is_seen_and_times_fit_into_the_run(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        fixture f = begin(n_threads);
        sqz_profile profile = {0};
        float logits[2 * CLASSES];
        uint64_t ns = 0;
        sqz_session_set_profile(f.session, &profile);
        run(&f, logits);
        for (uint32_t s = 0; s < SQZ_STAGES; s++) {
            if (profile.stages[s].calls == 0)
                fail_msg("stage %s was not seen with %u threads", sqz_stage_name(s), n_threads);
            ns += profile.stages[s].ns;
        }
        assert_null(sqz_stage_name(SQZ_STAGES));
        assert_true(ns <= n_threads * profile.wall_ns);
        end(&f);
    }
}

static void a_profile_stops_when_told_and_changes_no_bit(void **state)
{
    (void)state;
    fixture f = begin(2);
    sqz_profile profile = {0};
    float before[2 * CLASSES], with[2 * CLASSES], after[2 * CLASSES];
    run(&f, before);
    assert_int_equal(profile.runs, 0);
    sqz_session_set_profile(f.session, &profile);
    run(&f, with);
    assert_int_equal(profile.runs, 1);
    sqz_session_set_profile(f.session, NULL);
    const sqz_profile kept = profile;
    run(&f, after);
    assert_memory_equal(&kept, &profile, sizeof kept);
    assert_memory_equal(before, with, sizeof before);
    assert_memory_equal(before, after, sizeof before);
    end(&f);
}

static void every_thread_works_for_the_peak(void **state)
{
    (void)state;
    fixture one = begin(1), three = begin(3);
    enum { BYTES = 64 * 512 };
    unsigned char *memory = aligned_alloc(64, BYTES);
    assert_non_null(memory);
    memset(memory, 1, BYTES);
    for (sqz_peak_type type = SQZ_PEAK_F32; type <= SQZ_PEAK_S8; type++) {
        assert_non_null(sqz_peak_instruction(one.context, type));
        const uint64_t alone = sqz_peak_arithmetic(one.context, type, 10);
        assert_true(alone >= 10);
        assert_int_equal(sqz_peak_arithmetic(three.context, type, 10), 3 * alone);
    }
    assert_int_equal(sqz_peak_read(one.context, memory, BYTES), BYTES);
    assert_int_equal(sqz_peak_read(three.context, memory, BYTES), BYTES);
    assert_int_equal(sqz_peak_read(three.context, memory, BYTES - 1), BYTES - 512);
    free(memory);
    end(&one);
    end(&three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_counted_as_the_model_describes_it),
        cmocka_unit_test(every_stage_is_seen_and_times_fit_into_the_run),
        cmocka_unit_test(a_profile_stops_when_told_and_changes_no_bit),
        cmocka_unit_test(every_thread_works_for_the_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

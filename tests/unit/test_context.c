/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts come and go: a thousand in turn, some at a time; they say what they chose; a thread that
 * cannot be started is an error that leaves nothing behind. Linked with a pthread_create of its
 * own. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <squeezebert/context.h>
#include <squeezebert/peak.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/counting_memory.h"
#include "support/test.h"

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);

static _Atomic uint32_t created;
static uint32_t fails_at; /* the creation (from 1) that fails, 0 for none */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    return ++created == fails_at ? EAGAIN
                                 : __real_pthread_create(thread, attributes, run, argument);
}

static sqz_context *open_context(uint32_t n_threads)
{
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(
        sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &context, &error), &error);
    return context;
}

/* Some are closed before their threads have come to wait, some after a run. */
static void contexts_come_and_go(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        sqz_context *context = open_context(1 + i % 4);
        if (i % 3 == 0) assert_true(sqz_peak_arithmetic(context, SQZ_PEAK_F32, 1) > 0);
        sqz_context_close(context);
    }
}

/* Another program reads the struct, a person the lines: both say the same. */
static void a_context_says_what_it_chose(void **state)
{
    (void)state;
    const char *const masks[] = {"portable", "avx2", ""};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
        sqz_error error = {0};
        sqz_context *context;
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 2, .cpu = masks[m]},
                                        &context, &error),
                       &error);
        const sqz_context_info *info = sqz_context_get_info(context);
        assert_int_equal(info->n_threads, 2);
        assert_int_equal(info->n_cpus, sqz_cpu_count());
        assert_true(strlen(info->features_used) <= strlen(info->features_found));
        if (m == 0) {
            assert_string_equal(info->features_used, "");
            assert_string_equal(info->rows_level, "portable");
            assert_non_null(strstr(info->gemm_s8, "_portable"));
        } else if (m == 2) {
            assert_string_equal(info->features_used, info->features_found);
        }
        const struct {
            const char *begin, *value;
        } lines[] = {{"cpu: ", info->cpu},
                     {"kernel f32: ", info->gemm_f32},
                     {"kernel bf16: ", info->gemm_bf16},
                     {"kernel s8: ", info->gemm_s8},
                     {"kernel attention: ", info->attention_bf16},
                     {"kernel rows: ", info->rows_level}};
        const char *fact;
        size_t seen = 0;
        for (uint32_t i = 0; (fact = sqz_context_fact(context, i)); i++)
            for (size_t l = 0; l < sizeof lines / sizeof *lines; l++) {
                const size_t n = strlen(lines[l].begin);
                if (strncmp(fact, lines[l].begin, n) != 0) continue;
                assert_int_equal(strncmp(fact + n, lines[l].value, strlen(lines[l].value)), 0);
                seen++;
            }
        assert_int_equal(seen, sizeof lines / sizeof *lines);
        sqz_context_close(context);
    }
}

static void *come_and_go(void *argument)
{
    (void)argument;
    contexts_come_and_go(NULL);
    return NULL;
}

static void contexts_of_several_threads_come_and_go(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void a_thread_that_cannot_start_is_an_error(void **state)
{
    (void)state;
    sqzt_memory memory = {0};
    const sqz_allocator allocator = sqzt_allocator(&memory);
    sqz_error error;
    for (uint32_t n = 2; n <= 5; n++)
        for (uint32_t failing = 1; failing < n; failing++) {
            sqz_context *context = NULL;
            created = 0;
            fails_at = failing;
            const sqz_status status = sqz_context_open(
                &(sqz_context_options){.allocator = &allocator, .n_threads = n}, &context, &error);
            fails_at = 0;
            assert_int_equal(status, SQZ_ENOMEM);
            assert_null(context);
            assert_int_equal(created, failing); /* none is tried after it */
            assert_int_equal(memory.held_bytes, 0);
            char wanted[64];
            snprintf(wanted, sizeof wanted, "thread %u of %u", failing + 1, n);
            if (!strstr(error.text, wanted) || !strstr(error.text, "fewer threads"))
                fail_msg("the error says '%s', without '%s' or advice", error.text, wanted);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(contexts_come_and_go),
                                       cmocka_unit_test(a_context_says_what_it_chose),
                                       cmocka_unit_test(contexts_of_several_threads_come_and_go),
                                       cmocka_unit_test(a_thread_that_cannot_start_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of one model in several threads at once, whether the context's pool is free or taken; a
 * session that moves from thread to thread; a context made after fork while the parent has
 * threads. */
#define _GNU_SOURCE
#include <pthread.h>
#include <squeezebert/session.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

enum {
    SEQUENCES = 4,
    LENGTH = 40,
    TOKENS = SEQUENCES * LENGTH,
    CALLERS = 3,
    RUNS = 100,
    WIDTH = 48
};

static const sqzt_tiny tiny = {.width = WIDTH,
                               .blocks = 2,
                               .heads = 4,
                               .head_width = 12,
                               .ffn_width = 96,
                               .embedding_width = WIDTH,
                               .positions = LENGTH,
                               .token_types = 2,
                               .groups = {4, 4, 4, 1, 4, 4},
                               .seed = 11};

/* Batches of 1 to SEQUENCES sequences of the same tokens. */
typedef struct fixture {
    const char *path;
    uint32_t first[SEQUENCES + 1], ids[TOKENS];
    float expected[TOKENS * WIDTH]; /* of all sequences, by one thread */
} fixture;

static fixture f;

static sqz_model *open_model(const char *path, uint32_t n_threads)
{
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    sqzt_assert_ok(
        sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &context, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static void close_model(sqz_model *model)
{
    sqz_context *context = sqz_model_context(model);
    sqz_model_close(model);
    sqz_context_close(context);
}

/* The first n sequences; false where a run fails or a bit differs. Asserts nothing: threads and
 * children call it. */
static bool run_and_compare(sqz_session *session, uint32_t n)
{
    float hidden[TOKENS * WIDTH];
    sqz_error error;
    memset(hidden, 0xFF, sizeof hidden);
    return sqz_encode(session, &(sqz_batch){.n_sequences = n, .first = f.first, .ids = f.ids},
                      hidden, WIDTH, &error) == SQZ_OK &&
           memcmp(hidden, f.expected, f.first[n] * WIDTH * sizeof *hidden) == 0;
}

static sqz_session *open_session(const sqz_model *model)
{
    sqz_error error;
    sqz_session *session = NULL;
    return sqz_session_open(
               model, &(sqz_session_options){.max_tokens = TOKENS, .max_sequences = SEQUENCES},
               &session, &error) == SQZ_OK
               ? session
               : NULL;
}

static int begin(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(tiny.seed);
    sqz_error error = {0};
    f.path = sqzt_temporary("sessions.gguf");
    sqzt_tiny_write(&tiny, f.path);
    for (uint32_t b = 0; b <= SEQUENCES; b++) f.first[b] = b * LENGTH;
    for (uint32_t i = 0; i < TOKENS; i++)
        f.ids[i] = (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY);
    sqz_model *model = open_model(f.path, 1);
    sqz_session *session = open_session(model);
    assert_non_null(session);
    sqzt_assert_ok(
        sqz_encode(session, &(sqz_batch){.n_sequences = SEQUENCES, .first = f.first, .ids = f.ids},
                   f.expected, WIDTH, &error),
        &error);
    sqz_session_close(session);
    close_model(model);
    return 0;
}

typedef struct caller {
    const sqz_model *model;
    sqz_session *session; /* NULL: opens one for every run */
    _Atomic uint32_t *wrong;
} caller;

static void *call(void *argument)
{
    const caller *c = argument;
    for (uint32_t i = 0; i < RUNS; i++) {
        sqz_session *session = c->session ? c->session : open_session(c->model);
        if (!session || !run_and_compare(session, 1 + i % SEQUENCES)) ++*c->wrong;
        if (!c->session) sqz_session_close(session);
    }
    return NULL;
}

/* CALLERS threads run the same tokens, each in a session of its own. */
static void call_at_once(const sqz_model *model, bool keep_sessions)
{
    _Atomic uint32_t wrong = 0;
    caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){model, keep_sessions ? open_session(model) : NULL, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sqz_session_close(callers[i].session);
    }
    assert_int_equal(wrong, 0);
}

static void sessions_run_at_once(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        sqz_model *model = open_model(f.path, n_threads);
        call_at_once(model, true);
        call_at_once(model, false);
        close_model(model);
    }
}

/* Not at once: each thread ends before the next one begins. */
static void a_session_moves_from_thread_to_thread(void **state)
{
    (void)state;
    sqz_model *model = open_model(f.path, 2);
    _Atomic uint32_t wrong = 0;
    caller c = {model, open_session(model), &wrong};
    for (int i = 0; i < CALLERS; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, call, &c), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(wrong, 0);
    sqz_session_close(c.session);
    close_model(model);
}

/* In the child; nothing of cmocka's. */
static bool run_in_child(void)
{
    sqz_error error;
    sqz_context *context;
    sqz_model *model;
    if (sqz_context_open(&(sqz_context_options){.n_threads = 3}, &context, &error) != SQZ_OK ||
        sqz_model_open(context, f.path, &model, &error) != SQZ_OK)
        return false;
    sqz_session *session = open_session(model);
    bool right = session != NULL;
    for (uint32_t i = 0; right && i < RUNS; i++)
        right = run_and_compare(session, 1 + i % SEQUENCES);
    sqz_session_close(session);
    close_model(model);
    return right;
}

static void a_context_made_after_fork_works(void **state)
{
    (void)state;
#ifdef THREAD_SANITIZER
    skip(); /* it refuses threads in the child of a process that has some */
#endif
    sqz_model *model = open_model(f.path, 3);
    sqz_session *session = open_session(model);
    for (int i = 0; i < 10; i++) {
        assert_true(run_and_compare(session, SEQUENCES));
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(run_in_child() ? 0 : 1);
        assert_true(run_and_compare(session, SEQUENCES)); /* the parent's goes on */
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    sqz_session_close(session);
    close_model(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions_run_at_once),
                                       cmocka_unit_test(a_session_moves_from_thread_to_thread),
                                       cmocka_unit_test(a_context_made_after_fork_works)};
    return cmocka_run_group_tests(tests, begin, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A run with checkpoints, early stopping and best-of is killed: while it writes, in front of every
 * sync and every rename, and of writes between them; and fifty times in the course of 200 steps.
 * Whoever resumes it ends with the bytes of a run that nobody killed, and finds no half file. The
 * build wraps fwrite, fsync and rename.
 *
 *   test_kill all     in front of every single write (make check-long)
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/same_files.h"
#include "support/train_data.h"

enum { PATH = 512, KILLED = 9 };
static uint64_t each_write = 17; /* the first write and each so many-th can be the last */

static const sqzt_tiny small = {.width = 8,
                                .blocks = 1,
                                .heads = 2,
                                .head_width = 4,
                                .ffn_width = 12,
                                .embedding_width = 8,
                                .positions = 12,
                                .token_types = 2,
                                .seed = 41};

/* Shared with the child. */
static struct {
    uint64_t calls, kill_at; /* kill_at 0: never */
    uint64_t writes;
    uint64_t step; /* that the child has done */
} * shared;

static void count_call(void)
{
    if (!shared) return;
    if (++shared->calls == shared->kill_at) _exit(KILLED);
}

size_t __real_fwrite(const void *data, size_t size, size_t n, FILE *file);
size_t __wrap_fwrite(const void *data, size_t size, size_t n, FILE *file);
int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

size_t __wrap_fwrite(const void *data, size_t size, size_t n, FILE *file)
{
    if (shared && shared->writes++ % each_write == 0) count_call();
    return __real_fwrite(data, size, n, file);
}

int __wrap_fsync(int descriptor)
{
    count_call();
    return __real_fsync(descriptor);
}

int __wrap_rename(const char *from, const char *to)
{
    count_call();
    return __real_rename(from, to);
}

typedef struct plan {
    uint32_t epochs;
    uint64_t best; /* the score rises to this step and falls behind it */
    uint64_t evaluate_steps, checkpoint_steps;
    uint64_t kill_at_step; /* 0: none */
} plan;

static sqz_status score(void *user, const sqz_model *model, uint64_t step, double *score,
                        sqz_error *error)
{
    const plan *p = user;
    (void)model;
    (void)error;
    *score = -fabs((double)step - (double)p->best);
    return SQZ_OK;
}

static int progress(void *user, const sqz_train_progress *done)
{
    const plan *p = user;
    if (done->step == p->kill_at_step) raise(SIGKILL);
    shared->step = done->step;
    return 0;
}

typedef struct scene {
    char base[PATH], folder[PATH], out[PATH], whole[PATH];
    sqzt_train_data d;
    plan plan;
    uint64_t calls; /* of the run that nobody kills */
} scene;

static void train(scene *s)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.epochs = s->plan.epochs, .lr = 2e-3};
    const sqz_train_run run = {.evaluate = score,
                               .progress = progress,
                               .user = &s->plan,
                               .evaluate_steps = s->plan.evaluate_steps,
                               .patience = 2,
                               .checkpoint = s->folder,
                               .checkpoint_steps = s->plan.checkpoint_steps,
                               .resume = 1};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_trainer_open(context, s->base, &recipe, &s->d.data, &trainer, &error),
                   &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, &run, &result, &error), &error);
    assert_true(result.stopped_early);
    assert_int_equal(result.kept_step, s->plan.best);
    sqzt_assert_ok(sqz_trainer_write(trainer, s->out, &error), &error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

/* true: it was killed, by itself or after so many microseconds. */
static bool train_in_child(scene *s, uint64_t kill_at, useconds_t kill_after)
{
    shared->calls = shared->writes = 0;
    shared->kill_at = kill_at;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        train(s);
        _exit(0);
    }
    int status = 0;
    if (kill_after) {
        usleep(kill_after);
        assert_int_equal(kill(child, SIGKILL), 0); /* a child that has ended waits to be asked */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    return WEXITSTATUS(status) == KILLED;
}

static void clear(const scene *s)
{
    char command[2 * PATH + 32];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'*", s->folder, s->out);
    assert_int_equal(system(command), 0);
}

/* With the file of the run that nobody kills. */
static void open_scene(scene *s, const plan *p)
{
    const char *const names[] = {"base.gguf", "checkpoints", "out.gguf", "whole.gguf"};
    char *const paths[] = {s->base, s->folder, s->out, s->whole};
    for (int i = 0; i < 4; i++) snprintf(paths[i], PATH, "%s", sqzt_temporary(names[i]));
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    s->plan = *p;
    sqzt_tiny_write(&small, s->base);
    sqzt_train_data_make(&s->d, 12);
    clear(s);
    assert_false(train_in_child(s, 0, 0));
    s->calls = shared->calls;
    assert_int_equal(rename(s->out, s->whole), 0);
}

static void close_scene(void)
{
    munmap(shared, sizeof *shared);
    shared = NULL;
}

static void a_run_that_was_killed_while_it_wrote_ends_as_one_that_was_not(void **state)
{
    (void)state;
    scene s;
    open_scene(&s, &(plan){.epochs = 3, .best = 6, .evaluate_steps = 2, .checkpoint_steps = 3});
    assert_true(s.calls > 80);
    for (uint64_t at = 1; at <= s.calls; at++) {
        clear(&s);
        assert_true(train_in_child(&s, at, 0));
        if (at % 2) (void)train_in_child(&s, 5, 0); /* and once more, soon after */
        assert_false(train_in_child(&s, 0, 0));
        sqzt_assert_same_files(s.whole, s.out);
        assert_in_range(sqzt_count_files(s.folder), 1, 4);
    }
    close_scene();
}

/* Each within four steps of the one before it, every other one at any moment of these; what was
 * done since the last checkpoint is done again. */
static void fifty_kills_over_two_hundred_steps_change_no_byte(void **state)
{
    (void)state;
    enum { KILLS = 50, EVERY = 4 };
    scene s;
    sqzt_random random = sqzt_random_of(50);
    open_scene(&s, &(plan){.epochs = 60, .best = 210, .evaluate_steps = 7, .checkpoint_steps = 2});
    assert_int_equal(shared->step, 224);
    clear(&s);
    for (uint64_t i = 1; i <= KILLS; i++) {
        const useconds_t after = i % 2 ? 0 : 1 + (useconds_t)sqzt_below(&random, 8000);
        s.plan.kill_at_step = i * EVERY;
        assert_true(train_in_child(&s, 0, after));
        assert_true(access(s.out, F_OK) != 0);
    }
    assert_in_range(shared->step, (KILLS - 2) * EVERY, KILLS * EVERY);
    s.plan.kill_at_step = 0;
    assert_false(train_in_child(&s, 0, 0));
    sqzt_assert_same_files(s.whole, s.out);
    close_scene();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "all") == 0) each_write = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_was_killed_while_it_wrote_ends_as_one_that_was_not),
        cmocka_unit_test(fifty_kills_over_two_hundred_steps_change_no_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A run with checkpoints, early stopping and best-of is killed while it writes: in front of every
 * sync and every rename, and of writes between them. Whoever resumes it ends with the bytes of a
 * run that nobody killed, and finds no half file. The build wraps fwrite, fsync and rename. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/same_files.h"
#include "support/train_data.h"

enum { PATH = 512, KILLED = 9, EACH_WRITE = 61 };

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
    if (shared && shared->writes++ % EACH_WRITE == 0) count_call();
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

/* Rises to step 6 and falls behind it. */
static sqz_status score(void *user, const sqz_model *model, uint64_t step, double *score,
                        sqz_error *error)
{
    (void)user;
    (void)model;
    (void)error;
    *score = -fabs((double)step - 6);
    return SQZ_OK;
}

typedef struct scene {
    char base[PATH], folder[PATH], out[PATH];
    sqzt_train_data d;
} scene;

static void train(scene *s)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.epochs = 3, .lr = 2e-3};
    const sqz_train_run run = {.evaluate = score,
                               .evaluate_steps = 2,
                               .patience = 2,
                               .checkpoint = s->folder,
                               .checkpoint_steps = 3,
                               .resume = 1};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_trainer_open(context, s->base, &recipe, &s->d.data, &trainer, &error),
                   &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, &run, &result, &error), &error);
    assert_int_equal(result.kept_step, 6);
    sqzt_assert_ok(sqz_trainer_write(trainer, s->out, &error), &error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

/* true: it was killed. */
static bool train_in_child(scene *s, uint64_t kill_at)
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
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    return WEXITSTATUS(status) == KILLED;
}

static void clear(const scene *s)
{
    char command[2 * PATH + 32];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'*", s->folder, s->out);
    assert_int_equal(system(command), 0);
}

static void a_run_that_was_killed_while_it_wrote_ends_as_one_that_was_not(void **state)
{
    (void)state;
    scene s;
    char whole[PATH];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    snprintf(s.base, PATH, "%s", sqzt_temporary("base.gguf"));
    snprintf(s.folder, PATH, "%s", sqzt_temporary("checkpoints"));
    snprintf(s.out, PATH, "%s", sqzt_temporary("out.gguf"));
    snprintf(whole, PATH, "%s", sqzt_temporary("whole.gguf"));
    sqzt_tiny_write(&small, s.base);
    sqzt_train_data_make(&s.d, 12);
    clear(&s);
    assert_false(train_in_child(&s, 0));
    const uint64_t calls = shared->calls;
    assert_true(calls > 30);
    assert_int_equal(rename(s.out, whole), 0);
    for (uint64_t at = 1; at <= calls; at++) {
        clear(&s);
        assert_true(train_in_child(&s, at));
        if (at % 2) (void)train_in_child(&s, 5); /* and once more, soon after */
        assert_false(train_in_child(&s, 0));
        sqzt_assert_same_files(whole, s.out);
        assert_in_range(sqzt_count_files(s.folder), 1, 4);
    }
    munmap(shared, sizeof *shared);
    shared = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_was_killed_while_it_wrote_ends_as_one_that_was_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint that is damaged, in each tensor, in its description, or cut short, is told and gives
 * way to the one before it; so does one whose best is damaged. What comes out has the bytes of a
 * run that nothing happened to. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/gguf.h"
#include "support/same_files.h"
#include "support/train_data.h"

static const sqzt_tiny small = {.width = 8,
                                .blocks = 1,
                                .heads = 2,
                                .head_width = 4,
                                .ffn_width = 12,
                                .embedding_width = 8,
                                .positions = 12,
                                .token_types = 2,
                                .seed = 43};

enum { PATH = 512, STOP = 9 };
static const char *const names[] = {"step-00000008.gguf", "step-00000009.gguf",
                                    "best-00000006.gguf", "best-00000008.gguf"};
enum { FILES = sizeof names / sizeof *names, NEWEST = 1 };

typedef struct stored {
    char path[PATH + 32];
    unsigned char *bytes;
    size_t n;
} stored;

typedef struct scene {
    char base[PATH], folder[PATH], whole[PATH], out[PATH];
    sqzt_train_data d;
    stored files[FILES]; /* of the run as it was stopped */
    uint64_t best;
    uint32_t notes;
    char note[700];
} scene;

static int stop(void *user, const sqz_train_progress *p)
{
    (void)user;
    return p->step == STOP;
}

static void note(void *user, const char *text)
{
    scene *s = user;
    s->notes++;
    snprintf(s->note, sizeof s->note, "%s", text);
}

/* Rises to the best step and falls behind it. */
static sqz_status score(void *user, const sqz_model *model, uint64_t step, double *score,
                        sqz_error *error)
{
    const scene *s = user;
    (void)model;
    (void)error;
    *score = -fabs((double)step - (double)s->best);
    return SQZ_OK;
}

static sqz_status train(scene *s, bool kept, bool stops, const char *out, sqz_error *error)
{
    sqz_context *context = NULL;
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.epochs = 2, .lr = 2e-3};
    const sqz_train_run run = {.progress = stops ? stop : NULL,
                               .evaluate = score,
                               .evaluate_steps = 2,
                               .note = note,
                               .user = s,
                               .checkpoint = kept ? s->folder : NULL,
                               .checkpoint_steps = kept ? 4 : 0,
                               .resume = kept};
    s->notes = 0;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, error),
                   error);
    sqzt_assert_ok(sqz_trainer_open(context, s->base, &recipe, &s->d.data, &trainer, error), error);
    const sqz_status status = sqz_trainer_run(trainer, &run, &result, error);
    if (status == SQZ_OK) sqzt_assert_ok(sqz_trainer_write(trainer, out, error), error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
    return status;
}

static void read_file(stored *f)
{
    FILE *file = fopen(f->path, "rb");
    f->n = 0;
    f->bytes = NULL;
    if (!file) return;
    f->bytes = malloc(1 << 20);
    assert_non_null(f->bytes);
    f->n = fread(f->bytes, 1, 1 << 20, file);
    assert_in_range(f->n, 1, (1 << 20) - 1);
    fclose(file);
}

/* File i with its first n bytes alone, one of them changed; n 0: empty, at SIZE_MAX: none. */
static void write_file(const stored *f, size_t n, size_t at)
{
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++) putc(f->bytes[i] ^ (i == at ? 0x10 : 0), file);
    assert_int_equal(fclose(file), 0);
}

/* The folder as it was when the run was stopped. */
static void put_back(const scene *s)
{
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'/*", s->folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < FILES; i++)
        if (s->files[i].bytes) write_file(&s->files[i], s->files[i].n, SIZE_MAX);
}

static void open_scene(scene *s, uint64_t best)
{
    sqz_error error = {0};
    char command[PATH + 16];
    const char *const paths[] = {"base.gguf", "checkpoints", "whole.gguf", "out.gguf"};
    char *const to[] = {s->base, s->folder, s->whole, s->out};
    for (int i = 0; i < 4; i++) snprintf(to[i], PATH, "%s", sqzt_temporary(paths[i]));
    s->best = best;
    snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
    assert_int_equal(system(command), 0);
    sqzt_tiny_write(&small, s->base);
    sqzt_train_data_make(&s->d, 19);
    sqzt_assert_ok(train(s, false, false, s->whole, &error), &error);
    sqzt_assert_fails(train(s, true, true, NULL, &error), SQZ_ECANCELLED, &error, "step 9 of 10");
    for (int i = 0; i < FILES; i++) {
        snprintf(s->files[i].path, sizeof s->files[i].path, "%s/%s", s->folder, names[i]);
        read_file(&s->files[i]);
    }
}

static void close_scene(scene *s)
{
    for (int i = 0; i < FILES; i++) free(s->files[i].bytes);
}

/* Resumed, it ends as the run that nothing happened to. */
static void check_resumes(scene *s, const char *what, uint32_t notes, const char *said)
{
    sqz_error error = {0};
    sqzt_assert_ok(train(s, true, false, s->out, &error), &error);
    if (s->notes != notes || (said && !strstr(s->note, said)))
        fail_msg("%s: %u notes, the last '%s'", what, s->notes, s->notes ? s->note : "");
    sqzt_assert_same_files(s->whole, s->out);
}

static void damaged(scene *s, const char *what, size_t n, size_t at)
{
    put_back(s);
    write_file(&s->files[NEWEST], n, at);
    check_resumes(s, what, 1, "going on from the one before it, step 8");
}

static void a_byte_of_any_tensor_is_missed(void **state)
{
    (void)state;
    scene s = {0};
    sqz_error error = {0};
    sqzi_gguf *gguf = NULL;
    open_scene(&s, 6);
    const stored *f = &s.files[NEWEST];
    unsigned char *aligned = aligned_alloc(64, (f->n + 63) / 64 * 64);
    assert_non_null(aligned);
    memcpy(aligned, f->bytes, f->n);
    sqzt_assert_ok(sqzi_gguf_open(&sqzi_default_allocator, f->path, aligned, f->n, &gguf, &error),
                   &error);
    const uint32_t n = sqzi_gguf_n_tensors(gguf);
    assert_true(n > 60); /* weights and two moments */
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(gguf, i);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.bytes);
        damaged(&s, name, f->n, (size_t)(t->offset + i * 7 % t->bytes));
    }
    sqzi_gguf_close(gguf);
    free(aligned);
    close_scene(&s);
}

static void a_byte_of_the_description_is_missed(void **state)
{
    (void)state;
    scene s = {0};
    open_scene(&s, 6);
    const stored *f = &s.files[NEWEST];
    size_t end = f->n;
    /* the first tensor comes last in the description */
    for (size_t i = 0; i + 12 < f->n && end == f->n; i++)
        if (memcmp(f->bytes + i, "optim.v.head", 12) == 0) end = i;
    assert_in_range(end, 4000, f->n - 1);
    for (size_t at = 0; at < end; at += 53) damaged(&s, "description", f->n, at);
    close_scene(&s);
}

static void a_file_that_was_cut_short_is_missed(void **state)
{
    (void)state;
    scene s = {0};
    open_scene(&s, 6);
    const size_t n = s.files[NEWEST].n;
    const size_t lengths[] = {0, 3, 24, 1000, n / 4, n / 2, n - n / 4, n - 64, n - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        damaged(&s, "cut", lengths[i], SIZE_MAX);
    close_scene(&s);
}

/* The best of step 8 goes: the checkpoint of step 9 speaks of it, and so does that of step 8; where
 * one before it speaks of another best, that one is taken. */
static void so_is_a_best_that_is_damaged(void **state)
{
    (void)state;
    scene s = {0};
    open_scene(&s, 8);
    assert_non_null(s.files[3].bytes);
    put_back(&s);
    write_file(&s.files[3], s.files[3].n / 2, SIZE_MAX);
    check_resumes(&s, "cut", 2, "beginning anew");
    put_back(&s);
    assert_int_equal(remove(s.files[3].path), 0);
    check_resumes(&s, "gone", 2, "beginning anew");
    close_scene(&s);
    open_scene(&s, 6);
    put_back(&s);
    write_file(&s.files[2], s.files[2].n, s.files[2].n - 70);
    check_resumes(&s, "a byte", 2, "beginning anew");
    close_scene(&s);
}

/* It may be whole: nothing is begun anew, nothing removed. */
static void one_that_cannot_be_read_stops_the_run(void **state)
{
    (void)state;
    scene s = {0};
    sqz_error error = {0};
    char aside[PATH + 40];
    open_scene(&s, 6);
    put_back(&s);
    snprintf(aside, sizeof aside, "%s.aside", s.files[NEWEST].path);
    assert_int_equal(rename(s.files[NEWEST].path, aside), 0);
    assert_int_equal(mkdir(s.files[NEWEST].path, 0777), 0);
    const unsigned files = sqzt_count_files(s.folder);
    sqzt_assert_fails(train(&s, true, false, s.out, &error), SQZ_EIO, &error, "step-00000009.gguf");
    assert_int_equal(sqzt_count_files(s.folder), files);
    assert_int_equal(rmdir(s.files[NEWEST].path), 0);
    assert_int_equal(rename(aside, s.files[NEWEST].path), 0);
    check_resumes(&s, "put back", 0, NULL);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_byte_of_any_tensor_is_missed),
                                       cmocka_unit_test(a_byte_of_the_description_is_missed),
                                       cmocka_unit_test(a_file_that_was_cut_short_is_missed),
                                       cmocka_unit_test(so_is_a_best_that_is_damaged),
                                       cmocka_unit_test(one_that_cannot_be_read_stops_the_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier within a budget: a teacher from the rows that are not held out, squeezed and healed
 * on the same rows, and what is decided on those held out. In the folder of the run (run_folder.h):
 *
 *   base.gguf       the base as floats, where it holds integers
 *   features.gguf   what the encoder made of the texts, where the caller has no cache of its own
 *   teacher.run/    checkpoints, where every weight is trained
 *   teacher.gguf    what that came to, or the frozen encoder with its head; teacher.told: why
 *   small.run/      the folder of the compression
 *   small.gguf      what that came to
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/number.h"
#include "build/builder.h"
#include "compress/compress_rows.h"
#include "compress/run_folder.h"
#include "model/context.h"
#include "rewrite/keyed_file.h"
#include "squeeze/quantized_model.h"
#include "squeeze/sequences.h"
#include "squeeze/squeeze_then.h"

/* Of the minutes: the teacher's, those of healing. The rest is for squeezing. */
static const double of_teacher = 1.0 / 3, of_healing = 1.0 / 2, usual_minutes = 10;
/* Of healing, at most: 2,000 rows in 20 classes, MiniLM in 4 MB: after 3 epochs 98.0 % of others
 * are right, after 20 98.8 %. */
enum { EPOCHS = 20, BATCH = 32 };

typedef struct work {
    sqz_build *build;
    sqzi_run_folder folder;
    sqz_dataset *rows; /* to learn */
    double minutes;
    uint64_t begin;
    char teacher_key[SQZI_SHA256_HEX]; /* the folder's, and the rows to learn */
    char base[SQZI_OUTPUT_PATH], features[SQZI_OUTPUT_PATH], teacher[SQZI_OUTPUT_PATH],
        told[SQZI_OUTPUT_PATH], teacher_run[SQZI_OUTPUT_PATH], small[SQZI_OUTPUT_PATH],
        small_run[SQZI_OUTPUT_PATH];
} work;

/* ---- the folder ---- */

static void name(const work *w, const char *file, char path[SQZI_OUTPUT_PATH])
{
    snprintf(path, SQZI_OUTPUT_PATH, "%.4000s/%s", w->build->options.checkpoint, file);
}

static void name_all(work *w)
{
    name(w, "base.gguf", w->base);
    name(w, "features.gguf", w->features);
    name(w, "teacher.gguf", w->teacher);
    name(w, "teacher.told", w->told);
    name(w, "teacher.run", w->teacher_run);
    name(w, "small.gguf", w->small);
    name(w, "small.run", w->small_run);
}

/* Of the teacher's steps. What it is squeezed to, on which texts, and how is healed, the
 * compression's own folder knows: a budget that cannot be met, or that does not hold a score, is
 * followed by one that can. */
static void set_key(work *w)
{
    char text[256];
    const sqz_build *b = w->build;
    sqzi_run_folder *f = &w->folder;
    snprintf(text, sizeof text, "2 %s %s %llu", SQZI_REAL(17, b->options.minutes),
             SQZI_REAL(17, b->options.holdout), (unsigned long long)b->options.seed);
    sqzi_run_hash_model(b->model, f->parts[SQZI_RUN_MODEL]);
    sqzi_run_hash_text(sqz_dataset_sha256(b->dataset), f->parts[SQZI_RUN_DATA]);
    sqzi_run_hash_text(text, f->parts[SQZI_RUN_OPTIONS]);
    sqzi_run_hash_kernels(b->context, f->parts[SQZI_RUN_KERNELS]);
    sqzi_run_folder_set_key(f);
}

/* Which rows are held out depends on sources too, which the data's hash does not know. */
static void set_teacher_key(work *w)
{
    sqzi_sha256 hash;
    const char *rows = sqz_dataset_sha256(w->rows);
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, w->folder.key, strlen(w->folder.key));
    sqzi_sha256_update(&hash, rows, strlen(rows));
    sqzi_sha256_final(&hash, w->teacher_key);
}

static sqz_status open_folder(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    const char *const stay[] = {b->out, b->options.card, b->options.cache};
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        TRY(sqzi_run_folder_spare(b->options.checkpoint, stay[i], error));
    TRY(sqz_model_open(b->context, b->base, &b->model, error));
    set_key(w);
    w->folder.allocator = b->allocator;
    w->folder.path = b->options.checkpoint;
    w->folder.kind = "build";
    w->folder.resume = b->options.compress->resume != 0;
    name_all(w);
    TRY(sqzi_run_folder_open(&w->folder, error));
fail:
    return status;
}

/* ---- the teacher ---- */

/* Integers as the floats that they mean: what is trained and squeezed is floats. Written at each
 * run: no file that is found says what it was made of. */
static sqz_status make_floats(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    if (sqzi_has_integers(b->model)) {
        TRY(sqzi_floats_write(b->model, w->base, error));
        b->base = w->base;
    }
    sqz_model_close(b->model);
    b->model = NULL;
fail:
    return status;
}

/* What squeezing would say only when there is a teacher. */
static sqz_status check_pieces(const work *w, sqz_error *error)
{
    const sqz_build *b = w->build;
    uint64_t pieces = 0;
    for (size_t i = 0; i < b->result.n_train; i++)
        pieces += sqz_dataset_pieces(b->dataset, b->rows[i]).n;
    if (b->options.compress->levers.n_texts || pieces >= SQZI_CALIBRATION_LEAST) return SQZ_OK;
    return sqzi_fail(
        error, SQZ_EFORMAT, 0,
        "%s: the %zu rows that are not held out have %llu pieces, at least %d are needed "
        "to squeeze by: give more rows, or plain texts of their kind (--texts)",
        sqz_dataset_name(b->dataset), b->result.n_train, (unsigned long long)pieces,
        SQZI_CALIBRATION_LEAST);
}

/* At the data, and whose rows are held out. */
static sqz_status look(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    TRY(sqz_model_open(b->context, b->base, &b->model, error));
    TRY(sqz_dataset_tokenize(b->dataset, sqz_model_tokenizer(b->model), b->model->info.max_length,
                             error));
    TRY(sqzi_build_look(b, error));
    TRY(check_pieces(w, error));
    TRY(sqz_dataset_part(b->dataset, b->rows, b->result.n_train, &w->rows, error));
    TRY(sqzi_compress_check_rows(b->allocator, w->rows, b->held_out, SQZI_COMPRESS_HOLDOUT,
                                 b->options.seed, error));
    TRY(sqzi_squeeze_check_budget(b->context, b->base, &b->options.compress->levers, NULL, error));
    set_teacher_key(w);
fail:
    sqz_model_close(b->model);
    b->model = NULL;
    return status;
}

/* What is known of a teacher, but its file. */
typedef struct told {
    double frozen_accuracy, full_accuracy, frozen_seconds, step_seconds, full_minutes;
    sqz_build_strength strengths[SQZ_BUILD_STRENGTHS];
    uint32_t chosen, n_read;
    int32_t full, filler;
    char why[SQZI_SENTENCE];
} told;

static const char told_kind[] = "teacher";

static void tell(const told *t, sqz_build *b)
{
    sqz_build_result *r = &b->result;
    r->frozen_accuracy = t->frozen_accuracy;
    r->full_accuracy = t->full_accuracy;
    r->frozen_seconds = t->frozen_seconds;
    r->step_seconds = t->step_seconds;
    r->full_minutes = t->full_minutes;
    memcpy(r->strengths, t->strengths, sizeof r->strengths);
    r->chosen = t->chosen;
    r->n_read = t->n_read;
    r->full = t->full;
    memcpy(b->why, t->why, sizeof b->why);
}

static void take(const sqz_build *teacher, told *t)
{
    const sqz_build_result *r = &teacher->result;
    *t = (told){.frozen_accuracy = r->frozen_accuracy,
                .full_accuracy = r->full_accuracy,
                .frozen_seconds = r->frozen_seconds,
                .step_seconds = r->step_seconds,
                .full_minutes = r->full_minutes,
                .chosen = r->chosen,
                .n_read = r->n_read,
                .full = r->full};
    memcpy(t->strengths, r->strengths, sizeof t->strengths);
    memcpy(t->why, teacher->why, sizeof t->why);
}

/* A teacher that stands: its file, and what was told of it, which is written last. */
static bool find_teacher(const work *w, told *t)
{
    sqz_error none = {0};
    sqzi_keyed_file file = {0};
    sqzi_keyed_tensor tensor = {"told", SQZI_I32, 1, sizeof *t / 4, NULL};
    const bool found = sqzi_run_file_is_there(w->build->context, w->teacher) &&
                       sqzi_keyed_open(w->build->allocator, w->told, told_kind, w->teacher_key,
                                       &tensor, 1, &file, &none) == SQZ_OK;
    if (found) memcpy(t, tensor.data, sizeof *t);
    sqzi_keyed_close(&file);
    return found;
}

static sqz_status make_teacher(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build, *teacher = NULL;
    told t;
    const sqz_build_options o = {.minutes = w->minutes * of_teacher,
                                 .false_refusals = -1,
                                 .seed = b->options.seed,
                                 .cache = b->options.cache ? b->options.cache : w->features,
                                 .checkpoint = w->teacher_run,
                                 .progress = b->options.progress,
                                 .note = b->options.note,
                                 .user = b->options.user};
    const sqz_build begun = {.context = b->context,
                             .dataset = w->rows,
                             .base = b->base,
                             .out = w->teacher,
                             .as_floats = true};
    const sqzi_keyed_tensor tensor = {"told", SQZI_I32, 1, sizeof t / 4, &t};
    if (!find_teacher(w, &t)) {
        TRY(sqzi_build_open(&begun, &o, &teacher, error));
        TRY(sqzi_build_run(teacher, sqzi_build_make, error));
        take(teacher, &t);
        TRY(sqzi_keyed_save(b->allocator, w->told, told_kind, w->teacher_key, &tensor, 1, error));
    }
    tell(&t, b);
fail:
    sqz_build_close(teacher);
    return status;
}

/* ---- squeezed and healed ---- */

/* Budgets as they are of the last file. */
static void add_bytes(sqz_compress_result *r, uint64_t more)
{
    if (r->enough) r->enough += more;
    for (uint32_t i = 0; i < r->n_trials; i++)
        if (r->trials[i].budget) r->trials[i].budget += more;
}

static sqz_status compress(work *w, sqz_error *error)
{
    sqz_build *b = w->build;
    sqz_error why = {0};
    sqz_compress_options o = *b->options.compress;
    const uint64_t budget = o.levers.budget, more = sqzi_build_kept_bytes();
    o.dataset = w->rows;
    o.report = b->held_out;
    o.minutes = w->minutes > 0 ? w->minutes * of_healing : -1;
    o.epochs = o.epochs ? o.epochs : EPOCHS;
    o.batch = o.batch ? o.batch : BATCH;
    o.seed = b->options.seed;
    o.folder = w->small_run;
    o.resume = o.keep = 1;
    o.progress = b->options.progress;
    o.note = b->options.note;
    o.user = b->options.user;
    if (budget) o.levers.budget = budget > more ? budget - more : 1;
    const sqz_status status = sqz_compress(b->context, w->teacher, w->small, &o, &b->compressed,
                                           &why);
    if (status == SQZ_EINVAL && budget && why.offset > o.levers.budget &&
        why.offset != UINT64_MAX /* the time */)
        return sqzi_fail(error, SQZ_EINVAL, why.offset + more,
                         "a budget of %llu bytes cannot be met: the least that can is %llu bytes; "
                         "with one that can, resuming takes up what was trained",
                         (unsigned long long)budget, (unsigned long long)(why.offset + more));
    if (status == SQZ_EINVAL && o.levers.time > 0)
        return sqzi_fail(error, status, why.offset,
                         "%.400s; with another share, resuming takes up what was trained",
                         why.text);
    if (status != SQZ_OK && error) *error = why;
    add_bytes(&b->compressed, more);
    b->result.compressed = &b->compressed;
    return status;
}

/* What the time had no room for. */
static void say_cut(const work *w)
{
    const sqz_build *b = w->build;
    const sqz_compress_options *o = b->options.compress;
    const uint32_t epochs = o->epochs ? o->epochs : EPOCHS, batch = o->batch ? o->batch : BATCH;
    const uint64_t all = (uint64_t)epochs * ((b->compressed.n_learn + batch - 1) / batch);
    const uint64_t budget = o->levers.budget;
    if (b->compressed.n_steps && b->compressed.n_steps < all)
        sqzi_build_note(b,
                        "there was time for %llu steps of healing; %u epochs of all rows take %llu",
                        (unsigned long long)b->compressed.n_steps, epochs, (unsigned long long)all);
    if (budget > b->compressed.base.bytes)
        sqzi_build_note(
            b,
            "the budget of %llu bytes is more than the %llu of the whole model, in f32: "
            "it takes fewer all the same, as its numbers become integers",
            (unsigned long long)budget, (unsigned long long)b->compressed.base.bytes);
}

/* Temperature, threshold and figures: the head stays what it has become. Texts read are the
 * teacher's. */
static sqz_status calibrate(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    const uint32_t n_read = b->result.n_read;
    b->base = w->small;
    b->options.keep_head = 1;
    b->options.cache = NULL;
    TRY(sqzi_build_open_kept(b, error));
    TRY(sqzi_build_make(b, error));
    b->result.n_read = n_read;
fail:
    return status;
}

/* A score that was not held: the teacher stays, what it was squeezed to was of these options. */
static void keep_teacher(const work *w)
{
    sqz_compress_remove(w->small_run);
    sqzi_build_note(w->build,
                    "%s keeps what was trained: with a larger budget, a lower score or more texts "
                    "resuming takes it up",
                    w->build->options.checkpoint);
}

/* ---- the whole ---- */

static sqz_status run(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = w->build;
    TRY(make_floats(w, error));
    TRY(look(w, error));
    TRY(make_teacher(w, error));
    b->result.teacher_seconds = 1e-9 * (double)(sqzi_clock_ns() - w->begin);
    TRY(compress(w, error));
    b->result.compress_seconds = 1e-9 * (double)(sqzi_clock_ns() - w->begin) -
                                 b->result.teacher_seconds;
    say_cut(w);
    if (b->compressed.met) TRY(calibrate(w, error));
    else keep_teacher(w);
fail:
    return status;
}

static bool has_trained(const work *w)
{
    return access(w->teacher, F_OK) == 0 || access(w->teacher_run, F_OK) == 0;
}

sqz_status sqzi_build_budget(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    work *w = sqzi_allocate_zeroed(b->allocator, 1, sizeof *w);
    if (!w) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a build");
    w->build = b;
    w->begin = sqzi_clock_ns();
    w->minutes = b->options.minutes == 0 ? usual_minutes : fmax(b->options.minutes, 0);
    TRY(open_folder(w, error));
    TRY(run(w, error));
fail:
    sqzi_run_folder_close(&w->folder, status == SQZ_OK && b->compressed.met,
                          sqzi_run_is_refused(&w->folder, status) && !has_trained(w));
    sqz_dataset_close(w->rows);
    sqzi_release(b->allocator, w, sizeof *w);
    return status;
}

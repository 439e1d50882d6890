/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a compression: data, the base's score, attempts, the file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "compress/compress_rows.h"
#include "compress/compressor.h"
#include "model/context.h"
#include "squeeze/squeeze_history.h"
#include "squeeze/time_key.h"
#include "train/teacher.h"

enum { MAX_PIECES = 128 };

/* ---- options ---- */

static double settled(double given, double usual)
{
    return given == 0 ? usual : given;
}

static void fill_in(sqz_compress_options *o)
{
    o->holdout = settled(o->holdout, SQZI_COMPRESS_HOLDOUT);
    o->minutes = settled(o->minutes, 10);
    if (o->minutes < 0) o->minutes = 0;
    o->epochs = o->epochs ? o->epochs : 3;
    o->batch = o->batch ? o->batch : 32;
    o->lr = settled(o->lr, 5e-4);
}

static sqz_status check(const sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_compress_options *o = &c->options;
    const sqz_squeeze_options *l = &o->levers;
    TRY(SQZI_RESERVED(o, "sqz_compress_options", error));
    TRY(SQZI_RESERVED(l, "sqz_squeeze_options", error));
    FAIL_IF(!(o->holdout > 0 && o->holdout < 1) || !(o->lr > 0) || !isfinite(o->minutes) ||
                !(o->min_score >= 0),
            SQZ_EINVAL, 0,
            "a share held out is between 0 and 1, a rate above 0, a score and minutes are numbers");
    FAIL_IF(o->teacher_type && !(o->minutes > 0), SQZ_EINVAL, 0,
            "the teacher's type is of healing, and nothing is healed (minutes)");
    FAIL_IF(l->part || l->progress || l->result || l->no_fidelity, SQZ_EINVAL, 0,
            "levers: what happens is told by sqz_compress_options");
    FAIL_IF(!o->dataset && !l->texts, SQZ_EINVAL, 0, "rows or texts are needed to judge on");
    FAIL_IF(o->report && !o->dataset, SQZ_EINVAL, 0, "rows to report on, and none to learn");
    FAIL_IF((l->n_vocabulary || l->drop_impossible) && o->minutes > 0, SQZ_EUNSUPPORTED, 0,
            "the vocabulary: what is healed (minutes; --no-heal leaves it out) reads the pieces of "
            "the model that it was made of; squeeze the vocabulary first, then what comes out");
    FAIL_IF(c->out && !o->folder, SQZ_EINVAL, 0, "a folder is needed to go on in");
    if (c->out) TRY(sqzi_run_folder_spare(o->folder, c->out, error));
    if (c->out) TRY(sqzi_run_folder_spare(o->folder, l->cache, error));
    FAIL_IF(!sqzi_squeeze_has_lever(l) && !(o->min_score > 0 && c->out), SQZ_EINVAL, 0,
            "%s: no lever is set: say a budget, a time, levers by hand, or a score to be held by "
            "the file that is written",
            c->path);
fail:
    return status;
}

static sqz_status settle_length(sqzi_compressor *c, sqz_error *error)
{
    const uint32_t most = c->base->info.max_positions, asked = c->options.max_length;
    c->max_length = asked ? asked : most < MAX_PIECES ? most : MAX_PIECES;
    if (c->max_length <= most) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "max_length is %u, %s takes %u pieces", asked, c->path,
                     most);
}

/* ---- what the file will say ---- */

static void add_key(sqzi_compressor *c, const char *format, const char *name)
{
    char *key = c->keys[c->measured.n];
    snprintf(key, SQZI_COMPRESS_KEY, format, name);
    c->key_list[c->measured.n++] = key;
}

static void set_keys(sqzi_compressor *c)
{
    const char *name = c->result->name;
    c->measured = (sqzi_measured){.count_key = c->count_key,
                                  .count = (uint32_t)c->data.n[SQZI_COMPRESS_REPORT],
                                  .keys = c->key_list,
                                  .values = c->values};
    add_key(c, "sqz.squeeze.heal.steps", name);
    if (c->options.dataset) {
        snprintf(c->count_key, sizeof c->count_key, "sqz.squeeze.score.examples");
        add_key(c, "sqz.squeeze.score.%s", name);
        add_key(c, "sqz.squeeze.score.%s.low", name);
        add_key(c, "sqz.squeeze.score.%s.high", name);
        add_key(c, "sqz.squeeze.score.%s.base", name);
        return;
    }
    snprintf(c->count_key, sizeof c->count_key, "sqz.squeeze.fidelity.texts");
    add_key(c, "sqz.squeeze.fidelity.cosine", name);
    add_key(c, "sqz.squeeze.fidelity.neighbours", name);
    if (c->by_classes) add_key(c, "sqz.squeeze.fidelity.classes", name);
}

static void hash_texts(sqzi_sha256 *hash, const sqz_text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t bytes = texts[i].n_bytes;
        sqzi_sha256_update(hash, &bytes, sizeof bytes);
        sqzi_sha256_update(hash, texts[i].bytes, texts[i].n_bytes);
    }
}

/* How it is healed, and on what: texts and rows that are learned. */
static void set_history(sqzi_compressor *c)
{
    static const char *const teachers[] = {[SQZ_TEACHER_AS_IS] = "",
                                           [SQZ_TEACHER_F32] = ", teacher f32",
                                           [SQZ_TEACHER_BF16] = ", teacher bf16",
                                           [SQZ_TEACHER_S8] = ", teacher s8"};
    sqzi_sha256 hash;
    char texts[SQZI_SHA256_HEX];
    sqzi_sha256_init(&hash);
    hash_texts(&hash, c->data.calibrate, c->data.n_calibrate);
    sqzi_sha256_final(&hash, texts);
    int n = snprintf(c->history, sizeof c->history, "; learned %zu texts (sha256 %.16s)",
                     c->data.n_calibrate, texts);
    if (c->options.minutes > 0)
        snprintf(c->history + n, sizeof c->history - (size_t)n,
                 ", healed for at most %s minutes, at most %u epochs, lr %s, seed %llu%s",
                 SQZI_REAL(6, c->options.minutes), c->options.epochs, SQZI_REAL(6, c->options.lr),
                 (unsigned long long)c->options.seed, teachers[c->options.teacher_type]);
}

/* ---- what a run is ---- */

static void hash_data(const sqzi_compressor *c, char *hex)
{
    sqzi_sha256 hash;
    char text[2 * SQZI_SHA256_HEX];
    const sqz_compress_options *o = &c->options;
    snprintf(text, sizeof text, "%s %s", o->dataset ? sqz_dataset_sha256(o->dataset) : "",
             o->report ? sqz_dataset_sha256(o->report) : "");
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, text, strlen(text) + 1);
    hash_texts(&hash, o->levers.vocabulary, o->levers.n_vocabulary);
    hash_texts(&hash, o->levers.texts, o->levers.n_texts);
    sqzi_sha256_final(&hash, hex);
}

/* The line of history has as much of a list as fits. */
static void hash_options(const sqzi_compressor *c, char *hex)
{
    char text[4096], levers[SQZI_HISTORY_TEXT];
    sqzi_sha256 hash;
    const sqz_compress_options *o = &c->options;
    const sqz_squeeze_options *l = &o->levers;
    sqzi_squeeze_history("squeeze", l, 0, 0, levers);
    snprintf(text, sizeof text, "1 %s | %s | %s %u %u | %s %s %d | %s %s %u %u %u %llu", c->history,
             levers, SQZI_REAL(17, l->time), l->at_batch, l->at_length, c->result->name,
             SQZI_REAL(17, o->min_score), o->relative, SQZI_REAL(17, o->holdout),
             SQZI_REAL(17, o->minutes), o->epochs, o->batch, c->max_length,
             (unsigned long long)o->seed);
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, text, strlen(text));
    if (l->ranks) sqzi_sha256_update(&hash, l->ranks, strlen(l->ranks) + 1);
    if (l->n_layers) sqzi_sha256_update(&hash, l->layers, l->n_layers * sizeof *l->layers);
    sqzi_sha256_final(&hash, hex);
}

static void set_key(sqzi_compressor *c)
{
    sqzi_run_folder *f = &c->folder;
    sqzi_sha256 machine;
    sqzi_run_hash_model(c->base, f->parts[SQZI_RUN_MODEL]);
    hash_data(c, f->parts[SQZI_RUN_DATA]);
    hash_options(c, f->parts[SQZI_RUN_OPTIONS]);
    sqzi_run_hash_kernels(c->context, f->parts[SQZI_RUN_KERNELS]);
    sqzi_sha256_init(&machine);
    if (c->options.levers.time > 0) sqzi_time_hash_machine(&machine, c->context);
    sqzi_sha256_final(&machine, f->parts[SQZI_RUN_MACHINE]);
    sqzi_run_folder_set_key(f);
}

/* ---- the run ---- */

static sqz_status run_attempts(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_attempt attempt = {0};
    const uint64_t budget = c->options.levers.budget;
    if (c->out) TRY(sqzi_compress_choose(c, &attempt, error));
    else TRY(sqzi_compress_foretell(c, &attempt, error));
    sqzi_compress_tell(c, &attempt);
    if (!c->out) goto fail;
    TRY(sqzi_compress_write(c, &attempt, error));
    if (!c->result->met && budget && !c->searched)
        TRY(sqzi_compress_search(c, budget, &c->result->enough, error));
fail:
    sqzi_compress_discard(c, &attempt);
    return status;
}

static void settle_score(sqzi_compressor *c)
{
    const sqz_compress_options *o = &c->options;
    sqz_compress_result *r = c->result;
    r->met = 1;
    r->least = (double)NAN;
    if (!(o->min_score > 0)) return;
    r->least = o->relative ? o->min_score * r->base.score : o->min_score;
    c->least_to_choose = o->relative ? o->min_score * c->base_to_choose : o->min_score;
}

/* The budget: no file is so small, or none of it within the time. */
static bool cannot_be_met(const sqzi_compressor *c, sqz_status status, const sqz_error *error)
{
    const uint64_t budget = c->options.levers.budget;
    return status == SQZ_EINVAL && budget && error->offset > budget;
}

static sqz_status run(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_error why = {0}; /* cannot_be_met asks it, whether the caller does or not */
    bool done = false;
    TRY(sqz_model_open(c->context, c->path, &c->base, &why));
    TRY(sqzi_teacher_check_type(c->base, c->options.teacher_type, &why));
    TRY(settle_length(c, &why));
    TRY(sqzi_compress_open_data(c, &why));
    TRY(sqzi_compress_settle_score(c, &why));
    set_keys(c);
    set_history(c);
    TRY(sqzi_compress_check_budget(c, &why));
    TRY(sqzi_compress_open_scores(c, &why));
    set_key(c);
    settle_score(c);
    if (c->out) TRY(sqzi_compress_open_folder(c, &why));
    TRY(sqzi_compress_find_budget(c, &why));
    TRY(run_attempts(c, &why));
    done = true;
fail:
    sqzi_run_folder_close(&c->folder, done && !c->options.keep,
                          cannot_be_met(c, status, &why) ||
                              sqzi_run_is_refused(&c->folder, status));
    sqzi_compress_close_scores(c);
    sqzi_compress_close_data(c);
    sqz_model_close(c->base);
    if (status != SQZ_OK && error) *error = why;
    return status;
}

sqz_status sqz_compress(sqz_context *context, const char *path, const char *out,
                        const sqz_compress_options *options, sqz_compress_result *result,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compressor *c = NULL;
    if (!context || !path || !options || !result)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_compress: an argument is NULL");
    *result = (sqz_compress_result){0};
    c = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *c);
    FAIL_IF(!c, SQZ_ENOMEM, 0, "no memory for a compression");
    c->context = context;
    c->allocator = &context->allocator;
    c->path = path;
    c->out = out;
    c->options = *options;
    c->result = result;
    fill_in(&c->options);
    TRY(check(c, error));
    TRY(run(c, error));
fail:
    sqzi_release(&context->allocator, c, sizeof *c);
    return status;
}

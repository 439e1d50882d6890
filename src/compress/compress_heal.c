/* SPDX-License-Identifier: Apache-2.0 */
/* Healing: a squeezed file taught by the base through the rounding of its own tensors, for as many
 * steps as the minutes allow, by the time of the first ones. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "compress/healing.h"
#include "model/context.h"
#include "rewrite/keyed_file.h"

enum { TIMED_STEPS = 3 /* the first one is not counted */, CHECKPOINT_MINUTES = 5 };
static const double temperature = 2;

/* ---- what is learned ---- */

static void set_losses(const sqzi_compressor *c, const sqzi_compress_attempt *a,
                       sqz_distil_recipe *r)
{
    const sqz_model_info *info = &c->base->info;
    const bool classes = info->head == SQZ_HEAD_SEQUENCE || info->head == SQZ_HEAD_TOKEN,
               one = info->problem == SQZ_SINGLE_LABEL && info->n_labels > 1;
    *r = (sqz_distil_recipe){.teacher = c->path,
                             .teacher_type = c->options.teacher_type,
                             .scratch = a->squeezed};
    if (a->n_layers) {
        r->weights[SQZ_DISTIL_HIDDEN] = 1;
        r->map = SQZ_DISTIL_EXPLICIT;
        r->layers = a->layers;
        r->n_layers = a->n_layers;
    }
    r->weights[!classes ? SQZ_DISTIL_POOLED
               : one    ? SQZ_DISTIL_LOGITS
                        : SQZ_DISTIL_LOGITS_MSE] = classes ? 1 : 5;
    if (classes && one) r->temperature = temperature;
}

static sqz_train_recipe recipe_of(const sqzi_compressor *c, const sqz_distil_recipe *distil,
                                  uint32_t epochs)
{
    return (sqz_train_recipe){.keep_head = 1,
                              .epochs = epochs,
                              .lr = c->options.lr,
                              .warmup = 0.05,
                              .dropout = -1,
                              .seed = c->options.seed,
                              .fake_quantise = SQZ_FAKE_QUANTISE_STORED,
                              .distil = distil};
}

/* ---- time ---- */

typedef struct timer {
    uint64_t begun, pieces;
    double seconds;
} timer;

/* Steps without the first, which warms up. */
static int time_step(void *user, const sqz_train_progress *p)
{
    timer *t = user;
    if (p->step == 1) t->begun = sqzi_clock_ns();
    else {
        t->pieces += p->n_tokens;
        t->seconds = 1e-9 * (double)(sqzi_clock_ns() - t->begun);
    }
    return p->step >= TIMED_STEPS;
}

/* Seconds a piece; 0 where there are too few steps to tell. */
static sqz_status time_pieces(const sqzi_compressor *c, const sqzi_compress_attempt *a,
                              const sqz_train_recipe *recipe, const sqz_train_data *data,
                              double *seconds, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    timer t = {0};
    const sqz_train_run run = {.progress = time_step, .user = &t};
    *seconds = 0;
    TRY(sqz_trainer_open(c->context, a->squeezed, recipe, data, &trainer, error));
    status = sqz_trainer_run(trainer, &run, &result, error);
    if (status == SQZ_ECANCELLED) status = SQZ_OK;
    if (status == SQZ_OK && t.pieces) *seconds = t.seconds / (double)t.pieces;
fail:
    sqz_trainer_close(trainer);
    return status;
}

static double pieces_of(const sqz_train_data *data)
{
    double pieces = 0;
    for (uint32_t i = 0; i < data->n_examples; i++) pieces += data->examples[i].n_tokens;
    return pieces;
}

/* As many epochs as the minutes have room for, or a share of one. */
static sqz_status plan_by_time(sqzi_compressor *c, const sqzi_compress_attempt *a, double minutes,
                               sqzi_healing_plan *plan, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_healing_data d = {0};
    sqz_distil_recipe distil;
    double seconds;
    *plan = (sqzi_healing_plan){.epochs = c->options.epochs, .thousandths = SQZI_HEALING_ALL};
    set_losses(c, a, &distil);
    TRY(sqzi_healing_open(c, plan, &d, error));
    const sqz_train_data *data = sqz_batches_data(d.batches);
    const sqz_train_recipe recipe = recipe_of(c, &distil, c->options.epochs);
    TRY(time_pieces(c, a, &recipe, data, &seconds, error));
    if (!(seconds > 0)) goto fail;
    const double epochs = 60 * minutes / (seconds * pieces_of(data));
    if (epochs < c->options.epochs) plan->epochs = epochs < 1 ? 1 : (uint32_t)epochs;
    if (epochs < 1) plan->thousandths = (uint32_t)fmax(1, floor(SQZI_HEALING_ALL * epochs));
fail:
    sqzi_healing_close(c, &d);
    return status;
}

/* What was settled once stays so for a run that goes on. */
static sqz_status settle_plan(sqzi_compressor *c, const sqzi_compress_attempt *a, const char *key,
                              double minutes, sqzi_healing_plan *plan, sqz_error *error)
{
    char path[SQZI_OUTPUT_PATH];
    sqz_error none = {0};
    sqzi_keyed_file file = {0};
    sqzi_keyed_tensor tensor = {"plan", SQZI_I32, 1, sizeof *plan / 4, NULL};
    sqzi_compress_name(c, "healed", key, ".plan", path);
    sqz_status status = sqzi_keyed_open(c->allocator, path, "heal", key, &tensor, 1, &file, &none);
    if (status == SQZ_OK) memcpy(plan, tensor.data, sizeof *plan);
    sqzi_keyed_close(&file);
    if (status == SQZ_OK) return SQZ_OK;
    TRY(plan_by_time(c, a, minutes, plan, error));
    tensor.data = plan;
    TRY(sqzi_keyed_save(c->allocator, path, "heal", key, &tensor, 1, error));
fail:
    return status;
}

/* ---- the run ---- */

static int watch(void *user, const sqz_train_progress *p)
{
    const sqz_compress_options *o = user;
    return o->progress
               ? o->progress(o->user, "steps of healing", (size_t)p->step, (size_t)p->n_steps)
               : 0;
}

static void pass_note(void *user, const char *text)
{
    const sqz_compress_options *o = user;
    if (o->note) o->note(o->user, text);
}

static sqz_status train(sqzi_compressor *c, const sqzi_compress_attempt *a, const char *key,
                        const sqzi_healing_plan *plan, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char folder[SQZI_OUTPUT_PATH];
    sqzi_healing_data d = {0};
    sqz_distil_recipe distil;
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_run run = {.progress = watch,
                               .note = pass_note,
                               .user = &c->options,
                               .checkpoint = folder,
                               .checkpoint_minutes = CHECKPOINT_MINUTES,
                               .resume = 1};
    sqzi_compress_name(c, "healed", key, "", folder);
    set_losses(c, a, &distil);
    const sqz_train_recipe recipe = recipe_of(c, &distil, plan->epochs);
    TRY(sqzi_healing_open(c, plan, &d, error));
    TRY(sqz_trainer_open(c->context, a->squeezed, &recipe, sqz_batches_data(d.batches), &trainer,
                         error));
    TRY(sqz_trainer_run(trainer, &run, &result, error));
    TRY(sqz_trainer_write(trainer, a->healed, error));
fail:
    sqz_trainer_close(trainer);
    sqzi_healing_close(c, &d);
    return status;
}

/* The same steps for a file that was found and one that was made. */
static sqz_status count_steps(sqzi_compressor *c, const sqzi_healing_plan *plan, uint64_t *steps,
                              sqz_error *error)
{
    sqzi_healing_data d = {0};
    const sqz_status status = sqzi_healing_open(c, plan, &d, error);
    if (status == SQZ_OK) *steps = (uint64_t)plan->epochs * sqz_batches_data(d.batches)->n_batches;
    sqzi_healing_close(c, &d);
    return status;
}

static sqz_status judge(const sqzi_compressor *c, const char *path, double *value, double *error_of,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_model *model = NULL;
    sqz_compress_score score;
    sqz_comparison comparison, *compared = c->options.dataset ? &comparison : NULL;
    TRY(sqz_model_open(c->context, path, &model, error));
    TRY(sqzi_compress_judge(c, model, SQZI_COMPRESS_CHOOSE, &score, compared, error));
    *value = score.score;
    *error_of = sqzi_compress_error(c, &score, compared);
fail:
    sqz_model_close(model);
    return status;
}

/* Of an attempt and something more. */
static void make_key(const sqzi_compress_attempt *a, const void *more, size_t bytes,
                     char key[SQZI_SHA256_HEX])
{
    sqzi_sha256 hash;
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, a->key, strlen(a->key));
    sqzi_sha256_update(&hash, more, bytes);
    sqzi_sha256_final(&hash, key);
}

/* What so many minutes come to: a plan that was healed before is found again. */
static sqz_status find_plan(sqzi_compressor *c, double minutes, sqzi_compress_attempt *a,
                            sqzi_healing_plan *plan, char key[SQZI_SHA256_HEX], sqz_error *error)
{
    const uint64_t milliseconds = (uint64_t)llround(minutes * 60000);
    make_key(a, &milliseconds, sizeof milliseconds, key);
    const sqz_status status = settle_plan(c, a, key, minutes, plan, error);
    if (status != SQZ_OK) return status;
    make_key(a, plan, sizeof *plan, key);
    sqzi_compress_name(c, "healed", key, ".gguf", a->healed);
    return SQZ_OK;
}

sqz_status sqzi_compress_heal(sqzi_compressor *c, double minutes, sqzi_compress_attempt *a,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char key[SQZI_SHA256_HEX];
    sqzi_healing_plan plan;
    double healed, of_healed;
    a->heals = false;
    a->steps = a->n_steps = 0;
    TRY(judge(c, a->squeezed, &a->score, &a->error, error));
    if (!(minutes > 0)) goto fail;
    TRY(find_plan(c, minutes, a, &plan, key, error));
    if (!sqzi_compress_is_there(c, a->healed)) TRY(train(c, a, key, &plan, error));
    TRY(count_steps(c, &plan, &a->n_steps, error));
    TRY(judge(c, a->healed, &healed, &of_healed, error));
    a->heals = healed >= a->score || isnan(a->score);
    if (a->heals) {
        a->score = healed;
        a->error = of_healed;
        a->steps = a->n_steps;
    }
fail:
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Squeezing as a whole: texts, what layers read, levers, the new file, how near it is. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "io/checksum.h"
#include "squeeze/budget_floor.h"
#include "squeeze/plan_bytes.h"
#include "squeeze/squeeze_choice.h"
#include "squeeze/squeeze_history.h"
#include "squeeze/squeezer.h"
#include "squeeze/static_table.h"
#include "squeeze/vocabulary_pruning.h"

/* ---- levers ---- */

static sqz_status squeeze_vocabulary(sqzi_squeezer *s)
{
    const sqz_squeeze_options *o = &s->options;
    s->result.pieces_before = s->result.pieces_after = s->model->info.vocabulary;
    if (!o->n_vocabulary && !o->drop_impossible) return SQZ_OK;
    sqzi_vocabulary_report found;
    const sqz_status status = sqzi_squeeze_vocabulary(&s->weights, o->vocabulary, o->n_vocabulary,
                                                      &found, s->error);
    if (status != SQZ_OK) return status;
    s->result.pieces_after = found.after;
    s->result.tokens_before = found.tokens_before;
    s->result.tokens_after = found.tokens_after;
    return SQZ_OK;
}

/* sqzi_measured: how near the new file is, and how fast. */
static sqz_status measure_file(void *user, const char *made, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_squeezer *s = user;
    const sqzi_measured *fidelity = &s->fidelity.measured;
    if (s->measured.count_key && !s->then) TRY(fidelity->measure(fidelity->user, made, error));
    if (s->options.time > 0)
        TRY(sqzi_squeeze_time_measure(s->model, s->path, s->out, made, &s->time, error));
fail:
    return status;
}

/* What goes into the file beside weights. */
static sqzi_step step_of(sqzi_squeezer *s, char history[SQZI_HISTORY_TEXT])
{
    sqzi_step step = {.history = history,
                      .suffix = s->student             ? "-student"
                                : s->plan.static_width ? "-static"
                                                       : "-squeezed"};
    char verb[SQZI_STUDENT_TEXT] = "squeeze";
    if (s->student) sqzi_student_history(s->student, verb);
    sqzi_squeeze_history(verb, s->student ? &s->student->options->levers : &s->options,
                         s->result.n_texts, s->result.n_pieces, history);
    sqzi_fidelity_run_discard(&s->fidelity);
    sqzi_fidelity_run_make(s->model, s->split.held_out, s->split.n_held_out, &s->fidelity);
    s->measured = s->then ? *s->then->measured : (sqzi_measured){0};
    if (s->then) sqzi_squeeze_history_add(history, s->then->history);
    else if (s->split.n_held_out && !s->options.no_fidelity) s->measured = s->fidelity.measured;
    s->measured.measure = measure_file;
    s->measured.user = s;
    if (s->measured.count_key || s->options.time > 0) step.measured = &s->measured;
    return step;
}

/* At most: the history names the budget, and however many digits it has, a plan's bytes are to be
 * the same. */
static sqz_status bytes_of(void *user, const sqzi_squeeze_plan *plan, uint64_t *bytes,
                           sqz_error *error)
{
    sqzi_squeezer *s = user;
    char history[SQZI_HISTORY_TEXT];
    const uint64_t budget = s->options.budget;
    s->options.budget = UINT64_MAX;
    const sqzi_step step = step_of(s, history);
    s->options.budget = budget;
    return sqzi_plan_bytes(&s->weights, plan, &step, bytes, error);
}

/* As the file has them. */
static uint64_t piece_bytes(const sqzi_weights *weights)
{
    const sqzi_gguf_value *pieces = sqzi_gguf_find(weights->model->gguf, "tokenizer.ggml.tokens");
    uint64_t bytes = 0;
    if (weights->kept_words || !pieces || pieces->type != SQZI_GGUF_STRING) return 0;
    const unsigned char *at = pieces->data;
    for (uint64_t i = 0; i < pieces->n; i++)
        bytes += sizeof(uint64_t) + sqzi_gguf_next_string(&at).n;
    return bytes;
}

/* Of a model that gets another head and other metadata: what is the same in each. */
static sqz_status least_bytes_of(void *user, const sqzi_squeeze_plan *plan, uint64_t *bytes,
                                 sqz_error *error)
{
    const sqzi_squeezer *s = user;
    sqzi_weights weights = s->weights;
    weights.n_others = 0;
    const sqz_status status = sqzi_plan_bytes(&weights, plan, NULL, bytes, error);
    if (status == SQZ_OK) *bytes += piece_bytes(&weights);
    return status;
}

/* Before anything is measured. */
static sqz_status check_budget(sqzi_squeezer *s)
{
    uint64_t least = 0;
    const sqzi_budget_task task = {.budget = s->options.budget,
                                   .options = &s->options,
                                   .weights = &s->weights,
                                   .bytes_of = s->ends_with == SQZI_ENDS_LEAST ? least_bytes_of
                                                                               : bytes_of,
                                   .user = s};
    const sqz_status status = sqzi_budget_floor(&task, &s->plan, &least, s->error);
    if (status != SQZ_OK || least <= task.budget) return status;
    if (s->then && s->then->unmet) *s->then->unmet = true;
    return sqzi_fail(s->error, SQZ_EINVAL, least,
                     "a budget of %" PRIu64 " bytes cannot be met: the least that can is %s%" PRIu64
                     " bytes",
                     task.budget, s->ends_with == SQZI_ENDS_LEAST ? "above " : "", least);
}

static sqz_status measure_and_choose(sqzi_squeezer *s, const uint32_t *blocks, uint32_t n,
                                     const sqzi_sequences *texts, sqzi_budget_outcome *outcome)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    sqzi_setting_errors_options asks = sqzi_squeeze_budget_asks(s->model, &s->options);
    sqzi_plan_trial trial = {0};
    asks.step = sqzi_squeezer_advance;
    asks.user = s;
    TRY(sqzi_setting_errors_make(s->model, &s->statistics, texts, blocks, n, &asks, &s->errors,
                                 error));
    sqzi_budget_task task = {.budget = s->options.budget,
                             .options = &s->options,
                             .errors = &s->errors,
                             .weights = &s->weights,
                             .bytes_of = bytes_of,
                             .user = s,
                             .unmet = s->then ? s->then->unmet : NULL};
    if (s->options.time > 0) TRY(sqzi_squeeze_time_make(&task, &s->plan, &s->time, error));
    const bool runs = s->options.rank == 0 && !s->options.ranks && s->options.groups < 2;
    if (runs)
        TRY(sqzi_plan_trial_open(s->model, &s->statistics, &s->errors, texts, blocks, n, &trial,
                                 error));
    TRY(sqzi_squeeze_choose(&task, runs ? &trial : NULL, sqzi_squeezer_advance, s, &s->plan,
                            outcome, error));
    if (s->options.time > 0) TRY(sqzi_squeeze_time_forecast(&s->plan, &s->time, error));
fail:
    sqzi_plan_trial_close(&trial);
    return status;
}

/* What the plan by hand leaves open; where blocks leave, others read other things. */
static sqz_status choose_rest(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    const uint32_t n = s->plan.n_blocks;
    const size_t bytes = s->plan.n_made * sizeof(uint32_t);
    sqzi_budget_outcome outcome = {0};
    sqzi_sequences texts = {0};
    uint32_t *blocks = sqzi_allocate(&s->context->allocator, bytes);
    FAIL_IF(!blocks, SQZ_ENOMEM, 0, "no memory for a list of blocks");
    for (uint32_t i = 0; i < n; i++) blocks[i] = s->plan.blocks[i].source;
    const size_t used = s->sequences.n < s->split.n_learn ? s->sequences.n : s->split.n_learn;
    TRY(sqzi_sequences_behind(s->model, s->split.learn, s->split.n_learn, used, SQZI_PLAN_TOKENS,
                              &texts, error));
    TRY(measure_and_choose(s, blocks, n, &texts, &outcome));
    s->result.change = outcome.change;
    s->result.next_bytes = outcome.next_bytes;
    if (s->plan.n_blocks < n) {
        sqzi_setting_errors_discard(&s->errors);
        sqzi_statistics_discard(&s->statistics);
        status = sqzi_squeezer_read(s);
    }
fail:
    sqzi_sequences_discard(&texts);
    sqzi_release(&s->context->allocator, blocks, bytes);
    return status;
}

static sqz_status take_weights(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    TRY(sqzi_weights_of(s->model, &s->weights, error));
    s->weights.new_logits = s->student || sqzi_squeeze_changes_numbers(&s->options);
    TRY(sqzi_squeeze_report_make(&s->weights, &s->report, error));
    TRY(squeeze_vocabulary(s));
fail:
    return status;
}

static sqz_status run_levers(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    if (s->plan.static_width)
        TRY(sqzi_squeeze_static(&s->weights, s->out ? s->path : NULL, s->out, &s->sequences,
                                s->plan.static_width, sqzi_squeezer_advance, s, error));
    if (sqzi_squeezer_chooses(s)) TRY(choose_rest(s));
    const sqzi_squeeze_run run = {.weights = &s->weights,
                                  .plan = &s->plan,
                                  .statistics = &s->statistics,
                                  .errors = s->errors.blocks ? &s->errors : NULL,
                                  .report = &s->report,
                                  .step = sqzi_squeezer_advance,
                                  .user = s};
    TRY(sqzi_squeeze_run_levers(&run, error));
    if (s->student) TRY(sqzi_student_fill(s->student, &s->weights, error));
    sqzi_squeeze_report_finish(&s->weights, &s->report);
fail:
    return status;
}

/* ---- the file ---- */

static void take_fidelity(sqzi_squeezer *s)
{
    const sqzi_fidelity *f = &s->fidelity.fidelity;
    s->result.n_held_out = f->n_texts;
    s->result.cosine = f->cosine;
    s->result.neighbours = f->neighbours;
    s->result.classes = f->classes;
}

static sqz_status write_file(sqzi_squeezer *s)
{
    char history[SQZI_HISTORY_TEXT];
    const bool measures = s->split.n_held_out && !s->options.no_fidelity && !s->then;
    const sqzi_step step = step_of(s, history);
    const sqz_status status = sqzi_weights_write(&s->weights, &step, s->out, &s->result.bytes_after,
                                                 s->error);
    s->result.bytes_before = s->model->map.bytes;
    s->result.scores_dropped = s->weights.new_logits && !s->weights.reshaped &&
                               sqzi_model_has_scores(s->model);
    if (status == SQZ_OK && measures && s->out) take_fidelity(s);
    if (status == SQZ_OK) sqzi_squeeze_time_tell(&s->time, &s->result);
    return status;
}

/* ---- the whole ---- */

static void discard(sqzi_squeezer *s)
{
    sqzi_fidelity_run_discard(&s->fidelity);
    sqzi_squeeze_report_discard(&s->report);
    sqzi_setting_errors_discard(&s->errors);
    sqzi_squeeze_time_discard(&s->time);
    sqzi_weights_discard(&s->weights);
    sqzi_statistics_discard(&s->statistics);
    sqzi_sequences_discard(&s->sequences);
    sqzi_sentences_discard(&s->sentences);
    sqzi_text_split_discard(&s->split);
    sqzi_squeeze_plan_discard(&s->plan);
    sqz_model_close(s->model);
}

static sqz_status squeeze(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    TRY(sqzi_checksum_check(&s->model->map, s->model->gguf, &(bool){false}, error));
    TRY(sqzi_squeeze_check_source(s->model, error));
    TRY(sqzi_squeeze_time_check(s->model, &s->options, error));
    TRY(sqzi_squeeze_plan_make(s->model, &s->plan, error));
    TRY(sqzi_squeeze_plan_by_hand(s->model, &s->options, &s->plan, error));
    if (s->student) TRY(sqzi_student_plan(s->student, s->model, &s->plan, error));
    s->total = 2 * (size_t)s->plan.n_blocks + 3;
    if (s->plan.static_width) s->total = SQZI_STATIC_SLICES + SQZI_STATIC_EPOCHS + 1;
    if (sqzi_squeezer_chooses(s)) s->total += 2 * (size_t)s->plan.n_blocks + SQZI_PLANS_TRIED;
    if (s->ends_with != SQZI_ENDS_LEAST) TRY(sqzi_squeezer_split(s));
    TRY(sqzi_squeezer_collect(s));
    TRY(take_weights(s));
    if (s->options.budget) TRY(check_budget(s));
    if (s->ends_with) return SQZ_OK;
    TRY(sqzi_squeezer_read(s));
    TRY(run_levers(s));
fail:
    return status;
}

static sqz_status run(sqzi_squeezer *s)
{
    const sqz_squeeze_options *options = &s->options;
    s->result.classes = NAN;
    sqz_status status = sqz_model_open(s->context, s->path, &s->model, s->error);
    if (status == SQZ_OK) {
        status = squeeze(s);
        if (status != SQZ_OK) sqzi_error_prefix(s->error, s->path);
    }
    const bool goes_on = !s->ends_with;
    if (status == SQZ_OK && goes_on && options->part)
        sqzi_squeeze_report_tell(&s->report, options->part, options->user);
    if (status == SQZ_OK && goes_on) status = write_file(s);
    if (status == SQZ_OK && goes_on && options->result) options->result(options->user, &s->result);
    if (status == SQZ_OK && s->student) sqzi_student_tell(s->student, &s->plan, &s->weights);
    discard(s);
    return status;
}

sqz_status sqz_squeeze(sqz_context *context, const char *path, const char *out,
                       const sqz_squeeze_options *options, sqz_error *error)
{
    return sqzi_squeeze_for(context, path, out, options, NULL, error);
}

sqz_status sqzi_squeeze_for(sqz_context *context, const char *path, const char *out,
                            const sqz_squeeze_options *options, const sqzi_squeeze_then *then,
                            sqz_error *error)
{
    if (!context || !path || !options)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_squeeze: context, path or options is NULL");
    const sqz_status status = SQZI_RESERVED(options, "sqz_squeeze_options", error);
    if (status != SQZ_OK) return status;
    if (!sqzi_squeeze_has_lever(options))
        return sqzi_fail(
            error, SQZ_EINVAL, 0,
            "%s: no lever is set: say a budget, a time, bits, an embedding, neurons, heads, "
            "layers, rank, groups or a vocabulary",
            path);
    return run(&(sqzi_squeezer){.context = context,
                                .path = path,
                                .out = out,
                                .then = then,
                                .options = *options,
                                .error = error});
}

sqz_status sqzi_squeeze_check_budget(sqz_context *context, const char *path,
                                     const sqz_squeeze_options *options,
                                     const sqzi_squeeze_then *then, sqz_error *error)
{
    if (!options->budget) return SQZ_OK;
    return run(&(sqzi_squeezer){.context = context,
                                .path = path,
                                .then = then,
                                .options = *options,
                                .ends_with = then ? SQZI_ENDS_BUDGET : SQZI_ENDS_LEAST,
                                .error = error});
}

sqz_status sqzi_squeeze_student(sqz_context *context, const char *path, const char *out,
                                sqzi_student *student, sqz_error *error)
{
    return run(&(sqzi_squeezer){.context = context,
                                .path = path,
                                .out = out,
                                .student = student,
                                .options = sqzi_student_levers(student),
                                .error = error});
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Scores: of rows a figure, of texts how near a model is to the base. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compress/compressor.h"
#include "model/context.h"

static const double normal = 1.959963984540054; /* 97.5 % of a normal distribution lie below */

/* ---- what counts ---- */

static const char *usual_figure(sqz_label_kind kind)
{
    static const char *const usual[] = {[SQZ_LABELS_ONE] = "accuracy",
                                        [SQZ_LABELS_MANY] = "micro_f1",
                                        [SQZ_LABELS_VALUE] = "spearman",
                                        [SQZ_LABELS_WORDS] = "f1",
                                        [SQZ_LABELS_NONE] = "mrr"};
    return usual[kind];
}

static sqz_status find_figure(sqzi_compressor *c, sqz_error *error)
{
    const sqz_label_kind kind = sqz_dataset_kind(c->options.dataset);
    const char *wanted = c->options.figure ? c->options.figure : usual_figure(kind), *name;
    char names[80] = "";
    for (c->figure = 0; (name = sqz_figure_name(kind, c->figure)); c->figure++) {
        if (sqz_figure_less_is_better(kind, c->figure)) continue;
        if (strcmp(name, wanted) == 0) {
            c->result->name = name;
            return SQZ_OK;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
    }
    return sqzi_fail(error, SQZ_EINVAL, 0,
                     "the figure '%.60s' is none of %s, by which these rows are judged: more of "
                     "each is better",
                     wanted, names);
}

sqz_status sqzi_compress_settle_score(sqzi_compressor *c, sqz_error *error)
{
    const sqz_model_info *info = &c->base->info;
    if (c->options.dataset) return find_figure(c, error);
    if (c->options.figure)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "a figure (%.60s) is of labelled rows, there are texts alone",
                         c->options.figure);
    c->by_classes = info->head == SQZ_HEAD_SEQUENCE && info->n_labels > 1 &&
                    info->problem != SQZ_REGRESSION;
    c->result->name = c->by_classes ? "classes" : info->dimensions > 2 ? "cosine" : "neighbours";
    return SQZ_OK;
}

/* ---- a model on a part ---- */

static int watch(void *user, size_t done, size_t total)
{
    const sqz_compress_options *o = user;
    return o->progress ? o->progress(o->user, "texts judged", done, total) : 0;
}

static sqz_status predict(const sqzi_compressor *c, const sqz_model *model, sqzi_compress_part part,
                          sqz_predictions **answers, sqz_error *error)
{
    sqz_predict_options o = {.progress = watch, .user = (void *)(uintptr_t)&c->options};
    if (sqz_dataset_kind(c->data.rows[part]) == SQZ_LABELS_NONE) { /* a search */
        o.prompt = sqz_model_role_prompt(model, SQZ_ROLE_QUERY);
        o.second_prompt = sqz_model_role_prompt(model, SQZ_ROLE_PASSAGE);
    }
    return sqz_predict(model, c->data.rows[part], &o, answers, error);
}

static void set_score(sqz_compress_score *score, const sqz_figure *figure)
{
    score->score = figure->metric.reason ? (double)NAN : figure->metric.value;
    score->low = figure->has_interval ? figure->low : (double)NAN;
    score->high = figure->has_interval ? figure->high : (double)NAN;
}

static sqz_status measure(const sqzi_compressor *c, sqz_predictions *answers,
                          sqz_compress_score *score, sqz_error *error)
{
    sqz_measures measures;
    const sqz_measure_options o = {.seed = c->options.seed};
    const sqz_status status = sqz_measure(answers, &o, &measures, error);
    if (status != SQZ_OK) return status;
    score->n_figures = measures.n_figures;
    memcpy(score->figures, measures.figures, sizeof score->figures);
    set_score(score, &measures.figures[c->figure]);
    return SQZ_OK;
}

static sqz_status judge_rows(const sqzi_compressor *c, const sqz_model *model,
                             sqzi_compress_part part, sqz_compress_score *score,
                             sqz_comparison *comparison, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_predictions *answers = NULL;
    const sqz_measure_options o = {.seed = c->options.seed};
    TRY(predict(c, model, part, &answers, error));
    TRY(measure(c, answers, score, error));
    if (comparison)
        TRY(sqz_compare_predictions(c->of_base[part].answers, answers, &o, comparison, error));
fail:
    sqz_predictions_close(answers);
    return status;
}

static void set_likeness(const sqzi_compressor *c, const sqz_likeness *l, sqz_compress_score *score)
{
    double error = l->cosine_error;
    score->likeness = *l;
    score->score = l->cosine;
    if (c->by_classes) {
        score->score = l->classes;
        error = sqrt(l->classes * (1 - l->classes) / l->n);
    } else if (isnan(l->cosine)) {
        score->score = l->neighbours;
        error = l->neighbours_error;
    }
    score->low = score->score - normal * error;
    score->high = score->score + normal * error;
}

static sqz_status judge_texts(const sqzi_compressor *c, const sqz_model *model,
                              sqzi_compress_part part, sqz_compress_score *score, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_vectors vectors = {0};
    sqzi_fidelity f;
    TRY(sqzi_text_vectors_make(model, c->data.texts[part], c->data.n[part], &vectors, error));
    TRY(sqzi_fidelity_of(&c->of_base[part].vectors, &vectors, &f, error));
    const sqz_likeness likeness = {f.n_texts, f.cosine,       f.neighbours,
                                   f.classes, f.cosine_error, f.neighbours_error};
    set_likeness(c, &likeness, score);
fail:
    sqzi_text_vectors_discard(&vectors);
    return status;
}

sqz_status sqzi_compress_judge(const sqzi_compressor *c, const sqz_model *model,
                               sqzi_compress_part part, sqz_compress_score *score,
                               sqz_comparison *comparison, sqz_error *error)
{
    *score = (sqz_compress_score){.bytes = model->info.file_bytes};
    if (c->data.rows[part]) return judge_rows(c, model, part, score, comparison, error);
    return judge_texts(c, model, part, score, error);
}

double sqzi_compress_error(const sqzi_compressor *c, const sqz_compress_score *score,
                           const sqz_comparison *comparison)
{
    const sqz_figure *difference = comparison ? &comparison->figures[c->figure] : NULL;
    if (c->options.dataset)
        return difference && difference->has_interval
                   ? (difference->high - difference->low) / (2 * normal)
                   : 0;
    return (score->high - score->low) / (2 * normal);
}

/* ---- the base ---- */

static sqz_status read_base(sqzi_compressor *c, sqzi_compress_part part, sqz_error *error)
{
    sqzi_compress_base *b = &c->of_base[part];
    if (c->data.rows[part]) return predict(c, c->base, part, &b->answers, error);
    return sqzi_text_vectors_make(c->base, c->data.texts[part], c->data.n[part], &b->vectors,
                                  error);
}

/* What the base has no figure of on a part, nothing can be held to there. */
static sqz_status measure_base(const sqzi_compressor *c, sqzi_compress_part part,
                               sqz_compress_score *score, sqz_error *error)
{
    const sqz_status status = measure(c, c->of_base[part].answers, score, error);
    if (status != SQZ_OK || !isnan(score->score)) return status;
    return sqzi_fail(error, SQZ_EINVAL, 0,
                     "%s has no %s on the %zu rows of %s to %s on, since %s: give more rows, hold "
                     "out more of them (holdout), or take another figure",
                     c->path, c->result->name, c->data.n[part],
                     sqz_dataset_name(c->data.rows[part]),
                     part == SQZI_COMPRESS_CHOOSE ? "choose" : "report",
                     score->figures[c->figure].metric.reason);
}

sqz_status sqzi_compress_open_scores(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_compress_score *score = &c->result->base;
    *score = (sqz_compress_score){
        .bytes = c->base->info.file_bytes, .score = 1, .low = NAN, .high = NAN};
    if (!c->out) goto fail;
    for (int p = 0; p < SQZI_COMPRESS_PARTS; p++) TRY(read_base(c, (sqzi_compress_part)p, error));
    c->base_to_choose = 1;
    if (c->options.dataset) {
        TRY(measure_base(c, SQZI_COMPRESS_CHOOSE, score, error));
        c->base_to_choose = score->score;
        TRY(measure_base(c, SQZI_COMPRESS_REPORT, score, error));
    } else {
        const uint32_t n = (uint32_t)c->data.n[SQZI_COMPRESS_REPORT];
        score->likeness = (sqz_likeness){n, 1, 1, c->by_classes ? 1 : (double)NAN, 0, 0};
    }
fail:
    return status;
}

void sqzi_compress_close_scores(sqzi_compressor *c)
{
    for (int p = 0; p < SQZI_COMPRESS_PARTS; p++) {
        sqz_predictions_close(c->of_base[p].answers);
        sqzi_text_vectors_discard(&c->of_base[p].vectors);
    }
}

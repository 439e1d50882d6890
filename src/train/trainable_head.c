/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a model that is trained: the base's where it fits, its outputs in the order of the
 * classes that are wanted, else a new one. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/words.h"
#include "train/trainable.h"

static const sqz_allocator *allocator_of(const sqzi_trainable *t)
{
    return &t->model->context->allocator;
}

/* Which of the base's outputs has the k-th label that is wanted, several of one name in their
 * order; n_labels: none. Of labels that nobody named any will do; a permutation of the file's own
 * keeps outputs where they are. */
static uint32_t place_of(const sqz_model *model, const sqzi_wanted_head *wanted, uint32_t k)
{
    uint32_t before = 0, at = 0;
    if (!model->labels || !model->info.labels_named || wanted->unnamed) return k;
    if (model->head.output.out)
        return strcmp(model->labels[k], wanted->labels[k]) == 0 ? k : model->info.n_labels;
    for (uint32_t j = 0; j < k; j++) before += strcmp(wanted->labels[j], wanted->labels[k]) == 0;
    for (; at < model->info.n_labels; at++)
        if (strcmp(model->labels[at], wanted->labels[k]) == 0 && before-- == 0) break;
    return at;
}

/* The first label that the base has not; n_labels: it has them all, in any order. */
static uint32_t other_label(const sqz_model *model, const sqzi_wanted_head *wanted)
{
    uint32_t k = 0;
    while (k < wanted->n_labels && place_of(model, wanted, k) < model->info.n_labels) k++;
    return k;
}

static bool same_labels(const sqz_model *model, const sqzi_wanted_head *wanted)
{
    return model->info.n_labels == wanted->n_labels &&
           other_label(model, wanted) == wanted->n_labels;
}

static bool head_fits(const sqz_model *model, const sqzi_wanted_head *wanted)
{
    const sqz_model_info *info = &model->info;
    return info->head == wanted->kind && info->problem == wanted->problem &&
           model->head.pooling == wanted->pooling && same_labels(model, wanted);
}

/* Why a head that answers with classes does not go on. */
static void say_lost(sqzi_trainable *t, const sqzi_wanted_head *wanted)
{
    const sqz_model_info *info = &t->model->info;
    const size_t room = sizeof t->lost;
    if (info->head != SQZ_HEAD_SEQUENCE && info->head != SQZ_HEAD_TOKEN) return;
    if (info->head != wanted->kind || info->problem != wanted->problem)
        snprintf(t->lost, room, "it is %s, %s, what is learned %s, %s", sqzi_head_words[info->head],
                 sqzi_problem_words[info->problem], sqzi_head_words[wanted->kind],
                 sqzi_problem_words[wanted->problem]);
    else if (info->n_labels != wanted->n_labels)
        snprintf(t->lost, room, "it has %u outputs, %u are learned", info->n_labels,
                 wanted->n_labels);
    else if (!same_labels(t->model, wanted))
        snprintf(t->lost, room, "it has no output '%.60s'",
                 wanted->labels[other_label(t->model, wanted)]);
    else
        snprintf(t->lost, room, "it reads %s, not %s", sqzi_pooling_names[t->model->head.pooling],
                 sqzi_pooling_names[wanted->pooling]);
}

static sqz_status check_head(const sqz_model *model, const sqzi_wanted_head *wanted,
                             const char *path, sqz_error *error)
{
    const sqz_model_info *info = &model->info;
    if (wanted->pooling == SQZ_POOLING_POOLER && !model->head.has_pooler)
        return sqzi_fail(error, SQZ_EINVAL, 0, "%s: the model has no pooler; pool by mean or cls",
                         path);
    if (wanted->keep && !head_fits(model, wanted))
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "%s: its head (%s, %s, reads %s, %u outputs) cannot be kept: the data ask "
                         "for %s, %s, %s, %u outputs%s",
                         path, sqzi_head_words[info->head], sqzi_problem_words[info->problem],
                         sqzi_pooling_names[model->head.pooling], info->n_labels,
                         sqzi_head_words[wanted->kind], sqzi_problem_words[wanted->problem],
                         sqzi_pooling_names[wanted->pooling], wanted->n_labels,
                         info->n_labels == wanted->n_labels ? " or have other labels" : "");
    return SQZ_OK;
}

/* Where nothing is said: what the base's head reads if it can go on, else the pooler, else the
 * mean. */
static sqz_pooling settle_pooling(const sqz_model *model, const sqzi_wanted_head *wanted)
{
    const sqz_model_info *info = &model->info;
    if (wanted->kind == SQZ_HEAD_TOKEN) return SQZ_POOLING_NONE;
    if (wanted->pooling != SQZ_POOLING_DEFAULT) return wanted->pooling;
    if (wanted->kind == SQZ_HEAD_NONE) return info->pooling;
    if (info->head == wanted->kind && info->problem == wanted->problem &&
        same_labels(model, wanted))
        return model->head.pooling;
    return model->head.has_pooler ? SQZ_POOLING_POOLER : SQZ_POOLING_MEAN;
}

static const sqzi_real no_bias_yet; /* there is one: its place comes with the masters */

/* Pooling and output; what is behind the pooling of embeddings stays. */
static void make_head(sqz_model *model, const sqzi_wanted_head *wanted)
{
    sqzi_head *head = &model->head;
    head->kind = wanted->kind;
    head->pooling = wanted->pooling;
    head->has_dense = head->has_norm = head->tied = head->factorised = false;
    head->activation = SQZK_IDENTITY;
    head->classes = wanted->n_labels;
    head->output = (sqzi_linear){.n_in = head->width,
                                 .n_out = wanted->n_labels,
                                 .n_terms = 1,
                                 .bias = &no_bias_yet,
                                 .kernels = &model->context->kernels};
    head->output.terms[0].b = (sqzi_matrix){.n_in = head->width,
                                            .n_out = wanted->n_labels,
                                            .groups = 1}; /* packed later */
    model->info.head = wanted->kind;
    model->info.n_labels = wanted->n_labels;
}

/* Embeddings are trained, by this pooling: the base's head would fit them no more. */
static void drop_head(sqz_model *model, sqz_pooling pooling)
{
    sqzi_head *head = &model->head;
    head->kind = SQZ_HEAD_NONE;
    head->pooling = SQZ_POOLING_DEFAULT;
    head->has_dense = head->has_norm = head->tied = head->factorised = false;
    head->classes = 0;
    head->output = (sqzi_linear){0};
    model->labels = NULL;
    model->info.head = SQZ_HEAD_NONE;
    model->info.problem = SQZ_SINGLE_LABEL;
    model->info.n_labels = 0;
    model->info.labels_named = 0;
    model->info.pooling = pooling;
}

static sqz_status take_labels(sqzi_trainable *t, const sqzi_wanted_head *wanted, sqz_error *error)
{
    t->labels = sqzi_allocate(allocator_of(t), wanted->n_labels * sizeof *t->labels);
    if (!t->labels) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for labels");
    for (uint32_t k = 0; k < t->n_labels; k++) t->labels[k] = wanted->labels[k];
    t->model->labels = t->labels;
    t->model->info.labels_named = !wanted->unnamed;
    t->model->info.problem = wanted->problem;
    return SQZ_OK;
}

/* Which outputs of the base become the k-th and so on, where they are not these themselves. */
static sqz_status take_order(sqzi_trainable *t, const sqzi_wanted_head *wanted, sqz_error *error)
{
    uint32_t moved = 0;
    while (moved < wanted->n_labels && place_of(t->model, wanted, moved) == moved) moved++;
    if (moved == wanted->n_labels) return SQZ_OK;
    t->order = sqzi_allocate(allocator_of(t), wanted->n_labels * sizeof *t->order);
    if (!t->order) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an order of classes");
    for (uint32_t k = 0; k < wanted->n_labels; k++) t->order[k] = place_of(t->model, wanted, k);
    return SQZ_OK;
}

sqz_status sqzi_trainable_settle_head(sqzi_trainable *t, sqzi_wanted_head *head, const char *path,
                                      sqz_error *error)
{
    sqz_status status = SQZ_OK;
    head->pooling = settle_pooling(t->model, head);
    TRY(check_head(t->model, head, path, error));
    t->n_labels = head->n_labels;
    t->new_head = head->kind == SQZ_HEAD_NONE || !head_fits(t->model, head);
    if (head->kind == SQZ_HEAD_NONE) {
        drop_head(t->model, head->pooling);
        return SQZ_OK;
    }
    if (t->new_head) {
        say_lost(t, head);
        make_head(t->model, head);
    } else {
        TRY(take_order(t, head, error));
        if (head->unnamed && t->model->info.labels_named) { /* they live as long as the model */
            head->unnamed = false;
            head->labels = t->model->labels;
        }
    }
    TRY(take_labels(t, head, error));
fail:
    return status;
}

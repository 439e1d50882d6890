/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults, ranges, and the text of a recipe. */
#include "train/recipe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "train/loss.h"

static const char *const losses[] = {"head", "cosine", "cosent", "ranking"};
static const char *const schedules[] = {"linear", "cosine", "constant"};
static const char *const precisions[] = {"f32", "bf16"};
static const struct {
    const char *name;
    uint32_t bits;
} roundings[] = {
    {"none", 0}, {"s8", 8}, {"s4", 4}, {"s3", 3}, {"stored", SQZI_BITS_AS_STORED}};
enum { MOST_EPOCHS = 1 << 20, MOST_PARTS = 1 << 16 };

/* 0: `usual`; below 0, where that is a choice: 0. */
static double settled_real(double given, double usual, bool may_be_off)
{
    return given == 0 ? usual : given < 0 && may_be_off ? 0 : given;
}

static void fill_in(const sqz_train_recipe *r, sqz_train_recipe *s)
{
    *s = *r;
    s->head = r->head == SQZ_HEAD_NONE && !r->loss ? SQZ_HEAD_SEQUENCE : r->head;
    s->scale = r->loss > SQZ_LOSS_COSINE ? settled_real(r->scale, 20, false) : r->scale;
    s->epochs = r->epochs ? r->epochs : 5;
    s->accumulate = r->accumulate ? r->accumulate : 1;
    s->lr = settled_real(r->lr, 5e-5, false);
    s->head_lr = settled_real(r->head_lr, s->lr, false);
    s->warmup = settled_real(r->warmup, 0.1, true);
    s->weight_decay = settled_real(r->weight_decay, 0.01, true);
    s->beta1 = settled_real(r->beta1, 0.9, false);
    s->beta2 = settled_real(r->beta2, 0.999, false);
    s->epsilon = settled_real(r->epsilon, 1e-6, false);
    s->clip = settled_real(r->clip, 1, true);
    s->dropout = settled_real(r->dropout, 0.1, true);
}

static sqz_status check_numbers(const sqz_train_recipe *s, sqz_error *error)
{
    const struct {
        const char *name;
        double value, least, most; /* most itself is too much */
    } all[] = {{"lr", s->lr, 0, 1e3},         {"head_lr", s->head_lr, 0, 1e3},
               {"warmup", s->warmup, 0, 1},   {"weight_decay", s->weight_decay, 0, 1e3},
               {"beta1", s->beta1, 0, 1},     {"beta2", s->beta2, 0, 1},
               {"epsilon", s->epsilon, 0, 1}, {"clip", s->clip, 0, INFINITY},
               {"dropout", s->dropout, 0, 1}, {"label_smoothing", s->label_smoothing, 0, 1},
               {"scale", s->scale, 0, 1e6}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(all[i].value >= all[i].least && all[i].value < all[i].most))
            return sqzi_fail(error, SQZ_EINVAL, 0, "%s is %s, %s to below %s is possible",
                             all[i].name, SQZI_REAL(6, all[i].value), SQZI_REAL(6, all[i].least),
                             SQZI_REAL(6, all[i].most));
    if (s->epochs > MOST_EPOCHS || s->accumulate > MOST_PARTS)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "%u epochs of batches in %u parts: at most %d and %d are possible",
                         s->epochs, s->accumulate, MOST_EPOCHS, MOST_PARTS);
    return SQZ_OK;
}

static sqz_status check_kinds(const sqz_train_recipe *s, const sqz_train_data *data,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool tokens = s->head == SQZ_HEAD_TOKEN, single = s->problem == SQZ_SINGLE_LABEL;
    FAIL_IF(s->head != SQZ_HEAD_SEQUENCE && !tokens, SQZ_EUNSUPPORTED, 0,
            "head %d cannot be trained, those of sequences and of tokens can", (int)s->head);
    FAIL_IF((unsigned)s->problem > SQZ_REGRESSION || (tokens && !single), SQZ_EINVAL, 0,
            "problem %d%s", (int)s->problem,
            tokens ? " of a token head, which has single labels"
                   : " is none of SQZ_SINGLE_LABEL..");
    FAIL_IF(s->pooling != SQZ_POOLING_DEFAULT &&
                (tokens || (s->pooling != SQZ_POOLING_MEAN && s->pooling != SQZ_POOLING_CLS &&
                            s->pooling != SQZ_POOLING_POOLER)),
            SQZ_EINVAL, 0, "pooling is %d: %s", (int)s->pooling,
            tokens ? "a token head has none" : "mean, cls and pooler can be trained");
    FAIL_IF(s->label_smoothing > 0 && !single, SQZ_EINVAL, 0,
            "label smoothing is of single labels alone");
    FAIL_IF(s->class_weights && s->problem == SQZ_REGRESSION, SQZ_EINVAL, 0,
            "a regression has no classes to weigh");
    for (uint32_t k = 0; s->class_weights && k < data->n_labels; k++)
        FAIL_IF(!(s->class_weights[k] > 0) || !isfinite(s->class_weights[k]), SQZ_EINVAL, k,
                "the weight of class %u (%s) is not above 0", k, data->labels[k]);
    FAIL_IF(single && data->n_labels < 2 && !(s->distil && !data->n_labels), SQZ_EINVAL, 0,
            "%u class: there is nothing to tell apart", data->n_labels);
fail:
    return status;
}

uint32_t sqzi_recipe_bits(sqz_fake_quantise rounding)
{
    return roundings[rounding].bits;
}

const char *sqzi_recipe_loss(sqz_train_loss loss)
{
    return losses[loss];
}

/* Of embeddings: nothing that is a head's. */
static sqz_status check_embeddings(const sqz_train_recipe *s, const sqz_train_data *data,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_loss_kind *kind = sqzi_loss_find(losses[s->loss]);
    const uint32_t texts = data->texts ? data->texts : 1;
    FAIL_IF(s->head || s->problem || s->keep_head || s->label_smoothing > 0 || s->class_weights,
            SQZ_EINVAL, 0,
            "the loss %s is of embeddings: head, problem, keep_head, label_smoothing and "
            "class_weights are a head's",
            kind->name);
    FAIL_IF(texts < kind->least_texts || texts > kind->most_texts, SQZ_EINVAL, 0,
            "an example has %u text%s, the loss %s takes %u to %u", texts, texts == 1 ? "" : "s",
            kind->name, kind->least_texts, kind->most_texts);
    FAIL_IF(s->symmetric && s->loss != SQZ_LOSS_RANKING, SQZ_EINVAL, 0,
            "symmetric is for the loss ranking, not %s", kind->name);
    FAIL_IF(s->scale > 0 && s->loss == SQZ_LOSS_COSINE, SQZ_EINVAL, 0,
            "scale is for the losses cosent and ranking, not %s", kind->name);
    FAIL_IF((unsigned)s->pooling > SQZ_POOLING_LAST || s->pooling == SQZ_POOLING_NONE, SQZ_EINVAL,
            0, "pooling is %d, none that makes one vector of a text", (int)s->pooling);
fail:
    return status;
}

static sqz_status check_loss(const sqz_train_recipe *s, const sqz_train_data *data,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF((unsigned)s->loss > SQZ_LOSS_RANKING, SQZ_EINVAL, 0, "no loss has number %d",
            (int)s->loss);
    FAIL_IF((unsigned)s->schedule > SQZ_SCHEDULE_CONSTANT, SQZ_EINVAL, 0,
            "no schedule has number %d", (int)s->schedule);
    FAIL_IF((unsigned)s->precision > SQZ_PRECISION_BF16, SQZ_EINVAL, 0,
            "no precision has number %d: f32 and bf16 are possible", (int)s->precision);
    FAIL_IF((unsigned)s->fake_quantise > SQZ_FAKE_QUANTISE_STORED, SQZ_EINVAL, 0,
            "no fake_quantise has number %d: s8, s4, s3 and stored are possible",
            (int)s->fake_quantise);
    if (s->loss) return check_embeddings(s, data, error);
    FAIL_IF(data->texts > 1, SQZ_EINVAL, 0,
            "an example has %u texts, a head reads one (a pair is read together)", data->texts);
    FAIL_IF(s->scale > 0 || s->symmetric, SQZ_EINVAL, 0,
            "scale and symmetric are for losses of embeddings");
    return check_kinds(s, data, error);
fail:
    return status;
}

/* What of a distillation does not go with the rest. */
static sqz_status check_distil(const sqz_train_recipe *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!s->distil) return SQZ_OK;
    const double *weights = s->distil->weights;
    FAIL_IF(!(weights[SQZ_DISTIL_LABELS] > 0) && (s->label_smoothing > 0 || s->class_weights),
            SQZ_EINVAL, 0,
            "label smoothing and class weights are of labels, which are not learned: give the "
            "loss 'labels' a weight");
    FAIL_IF(weights[SQZ_DISTIL_SIMILARITIES] > 0 && s->accumulate > 1, SQZ_EINVAL, 0,
            "the loss 'similarities' is across a whole batch, which cannot be run in %u parts",
            s->accumulate);
fail:
    return status;
}

sqz_status sqzi_recipe_settle(const sqz_train_recipe *recipe, const sqz_train_data *data,
                              sqz_train_recipe *settled, sqz_error *error)
{
    fill_in(recipe, settled);
    sqz_status status = check_loss(settled, data, error);
    if (status == SQZ_OK) status = check_numbers(settled, error);
    return status == SQZ_OK ? check_distil(settled, error) : status;
}

/* ---- text ---- */

typedef struct text {
    sqzi_buffer *buffer;
    sqz_status status;
    sqz_error *error;
} text;

static SQZI_PRINTF(2, 3) void add(text *t, const char *format, ...)
{
    char piece[160];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (t->status == SQZ_OK) t->status = sqzi_buffer_append(t->buffer, piece, (size_t)n, t->error);
}

static void add_real(text *t, const char *key, double value)
{
    add(t, ",\"%s\":%s", key, SQZI_REAL(17, value));
}

static void add_numbers(text *t, const sqz_train_recipe *s)
{
    const struct {
        const char *key;
        double value;
    } all[] = {{"lr", s->lr},           {"head_lr", s->head_lr},
               {"warmup", s->warmup},   {"weight_decay", s->weight_decay},
               {"beta1", s->beta1},     {"beta2", s->beta2},
               {"epsilon", s->epsilon}, {"clip", s->clip},
               {"dropout", s->dropout}, {"label_smoothing", s->label_smoothing}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) add_real(t, all[i].key, all[i].value);
}

/* As a JSON string. */
static void add_string(text *t, const char *string)
{
    add(t, "\"");
    for (; *string; string++) {
        const unsigned char c = (unsigned char)*string;
        add(t, c < 0x20 || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
    }
    add(t, "\"");
}

sqz_status sqzi_recipe_text(const sqz_train_recipe *s, const sqzi_distilling *distilling,
                            const sqz_train_data *data, const sqz_train_run *run,
                            sqzi_buffer *buffer, sqz_error *error)
{
    text t = {buffer, SQZ_OK, error};
    add(&t, "{\"version\":1,\"head\":\"%s\",\"problem\":\"%s\",\"pool\":\"%s\",\"keep_head\":%d",
        sqz_head_name(s->head), sqz_problem_name(s->problem), sqz_pooling_name(s->pooling),
        s->keep_head != 0);
    if (s->loss)
        add(&t, ",\"loss\":\"%s\",\"scale\":%s,\"symmetric\":%d,\"texts\":%u", losses[s->loss],
            SQZI_REAL(17, s->scale), s->symmetric != 0, data->texts);
    add(&t, ",\"classes\":%u,\"epochs\":%u,\"batches\":%u,\"schedule\":\"%s\"", data->n_labels,
        s->epochs, data->n_batches, schedules[s->schedule]);
    add_numbers(&t, s);
    for (uint32_t k = 0; s->class_weights && k < data->n_labels; k++)
        add(&t, "%s%s%s", k ? "," : ",\"class_weights\":[",
            SQZI_REAL(9, (double)s->class_weights[k]), k + 1 == data->n_labels ? "]" : "");
    add(&t, ",\"accumulate\":%u,\"freeze_embeddings\":%d,\"freeze_blocks\":%u", s->accumulate,
        s->freeze_embeddings != 0, s->freeze_blocks);
    add(&t, ",\"freeze_encoder\":%d,\"seed\":%llu,\"precision\":\"%s\"", s->freeze_encoder != 0,
        (unsigned long long)s->seed, precisions[s->precision]);
    if (s->fake_quantise) add(&t, ",\"fake_quantise\":\"%s\"", roundings[s->fake_quantise].name);
    if (run->evaluate)
        add(&t, ",\"evaluate_steps\":%llu,\"patience\":%u", (unsigned long long)run->evaluate_steps,
            run->patience);
    if (distilling && t.status == SQZ_OK)
        t.status = sqzi_distilling_text(distilling, buffer, error);
    if (run->evaluate && run->score) {
        add(&t, ",\"score\":");
        add_string(&t, run->score);
    }
    add(&t, "}");
    if (t.status == SQZ_OK) t.status = sqzi_buffer_append(buffer, "", 1, error);
    return t.status;
}

void sqzi_recipe_history(const sqz_train_recipe *s, const sqzi_distilling *distilling,
                         char line[SQZI_RECIPE_LINE])
{
    const struct {
        const char *option;
        double value, usual;
    } rest[] = {{"head-lr", s->head_lr, s->lr},
                {"warmup", s->warmup, 0.1},
                {"weight-decay", s->weight_decay, 0.01},
                {"clip", s->clip, 1},
                {"dropout", s->dropout, 0.1},
                {"label-smoothing", s->label_smoothing, 0},
                {"scale", s->scale, s->loss > SQZ_LOSS_COSINE ? 20 : 0}};
    char taught[SQZI_DISTILLING_LINE] = "";
    if (distilling) sqzi_distilling_history(distilling, taught);
    int n = snprintf(line, SQZI_RECIPE_LINE, "%s%s", distilling ? "distill" : "finetune", taught);
    if (s->loss)
        n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --loss %s", losses[s->loss]);
    if (s->symmetric) n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --symmetric");
    n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --epochs %u --lr %s --seed %llu",
                  s->epochs, SQZI_REAL(6, s->lr), (unsigned long long)s->seed);
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (fabs(rest[i].value - rest[i].usual) > 0)
            n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --%s %s", rest[i].option,
                          SQZI_REAL(6, rest[i].value));
    if (s->precision != SQZ_PRECISION_F32)
        n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --precision %s",
                      precisions[s->precision]);
    if (s->fake_quantise)
        n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --fake-quantise %s",
                      roundings[s->fake_quantise].name);
    if (s->schedule != SQZ_SCHEDULE_LINEAR)
        n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --schedule %s",
                      schedules[s->schedule]);
    if (s->max_steps)
        n += snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --max-steps %llu",
                      (unsigned long long)s->max_steps);
    if (s->freeze_encoder) snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --freeze encoder");
    else if (s->freeze_blocks)
        snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --freeze %u", s->freeze_blocks);
    else if (s->freeze_embeddings)
        snprintf(line + n, SQZI_RECIPE_LINE - (size_t)n, " --freeze embeddings");
}

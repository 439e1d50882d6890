/* SPDX-License-Identifier: Apache-2.0 */
/* A model's answers to a data set, in portions. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "eval/predictions.h"
#include "model/context.h"
#include "task/engine.h"

enum { PORTION = 512 };

typedef struct work {
    sqz_predictions *p;
    const sqz_model *model;
    const sqz_predict_options *options;
    sqz_task *task;
    sqz_encoding *encoding;
    uint32_t outside; /* WORDS: the class of a word without a piece */
    uint32_t *classes; /* [n_classes] of the data set, of each output; NULL: the same numbers */
    sqz_input inputs[PORTION];
    sqz_classification classified[PORTION];
    sqz_entities found[PORTION];
} work;

static void lay_out(sqz_predictions *p, sqzi_arena *arena)
{
    const sqz_label_kind kind = p->dataset->kind;
    const bool scored = kind == SQZ_LABELS_ONE || kind == SQZ_LABELS_MANY;
    size_t words = 0;
    for (uint32_t i = 0; kind == SQZ_LABELS_WORDS && i < p->n; i++)
        words += p->examples[i].n_labels;
    (void)sqzi_arena_take(arena, 1, sizeof *p);
    p->labels = sqzi_arena_take(arena, kind == SQZ_LABELS_ONE ? p->n : words, sizeof *p->labels);
    p->first = sqzi_arena_take(arena, (size_t)p->n + 1, sizeof *p->first);
    p->values = sqzi_arena_take(arena,
                                kind == SQZ_LABELS_VALUE || kind == SQZ_LABELS_NONE ? p->n : 0,
                                sizeof *p->values);
    p->losses = sqzi_arena_take(arena, kind == SQZ_LABELS_NONE ? p->n : 0, sizeof *p->losses);
    p->scores = sqzi_arena_take(arena, scored ? p->n : 0, p->n_classes * sizeof *p->scores);
    p->is_cut = sqzi_arena_take(arena, p->n, sizeof *p->is_cut);
    p->is_refused = sqzi_arena_take(arena, p->n, sizeof *p->is_refused);
}

static sqz_status make(const sqz_dataset *dataset, sqz_predictions **out, sqz_error *error)
{
    size_t n;
    sqz_predictions sizes = {.dataset = dataset,
                             .allocator = dataset->allocator,
                             .n_classes = dataset->classes.n};
    sizes.examples = sqzi_dataset_all(dataset, &n);
    sizes.n = (uint32_t)n;
    sqzi_buffer *const buffers[] = {&sizes.set_labels, &sizes.entities, &sizes.kinds,
                                    &sizes.confusion};
    for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++)
        *buffers[b] = (sqzi_buffer){.allocator = dataset->allocator, .limit = SIZE_MAX};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&sizes, &arena);
    sizes.bytes = arena.used;
    *out = sqzi_allocate(dataset->allocator, sizes.bytes);
    if (!*out)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the predictions of %zu examples", n);
    arena = sqzi_arena_over(*out, sizes.bytes);
    lay_out(&sizes, &arena);
    memset(sizes.first, 0, (n + 1) * sizeof *sizes.first);
    memset(sizes.is_refused, 0, n);
    **out = sizes;
    return SQZ_OK;
}

void sqz_predictions_close(sqz_predictions *p)
{
    if (!p) return;
    sqzi_buffer_free(&p->set_labels);
    sqzi_buffer_free(&p->entities);
    sqzi_buffer_free(&p->kinds);
    sqzi_buffer_free(&p->confusion);
    sqzi_release(p->allocator, p, p->bytes);
}

/* ---- does the model fit? ---- */

static sqz_status check_model(const sqz_dataset *d, const sqz_model *model, sqz_error *error)
{
    static const sqz_problem problems[] = {[SQZ_LABELS_ONE] = SQZ_SINGLE_LABEL,
                                           [SQZ_LABELS_MANY] = SQZ_MULTI_LABEL,
                                           [SQZ_LABELS_VALUE] = SQZ_REGRESSION};
    static const char *const what[] = {"one class an example", "several classes an example",
                                       "a number", "a class of each word"};
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(model);
    const bool words = d->kind == SQZ_LABELS_WORDS, value = d->kind == SQZ_LABELS_VALUE;
    FAIL_IF(info->head != (words ? SQZ_HEAD_TOKEN : SQZ_HEAD_SEQUENCE) ||
                (!words && info->problem != problems[d->kind]),
            SQZ_EINVAL, 0, "%s has %s as label; the model's head is %s%s%s", d->name, what[d->kind],
            sqz_head_name(info->head) ? sqz_head_name(info->head) : "none",
            info->head == SQZ_HEAD_SEQUENCE ? ", " : "",
            info->head == SQZ_HEAD_SEQUENCE ? sqz_problem_name(info->problem) : "");
    FAIL_IF(info->n_labels != (value ? 1 : d->classes.n), SQZ_EINVAL, 0,
            "%s has %u classes, the model %u", d->name, value ? 1 : d->classes.n, info->n_labels);
    FAIL_IF(d->kind == SQZ_LABELS_ONE && info->n_labels < 2, SQZ_EINVAL, 0,
            "a model of one output tells no classes apart");
fail:
    return status;
}

/* Outputs by the names of their classes, where the model has each of the data set's once. */
static sqz_status match_classes(work *w, sqz_error *error)
{
    const uint32_t n = w->p->n_classes;
    const sqz_model_info *info = sqz_model_get_info(w->model);
    uint32_t found = 0, *seen;
    if (!n || !info->labels_named || info->n_labels != n) return SQZ_OK;
    w->classes = sqzi_allocate_zeroed(w->p->allocator, n, 2 * sizeof *w->classes);
    if (!w->classes) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u classes", n);
    seen = w->classes + n;
    for (uint32_t k = 0; k < n; k++) {
        const char *name = sqz_model_label(w->model, k);
        const uint32_t number = sqzi_text_table_find(&w->p->dataset->classes,
                                                     (sqz_text){name, strlen(name)});
        found += number != UINT32_MAX && !seen[number]++;
        w->classes[k] = number;
    }
    for (uint32_t k = 0; k < n && found < n; k++) w->classes[k] = k;
    return SQZ_OK;
}

static uint32_t class_of(const work *w, uint32_t output)
{
    return w->classes ? w->classes[output] : output;
}

/* ---- answers ---- */

static sqz_status note(work *w, uint32_t i, const sqz_outcome *outcome, sqz_error *error)
{
    sqz_predictions *p = w->p;
    if (outcome->status != SQZ_OK)
        return sqzi_fail(error, outcome->status, p->examples[i].line, "%s: line %llu: %s",
                         p->dataset->name, (unsigned long long)p->examples[i].line, outcome->text);
    p->is_cut[i] = outcome->cut > 0;
    p->n_cut += outcome->cut > 0;
    return SQZ_OK;
}

static sqz_status put_class(work *w, uint32_t i, const sqz_classification *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_predictions *p = w->p;
    TRY(note(w, i, &c->outcome, error));
    if (p->dataset->kind == SQZ_LABELS_VALUE) {
        p->values[i] = (double)c->logits[0];
        return SQZ_OK;
    }
    float *scores = p->scores + (size_t)i * p->n_classes;
    for (uint32_t k = 0; k < p->n_classes; k++) scores[class_of(w, k)] = c->scores[k];
    if (p->dataset->kind == SQZ_LABELS_ONE) p->labels[i] = class_of(w, c->label);
    p->is_refused[i] = p->dataset->kind == SQZ_LABELS_ONE && c->refused;
    for (uint32_t k = 0; p->dataset->kind == SQZ_LABELS_MANY && k < p->n_classes; k++)
        if (scores[k] >= 0.5f) TRY(sqzi_buffer_append(&p->set_labels, &k, sizeof k, error));
    p->first[i + 1] = p->set_labels.used / sizeof(uint32_t);
fail:
    return status;
}

/* The class of each word: of the entity, which with SQZ_AGGREGATE_NONE is a piece, that begins
 * where the word's first piece does; pieces of class O have none. */
static sqz_status put_words(work *w, uint32_t i, const sqz_entities *found, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_predictions *p = w->p;
    const sqz_example *e = &p->examples[i];
    const sqz_tokenize_options whole = {
        .no_special_tokens = 1,
        .literal_special_tokens = w->options->task ? w->options->task->literal_special_tokens : 0};
    uint32_t piece = 0, next = 0, *labels = p->labels + p->first[i];
    TRY(note(w, i, &found->outcome, error));
    TRY(sqz_tokenize(sqz_model_tokenizer(w->model), e->input.text, NULL, &whole, w->encoding,
                     error));
    const sqz_piece *pieces = sqz_encoding_pieces(w->encoding);
    const uint32_t n = sqz_encoding_first(w->encoding, 1);
    for (uint32_t k = 0; k < e->n_labels; k++) {
        const uint32_t begin = k ? e->word_end[k - 1] : 0;
        labels[k] = w->outside;
        while (piece < n && pieces[piece].begin_byte < begin) piece++;
        if (piece == n || pieces[piece].begin_byte >= e->word_end[k]) continue;
        const uint32_t at = pieces[piece].begin_byte;
        while (next < found->n && found->entities[next].begin_byte < at) next++;
        if (next == found->n || found->entities[next].begin_byte != at) continue;
        const char *name = found->entities[next].label;
        const uint32_t number = sqzi_text_table_find(&p->dataset->classes,
                                                     (sqz_text){name, strlen(name)});
        FAIL_IF(number == UINT32_MAX, SQZ_EINVAL, 0,
                "the model's class '%.60s' is none of the data set's", name);
        labels[k] = number;
    }
    p->first[i + 1] = p->first[i] + e->n_labels;
fail:
    return status;
}

static sqz_status run_portion(work *w, uint32_t begin, uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < n; i++) w->inputs[i] = w->p->examples[begin + i].input;
    if (w->p->dataset->kind == SQZ_LABELS_WORDS) {
        TRY(sqz_find_entities(w->task, w->inputs, n, SQZ_AGGREGATE_NONE, w->found, error));
        for (uint32_t i = 0; i < n; i++) TRY(put_words(w, begin + i, &w->found[i], error));
        return SQZ_OK;
    }
    TRY(sqz_classify(w->task, w->inputs, n, 0, w->classified, error));
    for (uint32_t i = 0; i < n; i++) TRY(put_class(w, begin + i, &w->classified[i], error));
fail:
    return status;
}

static sqz_status run_all(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = w->p->n;
    const uint32_t outside = sqzi_text_table_find(&w->p->dataset->classes, (sqz_text){"O", 1});
    w->outside = outside == UINT32_MAX ? 0 : outside;
    for (uint32_t begin = 0; begin < n; begin += PORTION) {
        const uint32_t some = n - begin < PORTION ? n - begin : PORTION;
        TRY(run_portion(w, begin, some, error));
        FAIL_IF(w->options->progress &&
                    w->options->progress(w->options->user, begin + some, n) != 0,
                SQZ_ECANCELLED, 0, "stopped after %u of %u examples", begin + some, n);
    }
fail:
    return status;
}

sqz_status sqz_predict(const sqz_model *model, const sqz_dataset *dataset,
                       const sqz_predict_options *options, sqz_predictions **out, sqz_error *error)
{
    static const sqz_predict_options defaults = {0};
    sqz_status status = SQZ_OK;
    if (!model || !dataset || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_predict: an argument is NULL");
    *out = NULL;
    work *w = NULL;
    TRY(SQZI_RESERVED(options, "sqz_predict_options", error));
    const bool embeds = sqzi_predict_by_embeddings(dataset, model);
    if (!embeds) TRY(check_model(dataset, model, error));
    w = sqzi_allocate_zeroed(dataset->allocator, 1, sizeof *w);
    FAIL_IF(!w, SQZ_ENOMEM, 0, "no memory for a portion of predictions");
    w->model = model;
    w->options = options ? options : &defaults;
    TRY(make(dataset, &w->p, error));
    TRY(sqz_task_open(model, w->options->task, &w->task, error));
    TRY(sqz_encoding_open(dataset->context, &w->encoding, error));
    TRY(match_classes(w, error));
    if (embeds) memset(w->p->is_cut, 0, w->p->n);
    TRY(embeds ? sqzi_predict_embeddings(w->p, model, w->options, w->task, error)
               : run_all(w, error));
    if (dataset->kind == SQZ_LABELS_WORDS) TRY(sqzi_count_entities(w->p, error));
    *out = w->p;
fail:
    if (w) {
        sqzi_release(dataset->allocator, w->classes, 2 * dataset->classes.n * sizeof *w->classes);
        if (status != SQZ_OK) sqz_predictions_close(w->p);
        sqz_task_close(w->task);
        sqz_encoding_close(w->encoding);
        sqzi_release(dataset->allocator, w, sizeof *w);
    }
    return status;
}

sqz_status sqzi_predictions_of_logits(const sqz_dataset *dataset, const float *logits,
                                      const unsigned char *refused, sqz_predictions **out,
                                      sqz_error *error)
{
    sqz_predictions *p;
    const sqz_status status = make(dataset, &p, error);
    if (status != SQZ_OK) return status;
    for (uint32_t i = 0; i < p->n; i++) {
        const float *z = logits + (size_t)i * p->n_classes;
        float *scores = p->scores + (size_t)i * p->n_classes;
        sqzi_softmax(z, p->n_classes, scores);
        p->labels[i] = sqzi_argmax(z, p->n_classes);
        p->is_refused[i] = refused[i];
        p->is_cut[i] = sqz_dataset_pieces(dataset, i).cut > 0;
        p->n_cut += p->is_cut[i];
    }
    *out = p;
    return SQZ_OK;
}

/* ---- one answer ---- */

static bool is_right(const sqz_predictions *p, size_t i, const sqz_answer_of *a)
{
    const sqz_example *e = &p->examples[i];
    if (p->dataset->kind == SQZ_LABELS_NONE) return p->values[i] < 2;
    if (!p->dataset->labelled || p->dataset->kind == SQZ_LABELS_VALUE) return false;
    if (p->dataset->kind == SQZ_LABELS_ONE) return a->label == e->label;
    return a->n_labels == e->n_labels &&
           (!e->n_labels || memcmp(a->labels, e->labels, e->n_labels * sizeof *e->labels) == 0);
}

sqz_answer_of sqz_predictions_answer(const sqz_predictions *p, size_t i)
{
    sqz_answer_of a = {.cut = p->is_cut[i], .refused = p->is_refused[i]};
    const uint32_t *sets = (const void *)p->set_labels.data;
    switch (p->dataset->kind) {
    case SQZ_LABELS_ONE: a.label = p->labels[i]; break;
    case SQZ_LABELS_MANY: a.labels = sets ? sets + p->first[i] : NULL; break;
    case SQZ_LABELS_WORDS: a.labels = p->labels + p->first[i]; break;
    case SQZ_LABELS_VALUE:
    case SQZ_LABELS_NONE: a.value = p->values[i]; break;
    }
    if (a.labels) a.n_labels = (uint32_t)(p->first[i + 1] - p->first[i]);
    if (p->dataset->kind <= SQZ_LABELS_MANY) a.scores = p->scores + i * p->n_classes;
    a.right = is_right(p, i, &a);
    return a;
}

size_t sqz_predictions_cut(const sqz_predictions *predictions)
{
    return predictions->n_cut;
}

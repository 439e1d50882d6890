/* SPDX-License-Identifier: Apache-2.0 */
/* A model's embeddings on a data set: cosines of pairs, and where the text that belongs to one
 * comes among others. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "eval/predictions.h"

enum { PORTION = 256, BATCH = 32 };
static const double SCALE = 20;

typedef struct work {
    sqz_predictions *p;
    const sqz_predict_options *options;
    sqz_task *task;
    sqz_embed_text_options embed;
    uint32_t texts, dimensions, batch;
    double scale;
    /* of a batch [batch, texts]: what is read, what is made of it, and its vectors of length 1 */
    sqz_input *inputs;
    sqz_embedding *results;
    double *units;
    uint32_t *numbers; /* [n, texts] of texts (sqzi_dataset_number_texts) */
    double *logits;    /* [batch, texts - 1] */
} work;

/* What an outcome says of example i. */
static sqz_status note(sqz_predictions *p, uint32_t i, const sqz_outcome *outcome, sqz_error *error)
{
    if (outcome->status != SQZ_OK)
        return sqzi_fail(error, outcome->status, p->examples[i].line, "%s: line %llu: %s",
                         p->dataset->name, (unsigned long long)p->examples[i].line, outcome->text);
    if (outcome->cut && !p->is_cut[i]) p->n_cut++;
    if (outcome->cut) p->is_cut[i] = 1;
    return SQZ_OK;
}

static sqz_status tell(const work *w, uint32_t done, sqz_error *error)
{
    if (!w->options->progress || !w->options->progress(w->options->user, done, w->p->n))
        return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u examples", done, w->p->n);
}

/* ---- scored pairs ---- */

static sqz_status run_pairs(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_predictions *p = w->p;
    sqz_similarity found[PORTION];
    sqz_input inputs[PORTION];
    w->embed.similarity = SQZ_SIMILARITY_COSINE;
    p->cosines = true;
    for (uint32_t begin = 0; begin < p->n; begin += PORTION) {
        const uint32_t n = p->n - begin < PORTION ? p->n - begin : PORTION;
        for (uint32_t i = 0; i < n; i++) inputs[i] = p->examples[begin + i].input;
        TRY(sqz_compare(w->task, inputs, n, &w->embed, found, error));
        for (uint32_t i = 0; i < n; i++) {
            TRY(note(p, begin + i, &found[i].outcome, error));
            p->values[begin + i] = (double)found[i].score;
        }
        TRY(tell(w, begin + n, error));
    }
fail:
    return status;
}

/* ---- ranks ---- */

static void lay_out(work *w, sqzi_arena *arena)
{
    const size_t texts = (size_t)w->batch * w->texts;
    w->inputs = sqzi_arena_take(arena, texts, sizeof *w->inputs);
    w->results = sqzi_arena_take(arena, texts, sizeof *w->results);
    w->units = sqzi_arena_take(arena, texts * w->dimensions, sizeof *w->units);
    w->logits = sqzi_arena_take(arena, texts, sizeof *w->logits);
    w->numbers = sqzi_arena_take(arena, (size_t)w->p->n * w->texts, sizeof *w->numbers);
}

static void put_unit(const work *w, const float *vector, double *unit)
{
    double squares = 0;
    for (uint32_t k = 0; k < w->dimensions; k++) squares += (double)vector[k] * (double)vector[k];
    const double length = sqrt(squares);
    for (uint32_t k = 0; k < w->dimensions; k++)
        unit[k] = length > 0 ? (double)vector[k] / length : 0;
}

/* Texts [from, to) of examples [begin, begin + n), by one prompt. */
static sqz_status embed(work *w, uint32_t begin, uint32_t n, uint32_t from, uint32_t to,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t each = to - from;
    for (uint32_t i = 0; i < n * each; i++)
        w->inputs[i] = (sqz_input){
            .text = sqzi_dataset_text(&w->p->examples[begin + i / each], from + i % each)};
    sqz_embed_text_options one = w->embed;
    if (from) one.prompt = w->embed.second_prompt ? w->embed.second_prompt : w->embed.prompt;
    one.second_prompt = NULL;
    TRY(sqz_embed_texts(w->task, w->inputs, n * each, &one, w->results, error));
    for (uint32_t i = 0; i < n * each; i++) {
        const size_t place = (size_t)(i / each) * w->texts + from + i % each;
        TRY(note(w->p, begin + i / each, &w->results[i].outcome, error));
        put_unit(w, w->results[i].vectors, w->units + place * w->dimensions);
    }
fail:
    return status;
}

static double cosine(const work *w, size_t a, size_t b)
{
    double sum = 0;
    for (uint32_t k = 0; k < w->dimensions; k++)
        sum += w->units[a * w->dimensions + k] * w->units[b * w->dimensions + k];
    return sum;
}

/* Where text 1 of example i of the batch comes among the texts 1 and more of its n examples, and
 * its cross entropy there; a text that is the same is no rival. */
static void rank(work *w, uint32_t begin, uint32_t n, uint32_t i)
{
    const uint32_t *numbers = w->numbers + (size_t)begin * w->texts;
    const size_t own = (size_t)i * w->texts;
    const double right = w->scale * cosine(w, own, own + 1);
    double most = right, sum = 0;
    uint32_t rivals = 0, before = 0;
    for (size_t j = 0; j < (size_t)n * w->texts; j++) {
        if (j % w->texts == 0 || numbers[j] == numbers[own + 1]) continue;
        const double logit = w->scale * cosine(w, own, j);
        before += logit >= right;
        if (logit > most) most = logit;
        w->logits[rivals++] = logit;
    }
    sum = exp(right - most);
    for (uint32_t k = 0; k < rivals; k++) sum += exp(w->logits[k] - most);
    w->p->values[begin + i] = 1 + (double)before;
    w->p->losses[begin + i] = most + log(sum) - right;
}

static sqz_status run_batches(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n_all = w->p->n;
    uint32_t n_distinct;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(w, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(w->p->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the embeddings of %u examples", w->batch);
    arena = sqzi_arena_over(block, bytes);
    lay_out(w, &arena);
    TRY(sqzi_dataset_number_texts(w->p->dataset, w->numbers, &n_distinct, error));
    for (uint32_t begin = 0; begin < n_all; begin += w->batch) {
        const uint32_t n = n_all - begin < w->batch ? n_all - begin : w->batch;
        TRY(embed(w, begin, n, 0, 1, error));
        TRY(embed(w, begin, n, 1, w->texts, error));
        for (uint32_t i = 0; i < n; i++) rank(w, begin, n, i);
        TRY(tell(w, begin + n, error));
    }
fail:
    if (block) sqzi_release(w->p->allocator, block, bytes);
    return status;
}

/* ---- the whole ---- */

bool sqzi_predict_by_embeddings(const sqz_dataset *dataset, const sqz_model *model)
{
    size_t n;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    return dataset->kind == SQZ_LABELS_NONE ||
           (dataset->kind == SQZ_LABELS_VALUE && examples[0].input.pair &&
            sqz_model_get_info(model)->head == SQZ_HEAD_NONE);
}

sqz_status sqzi_predict_embeddings(sqz_predictions *p, const sqz_model *model,
                                   const sqz_predict_options *o, sqz_task *task, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t texts = sqzi_dataset_count_texts(p->dataset);
    work w = {.p = p,
              .options = o,
              .task = task,
              .embed = {.prompt = o->prompt, .second_prompt = o->second_prompt},
              .texts = texts,
              .dimensions = sqz_model_get_info(model)->dimensions,
              .batch = o->batch ? o->batch : BATCH,
              .scale = o->scale > 0 ? o->scale : SCALE};
    FAIL_IF(texts < 2, SQZ_EINVAL, 0, "%s: an example has one text, two or more are compared",
            p->dataset->name);
    if (w.batch > p->n) w.batch = p->n;
    FAIL_IF(w.batch > UINT32_MAX / texts, SQZ_EINVAL, 0, "a batch of %u examples", w.batch);
    status = p->dataset->kind == SQZ_LABELS_VALUE ? run_pairs(&w, error) : run_batches(&w, error);
fail:
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Named entities: token logits of the windows of a text, turned into spans by the rules of
 * entity_spans.c. */
#include <string.h>

#include "base/error.h"
#include "task/engine.h"
#include "task/entity_spans.h"

typedef struct entity_call {
    sqz_task *task;
    sqz_aggregation aggregation;
    const char **labels;
    bool mark_ends;
    uint32_t classes;
} entity_call;

/* The entities of one input as they are found. */
typedef struct entity_list {
    sqz_entity *items;
    uint32_t n, capacity;
} entity_list;

static uint32_t code_points(const char *text)
{
    uint32_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static sqz_status append(sqz_task *task, entity_list *list, sqz_entity entity, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (list->n == list->capacity) {
        const uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
        sqz_entity *items;
        TAKE(items, sqzi_slab_take(&task->slab, capacity, sizeof *items));
        if (list->n) memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = entity;
fail:
    return status;
}

/* Text pieces of a window without `skip_front` at its front and `skip_back` at its back. */
typedef struct piece_range {
    const sqzi_window *window;
    sqz_text text;
    uint32_t skip_front, skip_back;
} piece_range;

/* The spelling of a piece, and whether the pipeline takes it for the rest of a word. */
static sqz_status spell(const entity_call *call, const piece_range *range, const sqz_piece *piece,
                        sqzi_scored_piece *out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *tokenizer = sqz_model_tokenizer(call->task->model);
    out->word = sqz_tokenizer_piece(tokenizer, piece->id);
    out->subword = code_points(out->word) != piece->end - piece->begin;
    if (piece->id == sqz_tokenizer_special(tokenizer).unk) {
        TAKE(out->word, sqzi_slab_text(&call->task->slab, range->text.bytes + piece->begin_byte,
                                       piece->end_byte - piece->begin_byte));
        out->subword = false;
    }
fail:
    return status;
}

static sqz_status gather(const entity_call *call, const piece_range *range, sqzi_scored_piece **out,
                         uint32_t *n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_window *window = range->window;
    sqzi_scored_piece *pieces;
    float *scores;
    uint32_t seen = 0, n_text = 0;
    for (uint32_t p = 0; p < window->n; p++) n_text += !window->pieces[p].special;
    TAKE(pieces, sqzi_slab_take(&call->task->slab, n_text, sizeof *pieces));
    TAKE(scores, sqzi_slab_take(&call->task->slab, (size_t)n_text * call->classes, sizeof *scores));
    *n = 0;
    for (uint32_t p = 0; p < window->n; p++) {
        const sqz_piece *piece = &window->pieces[p];
        if (piece->special) continue;
        const uint32_t place = seen++;
        if (place < range->skip_front || n_text - place <= range->skip_back) continue;
        sqzi_scored_piece *to = &pieces[(*n)++];
        *to = (sqzi_scored_piece){.scores = scores,
                                  .index = p,
                                  .begin = piece->begin,
                                  .end = piece->end,
                                  .begin_byte = piece->begin_byte,
                                  .end_byte = piece->end_byte};
        sqzi_softmax(window->rows + (size_t)p * call->classes, call->classes, scores);
        scores += call->classes;
        TRY(spell(call, range, piece, to, error));
    }
    *out = pieces;
fail:
    return status;
}

/* The words of a run of pieces joined to one text: first those of each tagged unit, then the units,
 * as the pipeline does. */
static sqz_status join(const entity_call *call, const sqzi_scored_piece *pieces,
                       const sqzi_tagged *tagged, uint32_t n, const char **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const char **words, **units;
    char *text;
    const uint32_t first = tagged[0].first, n_pieces = tagged[n - 1].last - first + 1;
    size_t bytes = 1;
    for (uint32_t p = 0; p < n_pieces; p++) bytes += strlen(pieces[first + p].word) + 2;
    TAKE(words, sqzi_slab_take(&call->task->slab, n_pieces, sizeof *words));
    TAKE(units, sqzi_slab_take(&call->task->slab, n, sizeof *units));
    for (uint32_t p = 0; p < n_pieces; p++) words[p] = pieces[first + p].word;
    for (uint32_t u = 0; u < n; u++) {
        units[u] = words[tagged[u].first - first];
        if (tagged[u].first == tagged[u].last) continue;
        TAKE(text, sqzi_slab_take(&call->task->slab, bytes, 1));
        sqzi_join_words(words + (tagged[u].first - first), tagged[u].last - tagged[u].first + 1,
                        text);
        units[u] = text;
    }
    TAKE(text, sqzi_slab_take(&call->task->slab, bytes, 1));
    sqzi_join_words(units, n, text);
    *out = text;
fail:
    return status;
}

/* group_sub_entities: the label behind the first '-', the mean of the scores. */
static sqz_status make_entity(const entity_call *call, const sqzi_scored_piece *pieces,
                              const sqzi_tagged *tagged, uint32_t n, sqz_entity *entity,
                              sqz_error *error)
{
    const sqzi_scored_piece *first = &pieces[tagged[0].first], *last = &pieces[tagged[n - 1].last];
    const char *label = call->labels[tagged[0].label], *dash = strchr(label, '-');
    double sum = 0;
    for (uint32_t u = 0; u < n; u++) sum += tagged[u].score;
    *entity = (sqz_entity){.label = label,
                           .word = first->word,
                           .score = (float)(sum / n),
                           .index = first->index,
                           .begin = first->begin,
                           .end = last->end,
                           .begin_byte = first->begin_byte,
                           .end_byte = last->end_byte};
    if (call->aggregation == SQZ_AGGREGATE_NONE) return SQZ_OK;
    if (dash) entity->label = dash + 1;
    return strcmp(entity->label, "O") == 0 ? SQZ_OK
                                           : join(call, pieces, tagged, n, &entity->word, error);
}

static sqz_status read_window(const entity_call *call, const piece_range *range, entity_list *list,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_scored_piece *pieces = NULL;
    sqzi_tagged *tagged;
    float *average;
    uint32_t n = 0;
    TRY(gather(call, range, &pieces, &n, error));
    TAKE(tagged, sqzi_slab_take(&call->task->slab, n, sizeof *tagged));
    TAKE(average, sqzi_slab_take(&call->task->slab, call->classes, sizeof *average));
    const uint32_t units = sqzi_tag_pieces(pieces, n, call->classes, call->aggregation, average,
                                           tagged);
    for (uint32_t begin = 0, end; begin < units; begin = end) {
        sqz_entity entity;
        end = call->aggregation == SQZ_AGGREGATE_NONE
                  ? begin + 1
                  : sqzi_group_end(tagged, units, begin, call->labels, call->mark_ends);
        TRY(make_entity(call, pieces, tagged + begin, end - begin, &entity, error));
        if (strcmp(entity.label, "O") != 0) TRY(append(call->task, list, entity, error));
    }
fail:
    return status;
}

/* Logits of all windows one behind the other. */
static sqz_status keep_logits(const entity_call *call, const sqzi_window *windows, uint32_t n,
                              sqz_entities *result, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *firsts, row = 0;
    float *logits;
    TAKE(firsts, sqzi_slab_take(&call->task->slab, n, sizeof *firsts));
    TAKE(logits, sqzi_slab_take(&call->task->slab, (size_t)result->outcome.n_pieces * call->classes,
                                sizeof *logits));
    for (uint32_t w = 0; w < n; w++) {
        firsts[w] = row;
        memcpy(logits + (size_t)row * call->classes, windows[w].rows,
               (size_t)windows[w].n * call->classes * sizeof *logits);
        row += windows[w].n;
    }
    result->window_first = firsts;
    result->logits = logits;
fail:
    return status;
}

static sqz_status read_input(const entity_call *call, const sqz_input *input,
                             const sqzi_window *windows, uint32_t n, sqz_entities *result,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    entity_list list = {0};
    const uint32_t overlap = call->aggregation == SQZ_AGGREGATE_NONE ? call->task->options.stride
                                                                     : 0;
    for (uint32_t w = 0; w < n; w++) {
        const piece_range range = {&windows[w], input->text, w ? overlap / 2 : 0,
                                   w + 1 < n ? overlap - overlap / 2 : 0};
        TRY(read_window(call, &range, &list, error));
    }
    result->n = n > 1 && call->aggregation != SQZ_AGGREGATE_NONE
                    ? sqzi_merge_overlaps(list.items, list.n)
                    : list.n;
    result->entities = list.items;
    TRY(keep_logits(call, windows, n, result, error));
fail:
    return status;
}

static sqz_status open_call(sqz_task *task, sqz_aggregation aggregation, entity_call *call,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *call =
        (entity_call){.task = task, .aggregation = aggregation, .classes = task->info->n_labels};
    TAKE(call->labels, sqzi_slab_take(&task->slab, call->classes, sizeof *call->labels));
    for (uint32_t k = 0; k < call->classes; k++) call->labels[k] = sqz_model_label(task->model, k);
    call->mark_ends = sqzi_labels_mark_ends(call->labels, call->classes);
fail:
    return status;
}

sqz_status sqz_find_entities(sqz_task *task, const sqz_input *inputs, uint32_t n,
                             sqz_aggregation aggregation, sqz_entities *results, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_windows windows = {0};
    entity_call call = {0};
    sqz_outcome *outcomes;
    uint32_t *firsts;
    TRY(sqzi_task_begin(task, inputs, n, results, error));
    TRY(sqzi_task_needs(task, SQZ_HEAD_TOKEN, "finding entities", error));
    TRY(open_call(task, aggregation, &call, error));
    TAKE(outcomes, sqzi_slab_take_zeroed(&task->slab, n, sizeof *outcomes));
    for (uint32_t i = 0; i < n; i++) {
        const sqz_input input = {.text = inputs[i].text};
        TRY(sqzi_task_read(task, &input, i,
                           (sqzi_cutting){SQZ_TRUNCATE_ONLY_FIRST, SQZ_LONG_STRIDE, NULL}, &windows,
                           &outcomes[i], error));
    }
    TRY(sqzi_task_run(task, &windows, NULL, outcomes, error));
    TAKE(firsts, sqzi_task_firsts(task, &windows, n));
    for (uint32_t i = 0; i < n; i++) {
        results[i] = (sqz_entities){.outcome = outcomes[i]};
        if (outcomes[i].status == SQZ_OK)
            TRY(read_input(&call, &inputs[i], windows.items + firsts[i], firsts[i + 1] - firsts[i],
                           &results[i], error));
    }
fail:
    return status;
}

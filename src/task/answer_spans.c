/* SPDX-License-Identifier: Apache-2.0 */
/* Every span of a window is looked at, and the best twenty of all windows are kept: no shortcut
 * over the best starts and ends, so the result does not depend on how many of those a shortcut
 * would take. */
#include "task/answer_spans.h"

#include <math.h>
#include <string.h>

static bool before(const sqz_answer *a, const sqz_answer *b)
{
    if (a->worth != b->worth) return a->worth > b->worth;
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
}

static void offer(sqzi_span_list *list, const sqz_answer *span)
{
    if (list->n == SQZI_KEPT_SPANS && !before(span, &list->spans[list->n - 1])) return;
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->spans[i].begin != span->begin || list->spans[i].end != span->end) continue;
        if (list->spans[i].worth >= span->worth) return;
        memmove(&list->spans[i], &list->spans[i + 1], (list->n - i - 1) * sizeof *span);
        list->n--;
        break;
    }
    uint32_t place = list->n < SQZI_KEPT_SPANS ? list->n++ : SQZI_KEPT_SPANS - 1;
    for (; place > 0 && before(span, &list->spans[place - 1]); place--)
        list->spans[place] = list->spans[place - 1];
    list->spans[place] = *span;
}

void sqzi_add_window(sqzi_span_list *list, const sqz_piece *pieces, uint32_t n, const float *logits,
                     uint32_t max_answer_pieces)
{
    const float null_worth = logits[0] + logits[1];
    if (!list->null_seen || null_worth < list->null_worth) list->null_worth = null_worth;
    list->null_seen = true;
    for (uint32_t begin = 0; begin < n; begin++) {
        if (pieces[begin].sequence != 1) continue;
        for (uint32_t end = begin;
             end < n && end - begin < max_answer_pieces && pieces[end].sequence == 1; end++) {
            const sqz_answer span = {.worth = logits[2 * (size_t)begin] +
                                              logits[2 * (size_t)end + 1],
                                     .begin = pieces[begin].begin,
                                     .end = pieces[end].end,
                                     .begin_byte = pieces[begin].begin_byte,
                                     .end_byte = pieces[end].end_byte};
            offer(list, &span);
        }
    }
}

static void score(sqz_answer *answers, uint32_t n)
{
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) largest = fmax(largest, answers[i].worth);
    for (uint32_t i = 0; i < n; i++) sum += exp(answers[i].worth - largest);
    for (uint32_t i = 0; i < n; i++)
        answers[i].score = (float)(exp(answers[i].worth - largest) / sum);
}

uint32_t sqzi_rank_answers(const sqzi_span_list *list, bool no_answer, float null_threshold,
                           sqz_answer *answers)
{
    uint32_t n = list->n, place;
    memcpy(answers, list->spans, n * sizeof *answers);
    if (no_answer && list->null_seen) {
        const sqz_answer null = {.none = 1, .worth = list->null_worth};
        const bool wins = n == 0 || null.worth - answers[0].worth > null_threshold;
        for (place = n; place > (wins ? 0u : 1u) && (wins || null.worth > answers[place - 1].worth);
             place--)
            answers[place] = answers[place - 1];
        answers[place] = null;
        n++;
    }
    score(answers, n);
    return n;
}

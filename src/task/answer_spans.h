/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of answer spans, without a model: the rules of sqz_answer_questions, in Python in
 * ref/qa_reference.py. */
#ifndef SQZI_ANSWER_SPANS_H
#define SQZI_ANSWER_SPANS_H

#include <stdbool.h>

#include <squeezebert/task.h>

enum { SQZI_KEPT_SPANS = 20 };

/* The best spans met so far, falling worth, then rising begin, then rising end. Zero-initialise. */
typedef struct sqzi_span_list {
    sqz_answer spans[SQZI_KEPT_SPANS];
    uint32_t n;
    bool null_seen;
    float null_worth; /* smallest over the windows */
} sqzi_span_list;

/* Take in one window: logits [n, 2]. Context pieces are those of sequence 1. */
void sqzi_add_window(sqzi_span_list *list, const sqz_piece *pieces, uint32_t n, const float *logits,
                     uint32_t max_answer_pieces);

/* Scores and final order; answers [SQZI_KEPT_SPANS + 1]. Returns how many. */
uint32_t sqzi_rank_answers(const sqzi_span_list *list, bool no_answer, float null_threshold,
                           sqz_answer *answers);

#endif

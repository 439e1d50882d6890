/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of what a student makes of a packed batch against what its teacher makes of it. Knows no
 * file and no model.
 *
 * Rows are packed: no padding enters a sum or what it is divided by. With s the student's numbers,
 * t the teacher's, B items of the whole batch and N its tokens:
 *
 *   logits        T^2 KL(softmax(t / T) || softmax(s / T)), mean over items   (Hinton et al. 2015)
 *   soft          -sum softmax(t / T) log softmax(s / T), mean over items     (TinyBERT's)
 *   squares       (s - t)^2, mean over all numbers: of logits, of pooled vectors, of hidden states,
 *                 of attention's scores before the softmax
 *   cosine        1 - cos(s, t), mean over items
 *   similarities  (cos(s_i, s_j) - cos(t_i, t_j))^2, mean over all pairs of items, i = j among them
 *   relations     KL(softmax(t t' / sqrt(d_t)) || softmax(s s' / sqrt(d_s))), mean over rows and A
 *                 heads; heads side by side are cut anew into A of d = width / A each  (MiniLMv2)
 *
 * A term is one such comparison. It is cut into units that write d of their own numbers alone, and
 * the units' sums are added in order: bits do not depend on who takes which. Sums are in double.
 */
#ifndef SQZI_LOSS_DISTIL_H
#define SQZI_LOSS_DISTIL_H

#include "base/real.h"
#include "base/threads.h"

typedef enum sqzi_distil_form {
    SQZI_DISTIL_KL,
    SQZI_DISTIL_SOFT,
    SQZI_DISTIL_SQUARES,
    SQZI_DISTIL_COSINE,
    SQZI_DISTIL_SIMILARITIES,
    SQZI_DISTIL_RELATIONS
} sqzi_distil_form;

/* What is compared, row by row.
 *
 *   scale        weight of the loss over what it is divided by in the whole batch, which may be run
 *                in parts: B, B width, B^2, N A
 *   student, teacher   [n, width] and [n, teacher_width]; these differ in relations
 *                and similarities alone
 *   d            [n, width] d of student, added to
 *   temperature  of KL and SOFT
 *   heads        A of relations, dividing both widths; first [n_sequences + 1] where sequences
 *                begin, longest the longest
 */
typedef struct sqzi_distil_term {
    sqzi_distil_form form;
    double scale;
    const sqzi_real *student, *teacher;
    sqzi_real *d;
    size_t n, width, teacher_width;
    double temperature;
    uint32_t heads, n_sequences, longest;
    const uint32_t *first;
} sqzi_distil_term;

uint32_t sqzi_distil_units(const sqzi_distil_term *term);

/* Doubles that a unit works in. */
size_t sqzi_distil_scratch(const sqzi_distil_term *term);

/* A unit's part of the loss, and d. */
double sqzi_distil_unit(const sqzi_distil_term *term, uint32_t unit, double *scratch);

/* Terms one behind the other by a team; every member calls it, with scratch of its own. */
typedef struct sqzi_distil_terms {
    const sqzi_distil_term *list; /* [n] */
    uint32_t n;
    double *sums; /* [units of all terms] */
} sqzi_distil_terms;

void sqzi_distil_run(const sqzi_distil_terms *terms, double *scratch, sqzi_turn *turn);
/* The loss of term i, once all have run. */
double sqzi_distil_value(const sqzi_distil_terms *terms, uint32_t i);

#endif

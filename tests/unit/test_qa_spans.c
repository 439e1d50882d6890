/* SPDX-License-Identifier: Apache-2.0 */
/* Answer spans against the reference in ref/qa_reference.py, and their limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "task/answer_spans.h"
#include "unit/qa_vectors.h"

static uint32_t answer(const qa_case *c, sqz_answer *answers)
{
    sqzi_span_list list = {.n = 0};
    for (uint32_t w = 0; w < c->n_windows; w++) {
        sqz_piece pieces[QA_PIECES] = {{0}};
        for (uint32_t p = 0; p < c->n; p++) {
            pieces[p].sequence = c->pieces[w][p].sequence;
            pieces[p].begin = c->pieces[w][p].begin;
            pieces[p].end = c->pieces[w][p].end;
        }
        sqzi_add_window(&list, pieces, c->n, c->logits[w][0], c->max_answer_pieces);
    }
    return sqzi_rank_answers(&list, c->no_answer, c->null_threshold, answers);
}

static void spans_agree_with_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof qa_cases / sizeof *qa_cases; i++) {
        const qa_case *c = &qa_cases[i];
        sqz_answer answers[SQZI_KEPT_SPANS + 1];
        assert_int_equal(answer(c, answers), c->n_answers);
        for (uint32_t a = 0; a < c->n_shown; a++) {
            assert_int_equal(answers[a].none, c->answers[a].none);
            assert_int_equal(answers[a].begin, c->answers[a].begin);
            assert_int_equal(answers[a].end, c->answers[a].end);
            assert_true(answers[a].worth == c->answers[a].worth);
            assert_true(fabs(answers[a].score - c->answers[a].score) < 1e-6);
        }
    }
}

static void scores_of_all_answers_sum_to_one(void **state)
{
    (void)state;
    sqz_answer answers[SQZI_KEPT_SPANS + 1];
    const uint32_t n = answer(&qa_cases[2], answers);
    double sum = 0;
    assert_true(n == SQZI_KEPT_SPANS);
    for (uint32_t a = 0; a < n; a++) sum += answers[a].score;
    assert_true(fabs(sum - 1) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spans_agree_with_the_reference),
                                       cmocka_unit_test(scores_of_all_answers_sum_to_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of entities: the pipeline's rules on scores written by hand.
 * tests/reference/tasks_compare.py holds the whole task against Transformers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/entity_spans.h"

static const char *const labels[] = {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"};
enum { O, B_PER, I_PER, B_LOC, I_LOC, CLASSES };

/* Scores with `best` at `score` and the rest shared. */
static void fill(float *scores, uint32_t best, float score)
{
    for (uint32_t k = 0; k < CLASSES; k++)
        scores[k] = k == best ? score : (1.0f - score) / (CLASSES - 1);
}

/* Group the whole list; ends[] of each group. */
static uint32_t group(const uint32_t *classes, uint32_t n, const char *const *names, bool mark_ends,
                      uint32_t *ends)
{
    sqzi_tagged tagged[16];
    uint32_t groups = 0;
    for (uint32_t i = 0; i < n; i++) tagged[i] = (sqzi_tagged){classes[i], 1.0, i, i};
    for (uint32_t begin = 0; begin < n; begin = ends[groups++])
        ends[groups] = sqzi_group_end(tagged, n, begin, names, mark_ends);
    return groups;
}

static void adjacent_pieces_of_one_tag_are_one_span(void **state)
{
    (void)state;
    const uint32_t classes[] = {B_PER, I_PER, O, I_LOC, I_LOC, B_LOC, B_LOC, I_PER};
    uint32_t ends[16];
    assert_int_equal(group(classes, 8, labels, false, ends), 6);
    const uint32_t expected[] = {2, 3, 5, 6, 7, 8};
    assert_memory_equal(ends, expected, sizeof expected);
}

static void labels_without_a_prefix_continue(void **state)
{
    (void)state;
    const char *const plain[] = {"LABEL_0", "LABEL_1"};
    const uint32_t classes[] = {0, 0, 1, 1, 0};
    uint32_t ends[16];
    assert_int_equal(group(classes, 5, plain, false, ends), 3);
    assert_int_equal(ends[0], 2);
    assert_int_equal(ends[1], 4);
}

static void iobes_ends_close_a_span(void **state)
{
    (void)state;
    const char *const iobes[] = {"O", "B-PER", "I-PER", "E-PER", "S-PER"};
    const uint32_t classes[] = {1, 2, 3, 2, 4, 4, 3};
    uint32_t ends[16];
    assert_true(sqzi_labels_mark_ends(iobes, 5));
    assert_false(sqzi_labels_mark_ends(labels, CLASSES));
    assert_int_equal(group(classes, 7, iobes, true, ends), 5);
    const uint32_t expected[] = {3, 4, 5, 6, 7};
    assert_memory_equal(ends, expected, sizeof expected);
}

/* Three pieces of one word that disagree, then a word of its own. */
static void a_word_is_tagged_by_its_strategy(void **state)
{
    (void)state;
    float scores[4][CLASSES], average[CLASSES];
    fill(scores[0], B_PER, 0.5f);
    fill(scores[1], I_LOC, 0.6f);
    fill(scores[2], I_LOC, 0.55f);
    fill(scores[3], O, 0.9f);
    const sqzi_scored_piece pieces[] = {{.scores = scores[0]},
                                        {.scores = scores[1], .subword = true},
                                        {.scores = scores[2], .subword = true},
                                        {.scores = scores[3]}};
    sqzi_tagged tagged[4];
    assert_int_equal(sqzi_tag_pieces(pieces, 4, CLASSES, SQZ_AGGREGATE_SIMPLE, average, tagged), 4);
    assert_int_equal(tagged[1].label, I_LOC);
    assert_int_equal(sqzi_tag_pieces(pieces, 4, CLASSES, SQZ_AGGREGATE_FIRST, average, tagged), 2);
    assert_int_equal(tagged[0].label, B_PER);
    assert_true(tagged[0].first == 0 && tagged[0].last == 2);
    assert_int_equal(sqzi_tag_pieces(pieces, 4, CLASSES, SQZ_AGGREGATE_MAX, average, tagged), 2);
    assert_int_equal(tagged[0].label, I_LOC);
    assert_true((float)tagged[0].score == 0.6f);
    assert_int_equal(sqzi_tag_pieces(pieces, 4, CLASSES, SQZ_AGGREGATE_AVERAGE, average, tagged),
                     2);
    assert_int_equal(tagged[0].label, I_LOC);
    assert_true(tagged[0].score > 0.42 && tagged[0].score < 0.43); /* (0.125 + 0.6 + 0.55) / 3 */
    assert_int_equal(tagged[1].label, O);
}

static void of_overlapping_spans_the_longest_then_the_best_stays(void **state)
{
    (void)state;
    sqz_entity list[] = {
        {.begin = 0, .end = 4, .score = 0.9f},   {.begin = 10, .end = 14, .score = 0.5f},
        {.begin = 20, .end = 30, .score = 0.5f}, {.begin = 10, .end = 14, .score = 0.7f},
        {.begin = 22, .end = 26, .score = 0.9f}, {.begin = 3, .end = 8, .score = 0.1f},
    };
    assert_int_equal(sqzi_merge_overlaps(list, 6), 3);
    assert_true(list[0].begin == 3 && list[0].end == 8);
    assert_true(list[1].begin == 10 && list[1].score == 0.7f);
    assert_true(list[2].begin == 20 && list[2].end == 30);
    assert_int_equal(sqzi_merge_overlaps(list, 0), 0);
}

static void words_are_joined_as_the_decoder_joins_them(void **state)
{
    (void)state;
    const char *const words[] = {"##mi", "##cro", "##soft", "u", ".", "s",
                                 ".",    "isn",   "'",      "t", ",", "n't"};
    char out[64];
    sqzi_join_words(words, 12, out);
    assert_string_equal(out, "##microsoft u. s. isn ' t,n't");
    sqzi_join_words(words, 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjacent_pieces_of_one_tag_are_one_span),
        cmocka_unit_test(labels_without_a_prefix_continue),
        cmocka_unit_test(iobes_ends_close_a_span),
        cmocka_unit_test(a_word_is_tagged_by_its_strategy),
        cmocka_unit_test(of_overlapping_spans_the_longest_then_the_best_stays),
        cmocka_unit_test(words_are_joined_as_the_decoder_joins_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The search index against sorting all cosines, and a slab's promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/context.h"
#include "task/slab.h"

#include <squeezebert/task.h>

enum { ROWS = 300, DIMENSIONS = 37, K = 10 };

static sqz_context context;
static float vectors[ROWS][DIMENSIONS];

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int make_vectors(void **state)
{
    (void)state;
    uint32_t seed = 11;
    print_message("seed 11\n");
    context.allocator = sqzi_default_allocator;
    for (int r = 0; r < ROWS; r++)
        for (int d = 0; d < DIMENSIONS; d++)
            vectors[r][d] = (float)next_random(&seed) / 8388608.0f - 1.0f;
    memset(vectors[7], 0, sizeof vectors[7]);              /* a vector without a direction */
    memcpy(vectors[250], vectors[20], sizeof vectors[20]); /* a tie */
    return 0;
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < DIMENSIONS; d++) {
        ab += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void hits_are_the_largest_cosines_in_order(void **state)
{
    (void)state;
    sqz_index *index;
    sqz_hit hits[K];
    assert_int_equal(sqz_index_open(&context, DIMENSIONS, SQZ_SIMILARITY_COSINE, &index, NULL),
                     SQZ_OK);
    assert_int_equal(sqz_index_add(index, vectors[0], 100, NULL), SQZ_OK);
    assert_int_equal(sqz_index_add(index, vectors[100], ROWS - 100, NULL), SQZ_OK);
    assert_int_equal(sqz_index_rows(index), ROWS);
    assert_int_equal(sqz_index_search(index, vectors[20], K, hits), K);
    assert_int_equal(hits[0].row, 20);
    assert_int_equal(hits[1].row, 250);
    assert_true(hits[0].score == hits[1].score);
    for (int h = 0; h < K; h++) {
        assert_true(fabs(hits[h].score - cosine(vectors[hits[h].row], vectors[20])) < 1e-6);
        if (h) assert_true(hits[h].score <= hits[h - 1].score);
    }
    for (uint64_t r = 0; r < ROWS; r++) {
        int found = 0;
        for (int h = 0; h < K; h++) found |= hits[h].row == r;
        if (!found)
            assert_true(cosine(vectors[r], vectors[20]) <= (double)hits[K - 1].score + 1e-6);
    }
    sqz_index_close(index);
}

/* The score of one pair by its definition. */
static double score(sqz_similarity_kind kind, const float *a, const float *b)
{
    double ab = 0, squares = 0, sum = 0;
    for (int d = 0; d < DIMENSIONS; d++) {
        const double off = (double)a[d] - b[d];
        ab += (double)a[d] * b[d], squares += off * off, sum += fabs(off);
    }
    return kind == SQZ_SIMILARITY_DOT         ? ab
           : kind == SQZ_SIMILARITY_EUCLIDEAN ? -sqrt(squares)
                                              : -sum;
}

static void hits_are_the_best_by_any_similarity(void **state)
{
    (void)state;
    for (sqz_similarity_kind kind = SQZ_SIMILARITY_DOT; kind <= SQZ_SIMILARITY_MANHATTAN; kind++) {
        sqz_index *index;
        sqz_hit hits[K];
        assert_int_equal(sqz_index_open(&context, DIMENSIONS, kind, &index, NULL), SQZ_OK);
        assert_int_equal(sqz_index_add(index, vectors[0], ROWS, NULL), SQZ_OK);
        assert_int_equal(sqz_index_search(index, vectors[31], K, hits), K);
        for (int h = 0; h < K; h++) {
            const double expected = score(kind, vectors[hits[h].row], vectors[31]);
            assert_true(fabs((double)hits[h].score - expected) <= 1e-5 * (1 + fabs(expected)));
            if (h) assert_true(hits[h].score <= hits[h - 1].score);
        }
        for (uint64_t r = 0; r < ROWS; r++) {
            int found = 0;
            for (int h = 0; h < K; h++) found |= hits[h].row == r;
            if (!found)
                assert_true(score(kind, vectors[r], vectors[31]) <=
                            (double)hits[K - 1].score + 1e-5 * fabs((double)hits[K - 1].score));
        }
        sqz_index_close(index);
    }
    sqz_index *index;
    assert_int_equal(sqz_index_open(&context, DIMENSIONS, SQZ_SIMILARITY_MANHATTAN + 1, &index,
                                    NULL),
                     SQZ_EINVAL);
}

static void an_index_of_fewer_rows_than_asked_gives_all(void **state)
{
    (void)state;
    sqz_index *index;
    sqz_hit hits[K];
    assert_int_equal(sqz_index_open(&context, DIMENSIONS, SQZ_SIMILARITY_COSINE, &index, NULL),
                     SQZ_OK);
    assert_int_equal(sqz_index_search(index, vectors[1], K, hits), 0);
    assert_int_equal(sqz_index_add(index, vectors[0], 3, NULL), SQZ_OK);
    assert_int_equal(sqz_index_search(index, vectors[1], K, hits), 3);
    assert_int_equal(hits[0].row, 1);
    sqz_index_close(index);
}

/* The inverse of such a length is no float, and products of these numbers are 0. */
static void the_smallest_vectors_have_a_direction(void **state)
{
    (void)state;
    const float small[] = {3e-45f, 0, 0, -0x1p-149f, -1e-38f, 1e-38f}, query[] = {1, 0, 0};
    sqz_index *index;
    sqz_hit hits[2];
    assert_int_equal(sqz_index_open(&context, 3, SQZ_SIMILARITY_COSINE, &index, NULL), SQZ_OK);
    assert_int_equal(sqz_index_add(index, small, 2, NULL), SQZ_OK);
    assert_int_equal(sqz_index_search(index, query, 2, hits), 2);
    assert_true(hits[0].row == 0 && hits[0].score == 1);
    assert_true(hits[1].row == 1 && fabsf(hits[1].score) < 1e-6f); /* 2^-149 against 1e-38 */
    sqz_index_close(index);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    const float wrong[] = {1, 2, 3, NAN, 1, INFINITY}, right[] = {1, 2, 3};
    sqz_index *index;
    sqz_hit hits[2];
    sqz_error error = {0};
    assert_int_equal(sqz_index_open(&context, 3, SQZ_SIMILARITY_COSINE, &index, NULL), SQZ_OK);
    assert_int_equal(sqz_index_add(index, right, 1, NULL), SQZ_OK);
    assert_int_equal(sqz_index_add(index, wrong, 2, &error), SQZ_ENUMERIC);
    assert_int_equal(error.offset, 1);
    assert_int_equal(sqz_index_rows(index), 1);
    assert_int_equal(sqz_index_search(index, wrong + 3, 2, hits), 0);
    assert_int_equal(sqz_index_search(index, wrong, 2, hits), 1);
    sqz_index_close(index);
}

static void a_slab_never_moves_what_it_gave(void **state)
{
    (void)state;
    sqzi_slab slab = {.allocator = &context.allocator};
    unsigned char *pieces[64];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 64; i++) {
            pieces[i] = sqzi_slab_take(&slab, 1 + i * 997, 1);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % SQZI_ALIGNMENT, 0);
            memset(pieces[i], (int)i, 1 + i * 997);
        }
        for (unsigned i = 0; i < 64; i++) assert_true(pieces[i][0] == i && pieces[i][i * 997] == i);
        sqzi_slab_reset(&slab, 1 << 20);
    }
    assert_null(sqzi_slab_take(&slab, SIZE_MAX / 2, 4));
    sqzi_slab_free(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_are_the_largest_cosines_in_order),
        cmocka_unit_test(hits_are_the_best_by_any_similarity),
        cmocka_unit_test(an_index_of_fewer_rows_than_asked_gives_all),
        cmocka_unit_test(the_smallest_vectors_have_a_direction),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_slab_never_moves_what_it_gave),
    };
    return cmocka_run_group_tests(tests, make_vectors, NULL);
}
